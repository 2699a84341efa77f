//! Debian as small as it runs, one tar of its files: what images are based on in tests.

use crate::process;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Of the packages that the lab's closures are made of.
const RELEASE: &str = "bookworm";

/// Where it is in the work folder.
pub fn file(work: &Path) -> PathBuf {
    work.join("debian.tar")
}

/// Makes it, unless it is there.
pub fn make(work: &Path) -> Result<PathBuf> {
    let file = file(work);
    if file.exists() {
        return Ok(file);
    }
    std::fs::create_dir_all(work).with_context(|| format!("cannot create: {}", work.display()))?;
    // Its ending tells mmdebstrap what to write.
    let new = work.join(format!("debian.{}.tar", std::process::id()));
    let made = process::run(
        Command::new("mmdebstrap").args(["--quiet", "--variant=minbase", "--mode=root", RELEASE]).arg(&new),
    );
    if made.is_err() {
        // What it left, if anything, is of no use, and its own words say why.
        let _ = std::fs::remove_file(&new);
    }
    made.and_then(|()| std::fs::rename(&new, &file).with_context(|| format!("cannot write: {}", file.display())))?;
    Ok(file)
}
