//! This program once more, instead of this process.

use anyhow::{Context, Result, anyhow};
use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Goes on as if this program had been called with these words and, besides what there is, these variables: a builder of
/// Nix or a script becomes the command that it was called for. Returns only if that cannot be.
pub fn become_ourselves(words: &[impl AsRef<OsStr>], variables: Vec<(&str, &str)>) -> Result<()> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let error = Command::new(&program).args(words).envs(variables).exec();
    Err(anyhow!(error).context(format!("cannot run: {}", program.display())))
}
