//! Text on stdout, where a reader may have gone or a disk be full.

use anyhow::{Context, Result};
use layerstone_store::check_written;
use std::fmt::Display;
use std::io::{Write, stdout};

/// Writes a text to stdout, unlike `print!`, which panics if that fails.
pub fn print(text: impl Display) -> Result<()> {
    let mut out = stdout().lock();
    write!(out, "{text}").and_then(|()| out.flush()).context("cannot write: standard output")
}

/// Asks whether all that was written to stdout has arrived where it leads, which may be a file.
pub fn finish() -> Result<()> {
    check_written(stdout()).context("cannot write: standard output")
}
