//! Judges: programs of Debian 13 that run on an older Debian too, each out of its package, for tests.

use super::apt::{Apt, Package};
use crate::process;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use xtask::stamp::{self, CLIENTS_RELEASE, JUDGES};

/// Where they are in the work directory; the programs are in `usr/bin` there.
pub fn folder(work: &Path) -> PathBuf {
    work.join("judges")
}

/// Fetches them, unless they are there.
pub fn make(work: &Path) -> Result<PathBuf> {
    let work = std::path::absolute(work).context("cannot find the current directory")?;
    let folder = folder(&work);
    let expected = stamp::expected("judges").context("the judges have a stamp")?;
    if stamp::check(&folder, &expected).is_ok() {
        return Ok(folder);
    }
    let debs = work.join("debs");
    for folder in [&folder, &debs] {
        fs::create_dir_all(folder).with_context(|| format!("cannot create: {}", folder.display()))?;
    }
    let apt = Apt::of_suite(CLIENTS_RELEASE, &work.join("apt").join(CLIENTS_RELEASE))?;
    let all = apt.resolve(&JUDGES.map(str::to_owned))?;
    let packages: Vec<Package> = all.into_iter().filter(|it| JUDGES.contains(&&*it.name)).collect();
    apt.download(&packages, &debs)?;
    for package in &packages {
        process::run(Command::new("dpkg-deb").arg("--extract").arg(debs.join(&package.file)).arg(&folder))?;
    }
    stamp::write(&folder, &expected)?;
    Ok(folder)
}
