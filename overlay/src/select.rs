//! Selects the backend of a run: the first of several that is available.

use crate::receive::{HostSide, Received};
use crate::{Backend, Error, Machine, Ran, Result, Run, Unavailable, machine, namespace};
use std::io::{self, Write};
use std::str::FromStr;
use std::time::{Duration, Instant};

/// The target of events.
const LOG: &str = "layerstone::overlay";

/// The backend that is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// The fastest one that isolates the script from the machine: KVM, a user namespace, or emulation.
    #[default]
    Best,
    /// A virtual machine, and nothing else.
    Vm,
    /// This one.
    Only(Backend),
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Choice, String> {
        match text {
            "vm" => Ok(Choice::Vm),
            text => text
                .parse()
                .map(Choice::Only)
                .map_err(|_| format!("found {text}, expected vm, kvm, emulation, userns or namespace")),
        }
    }
}

impl Choice {
    fn backends(self) -> Vec<Backend> {
        match self {
            Choice::Best => vec![Backend::Kvm, Backend::Userns, Backend::Emulation],
            Choice::Vm => vec![Backend::Kvm, Backend::Emulation],
            Choice::Only(backend) => vec![backend],
        }
    }
}

/// Runs scripts over a base, and writes the tar of their layer to `out`: in GNU tar's dialect, `./` in
/// front of names, owners in numbers. What scripts print goes to `log`; `report` is called when a backend works, with it and
/// those that do not.
///
/// # Errors
///
/// A script fails, or no backend is available; whatever was written to `out` then is no layer.
pub fn run(
    run: &Run<'_>,
    choice: Choice,
    out: &mut dyn Write,
    log: &mut dyn Write,
    report: &mut dyn FnMut(Backend, &[Unavailable]),
) -> Result<Ran> {
    check_architecture(run)?;
    let mut unavailable = Vec::new();
    for backend in choice.backends() {
        let begin = Instant::now();
        let hello = &mut || {
            tracing::info!(target: LOG, "{backend}: runs");
            report(backend, &unavailable);
        };
        let users = &mut || Ok(());
        let mut host = HostSide { out: &mut *out, log: &mut *log, hello, users };
        match run_in(backend, run, &mut host) {
            Ok(Received { prepared, size, digest: diff_id, sockets, phases }) => {
                return Ok(Ran { backend, size, diff_id, sockets, prepared, phases, total: begin.elapsed() });
            }
            Err(error) if error.is_of_backend() => {
                tracing::info!(target: LOG, why = error.to_string(), "{backend}: not available");
                let is_silent = matches!(error, Error::Silent { .. });
                unavailable.push(Unavailable { backend, reason: error.to_string(), is_silent });
            }
            Err(error) => return Err(error),
        }
    }
    Err(Error::NoBackend(unavailable))
}

fn run_in(backend: Backend, run: &Run<'_>, host: &mut HostSide<'_>) -> Result<Received> {
    match backend {
        Backend::Kvm | Backend::Emulation => machine::run(backend, run, host),
        Backend::Userns | Backend::Namespace => namespace::run(backend, run, host),
    }
}

/// Tries a backend by running nothing in it. Returns how long that took, or why it is not available.
pub fn probe(backend: Backend, machine: &Machine) -> Result<Duration> {
    let nothing = Run { disk: 1 << 20, machine: machine.clone(), ..Run::default() };
    let begin = Instant::now();
    let (hello, users) = (&mut || (), &mut || Ok(()));
    let mut host = HostSide { out: &mut io::sink(), log: &mut io::sink(), hello, users };
    run_in(backend, &nothing, &mut host).map(|_| begin.elapsed())
}

/// Nothing here emulates the programs of another kind of machine.
fn check_architecture(run: &Run<'_>) -> Result<()> {
    let (machine, runs): (_, &[&str]) = match std::env::consts::ARCH {
        "x86_64" => ("amd64", &["amd64", "386"]),
        "aarch64" => ("arm64", &["arm64"]),
        other => (other, &[]),
    };
    match &run.architecture {
        Some(image) if !runs.contains(&image.as_str()) && image != machine => {
            Err(Error::Architecture { image: image.clone(), machine })
        }
        _ => Ok(()),
    }
}
