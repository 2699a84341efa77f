//! `-o docker:` and `-o podman:`: a docker archive into the program that loads it.

use crate::place::Engine;
use anyhow::{Context, Result, bail};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

/// Runs `docker load`, and `write` into it.
pub fn load<T>(
    engine: Engine,
    write: impl FnOnce(&mut (dyn Write + Send), &Path) -> layerstone_layer::Result<T>,
) -> Result<T> {
    let program = engine.program();
    let mut command = Command::new(program);
    command.arg("load").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot run: {program} load"))?;
    let mut stdin = child.stdin.take().expect("it is piped");
    let mut stderr = child.stderr.take().expect("it is piped");
    // Read beside, so that a program which says much does not wait for us while we wait for it.
    let said = thread::spawn(move || {
        let mut said = Vec::new();
        let _ = stderr.read_to_end(&mut said);
        said
    });
    let written = write(&mut stdin, Path::new(program));
    drop(stdin);
    let status = child.wait().with_context(|| format!("cannot wait for: {program} load"))?;
    let said = said.join().unwrap_or_default();
    if !status.success() {
        // What it says is why nothing could be written to it.
        let said = String::from_utf8_lossy(&said);
        bail!("{program} load: found {status}: {}", said.trim().escape_debug());
    }
    Ok(written?)
}

/// Runs `docker save`, its archive going into a file.
pub fn save(engine: Engine, image: &str, path: &Path) -> Result<()> {
    let program = engine.program();
    if image.starts_with('-') {
        bail!("no image: {image:?}: expected a name");
    }
    let mut command = Command::new(program);
    command.args(["save", "-o"]).arg(path).arg(image).stdin(Stdio::null());
    let output = command.output().with_context(|| format!("cannot run: {program} save"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{program} save {image}: found {}: {}", output.status, said.trim().escape_debug());
    }
    Ok(())
}
