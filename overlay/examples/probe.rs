//! Prints which backends can run a root script on this machine, and why the others cannot.

use layerstone_guest::{machine, namespace};
use layerstone_overlay::{Backend, INSIDE, Machine, probe};

fn main() {
    // The program is its own guest: process 1 of a virtual machine, or a child process in namespaces.
    if machine::is_init() {
        machine::main();
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|argument| argument == INSIDE) {
        namespace::main(arguments.iter().any(|argument| argument == namespace::USERS));
    }
    let machine = Machine { memory: 512 << 20, kernel: None, cache: None, boot_timeout: None };
    // An emulated machine takes many seconds.
    for backend in Backend::ALL.into_iter().filter(|backend| *backend != Backend::Emulation) {
        match probe(backend, &machine) {
            Ok(duration) => println!("{backend}: {:.1} s", duration.as_secs_f64()),
            Err(error) => println!("{backend}: {error}"),
        }
    }
}
