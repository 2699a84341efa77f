//! Debian as small as it runs, one tar of its files: what images are based on in tests.

use crate::process;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use std::process::Command;
use xtask::stamp::{self, RELEASE};

/// Where it is in the work directory.
pub fn file(work: &Path) -> PathBuf {
    work.join("debian.tar")
}

/// Makes it, unless this recipe has made it before.
pub fn make(work: &Path) -> Result<PathBuf> {
    let file = file(work);
    let expected = stamp::expected("debian").context("the base has a stamp")?;
    if file.exists() && stamp::check(&file, &expected).is_ok() {
        return Ok(file);
    }
    stamp::remove(&file)?;
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
    stamp::write(&file, &expected)?;
    Ok(file)
}
