//! Files of a trial: what is there, copied, removed, left over.

use crate::process;
use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What temporary names begin with (closure/store, `temporary.rs`).
const TEMPORARY: &str = ".layerstone-tmp-";

/// The files of outputs and their sha256, by name.
pub type Files = BTreeMap<PathBuf, [u8; 32]>;

/// Whether a name is a temporary one.
pub fn is_temporary(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(TEMPORARY.as_bytes())
}

/// Removes whatever has a name, if anything has.
pub fn remove(path: &Path) -> Result<()> {
    let removed = if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        removed => removed.with_context(|| format!("cannot remove: {}", path.display())),
    }
}

/// Copies a directory into another one.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    process::run(Command::new("cp").args(["-a", "--"]).arg(from.join(".")).arg(to))
}

/// The files below a path whose names count.
pub fn collect(path: &Path, files: &mut Files, counts: impl Fn(&OsStr) -> bool + Copy) -> Result<()> {
    if !path.file_name().is_some_and(counts) || !path.exists() {
        return Ok(());
    }
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            collect(&entry?.path(), files, counts)?;
        }
        return Ok(());
    }
    let bytes = fs::read(path).with_context(|| format!("cannot read: {}", path.display()))?;
    files.insert(path.to_owned(), Sha256::digest(bytes).into());
    Ok(())
}

/// The paths of all files and directories below one.
pub fn walk(path: &Path, names: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        names.push(entry.path());
        if entry.file_type()?.is_dir() {
            walk(&entry.path(), names)?;
        }
    }
    Ok(())
}

/// The first temporary name below a directory.
pub fn leftover(directory: &Path) -> Result<Option<PathBuf>> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if is_temporary(&entry.file_name()) {
            return Ok(Some(entry.path()));
        }
        if entry.file_type()?.is_dir()
            && let Some(found) = leftover(&entry.path())?
        {
            return Ok(Some(found));
        }
    }
    Ok(None)
}
