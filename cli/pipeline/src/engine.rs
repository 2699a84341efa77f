//! `-o docker:` and `-o podman:`: a docker archive into the program that loads it.

use crate::error::{Context, chain};
use crate::{Error, Result};
use layerstone_oci::Engine;
use layerstone_store::Leftover;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::fmt::Display;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

/// The target of events.
const LOG: &str = "layerstone::program";

/// Runs `docker load`, and `write` into it. An error of ours that stops the stream is the error, and what the program
/// says about the end of the stream stands beside it.
pub fn load<T>(
    engine: Engine,
    write: impl FnOnce(&mut (dyn Write + Send), &Path) -> layerstone_layer::Result<T>,
) -> Result<T> {
    let program = engine.program();
    let mut command = Command::new(program);
    command.arg("load").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let (mut child, _leftover) = start(&mut command).with_context(|| format!("cannot run: {program} load"))?;
    let mut stdin = child.stdin.take().expect("it is piped");
    let mut stderr = child.stderr.take().expect("it is piped");
    // Read beside, so that a program which says much does not wait for us while we wait for it.
    let said = thread::Builder::new().spawn(move || {
        let mut said = Vec::new();
        let _ = stderr.read_to_end(&mut said);
        said
    });
    let said = said.with_context(|| format!("cannot start a thread: {program} load"))?;
    let written = write(&mut stdin, Path::new(program));
    drop(stdin);
    let status = child.wait().with_context(|| format!("cannot wait for: {program} load"))?;
    tracing::info!(target: LOG, %status, "{program} load");
    let said = said.join().unwrap_or_default();
    match written {
        Err(error) if !is_broken_pipe(&error) => {
            let says = if status.success() { String::new() } else { format!(" (which then says {:?})", words(&said)) };
            Err(error).context(format!("cannot give the image to {program} load{says}"))
        }
        // What it says is why nothing could be written to it.
        _ if !status.success() => Err(failed(program, format_args!("load: found {status}"), &said)),
        Err(_) => bail!("{program} load: it ended before it had read the image"),
        Ok(written) => Ok(written),
    }
}

/// The error for a program that failed; where its daemon does not answer, with what to do.
fn failed(program: &str, did: impl Display, said: &[u8]) -> Error {
    let said = words(said);
    let message = format!("{program} {did}: {said}");
    match said.contains("Cannot connect") {
        true => {
            Error::advised(message, format!("does {program} run, and does DOCKER_HOST name it? `{program} info` tells"))
        }
        false => Error::Invalid(message),
    }
}

/// What a program said, on one line.
fn words(said: &[u8]) -> String {
    String::from_utf8_lossy(said).trim().escape_debug().to_string()
}

fn is_broken_pipe(error: &layerstone_layer::Error) -> bool {
    let is_pipe = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
    chain(error).any(|cause| cause.downcast_ref().is_some_and(is_pipe))
}

/// Starts a program that a signal which ends us ends too.
pub(crate) fn start(command: &mut Command) -> io::Result<(Child, Leftover)> {
    Leftover::make(|| {
        let child = command.spawn()?;
        // Before Linux 5.3 it goes on.
        let process = pidfd_open(Pid::from_child(&child), PidfdFlags::empty());
        let end = move || {
            // An error means that it has ended.
            let _ = process.map(|process| pidfd_send_signal(process, Signal::TERM));
        };
        Ok((child, end))
    })
}

/// Runs `docker save`, its archive going into a file.
pub fn save(engine: Engine, image: &str, path: &Path) -> Result<()> {
    let program = engine.program();
    if image.starts_with('-') {
        bail!("no image: {image:?}: expected a name");
    }
    let mut command = Command::new(program);
    command.args(["save", "-o"]).arg(path).arg(image).stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let (child, _leftover) = start(&mut command).with_context(|| format!("cannot run: {program} save"))?;
    let output = child.wait_with_output().with_context(|| format!("cannot wait for: {program} save"))?;
    tracing::info!(target: LOG, status = %output.status, "{program} save {image}");
    if !output.status.success() {
        let did = format_args!("save {image}: found {}", output.status);
        return Err(failed(program, did, &output.stderr));
    }
    Ok(())
}
