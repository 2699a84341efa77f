//! `layerstone overlay probe`: which backends work here.

use crate::args::script::MachineArgs;
use crate::screen::answer::{AnswerArgs, print_answer};
use crate::screen::out::print;
use anyhow::Result;
use clap::Args;
use layerstone_overlay::{Backend, Kernel, probe};
use layerstone_spec::LEAST_VM_MEMORY;
use serde_json::json;
use std::time::Duration;

/// Show which backends can run root scripts here, and why the others cannot
///
/// Each is tried by running nothing in it. They are listed in the order in which `overlay run` prefers them; namespace is
/// used only when it is named.
#[derive(Args)]
pub struct Options {
    /// Probe only this backend: kvm, userns, emulation or namespace; may be given more than once [default: all]
    #[arg(long, value_name = "BACKEND")]
    backend: Vec<Backend>,
    #[command(flatten)]
    machine: MachineArgs,
    #[command(flatten)]
    answer: AnswerArgs,
}

pub fn run(options: &Options) -> Result<()> {
    let machine = options.machine.options().machine(LEAST_VM_MEMORY);
    let mut backends = Vec::new();
    for backend in Backend::ALL.into_iter().filter(|it| options.backend.is_empty() || options.backend.contains(it)) {
        let probed = probe(backend, &machine);
        if options.answer.is_json() {
            let (seconds, why) = (probed.as_ref().ok().map(|time| seconds(*time)), probed.err().map(|e| e.to_string()));
            backends.push(json!({"backend": backend.name(), "works": why.is_none(), "seconds": seconds, "why": why}));
            continue;
        }
        match probed {
            Ok(time) => print(format_args!("{backend}: works, {:.2} s to begin and end\n", time.as_secs_f64()))?,
            Err(error) => print(format_args!("{backend}: not here: {error}\n"))?,
        }
    }
    let kernel = Kernel::find(machine.kernel.as_deref());
    if options.answer.is_json() {
        let kernel = kernel.ok().map(|kernel| kernel.image.display().to_string());
        return print_answer("overlay-probe", &json!({"backends": backends, "kernel": kernel}));
    }
    match kernel {
        Ok(kernel) => print(format_args!("kernel of virtual machines: {}\n", kernel.image.display())),
        Err(_) => Ok(()),
    }
}

/// Seconds, to the millisecond.
fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1000.0).round() / 1000.0
}
