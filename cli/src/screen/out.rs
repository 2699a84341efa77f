//! Text on stdout and stderr, where a reader may have gone or a disk be full.

use anyhow::{Context, Result};
use layerstone_store::{check_written, was_stdout_closed};
use rustix::pipe::pipe;
use rustix::stdio::dup2_stdout;
use serde::Serialize;
use std::fmt::Display;
use std::io::{Write, stderr, stdout};

/// Makes writing to stdout an error if it was closed: a pipe that nobody reads takes its place, until when it is
/// `/dev/null`, and what is written would be lost in silence.
pub fn refuse_closed() -> Result<()> {
    if was_stdout_closed() {
        let (_reader, writer) = pipe().context("cannot make a pipe")?;
        dup2_stdout(writer).context("cannot write: standard output")?;
    }
    Ok(())
}

/// Writes a text to stdout, unlike `print!`, which panics if that fails.
pub fn print(text: impl Display) -> Result<()> {
    let mut out = stdout().lock();
    write!(out, "{text}").and_then(|()| out.flush()).context("cannot write: standard output")
}

/// Writes bytes to stdout.
pub fn write(bytes: &[u8]) -> Result<()> {
    let mut out = stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).context("cannot write: standard output")
}

/// Writes a value as JSON over several lines.
pub fn print_json(value: &impl Serialize) -> Result<()> {
    print(json(value)?)
}

/// Writes a line to stderr, in one piece, so that lines of several programs in one log do not mix. Where it cannot be
/// written, nobody is left to tell, and the exit status says the rest.
pub fn tell(text: impl Display) {
    let _ = stderr().write_all(format!("{text}\n").as_bytes());
}

/// A value as JSON over several lines.
pub fn json(value: &impl Serialize) -> Result<String> {
    Ok(serde_json::to_string_pretty(value)? + "\n")
}

/// Asks whether all that was written to stdout has arrived where it leads, which may be a file.
pub fn finish() -> Result<()> {
    check_written(stdout()).context("cannot write: standard output")
}
