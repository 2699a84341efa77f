//! `layerstone overlay probe`: which backends work here.

use crate::out::print;
use crate::script_args::MachineArgs;
use anyhow::Result;
use clap::Args;
use layerstone_overlay::{Backend, Kernel, probe};
use layerstone_spec::LEAST_VM_MEMORY;

/// Show which backends can run root scripts here, and why the others cannot
///
/// Each is tried by running nothing in it. They are listed in the order in which `overlay run` prefers them; namespace is
/// used only when it is named.
#[derive(Args)]
pub struct Options {
    /// Only these: kvm, userns, emulation or namespace; may be given more than once [default: all]
    #[arg(long, value_name = "BACKEND")]
    backend: Vec<Backend>,
    #[command(flatten)]
    machine: MachineArgs,
}

pub fn run(options: &Options) -> Result<()> {
    let machine = options.machine.options().machine(LEAST_VM_MEMORY);
    for backend in Backend::ALL.into_iter().filter(|it| options.backend.is_empty() || options.backend.contains(it)) {
        match probe(backend, &machine) {
            Ok(time) => print(format_args!("{backend}: works, {:.2} s to begin and end\n", time.as_secs_f64()))?,
            Err(error) => print(format_args!("{backend}: not here: {error}\n"))?,
        }
    }
    match Kernel::find(machine.kernel.as_deref()) {
        Ok(kernel) => print(format_args!("kernel of virtual machines: {}\n", kernel.image.display())),
        Err(_) => Ok(()),
    }
}
