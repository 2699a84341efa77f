//! The sources of a release: those of HEAD, without what lies around in the work tree.

use crate::{process, top};
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

/// Puts them into a directory, whose `target` stays, and returns the time of the commit in seconds since 1970.
pub fn export(directory: &Path) -> Result<u64> {
    fs::create_dir_all(directory).with_context(|| format!("cannot create: {}", directory.display()))?;
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name == "target") {
            continue;
        }
        let removed =
            if path.is_dir() && !path.is_symlink() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.with_context(|| format!("cannot remove: {}", path.display()))?;
    }
    let mut archive =
        git(&["archive", "--format=tar", "HEAD"]).stdout(Stdio::piped()).spawn().context("cannot run: git")?;
    let tar = archive.stdout.take().context("git has no output")?;
    // Times are those of the commit, so that cargo compiles again only what another commit has changed.
    process::run(Command::new("tar").args(["-x", "-C"]).arg(directory).stdin(tar))?;
    anyhow::ensure!(archive.wait()?.success(), "git archive failed");
    let time = process::output(&mut git(&["log", "-1", "--format=%ct"]))?;
    time.trim().parse().with_context(|| format!("git log: no time: {time}"))
}

fn git(words: &[&str]) -> Command {
    let mut git = Command::new("git");
    git.args(words).current_dir(top());
    git
}
