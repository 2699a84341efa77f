//! Finds bash, and builds the command that runs a script with it in an environment that is the same everywhere.

use crate::{Error, Result};
use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A home that does not exist: a program that needs one fails where it would write, as in Nix builds.
const HOME: &str = "/homeless-shelter";

/// A script and the bash that runs it, by the paths that the script's process sees.
#[derive(Debug)]
pub struct Bash {
    /// The shell.
    pub program: PathBuf,
    /// The script.
    pub script: PathBuf,
    /// PATH.
    pub path: OsString,
    /// TMPDIR.
    pub temporary: PathBuf,
}

impl Bash {
    /// The command that runs the script in a directory, in a process group of its own; its outputs and sandbox are the
    /// caller's. `mtime` becomes SOURCE_DATE_EPOCH.
    pub fn command(&self, directory: &Path, mtime: i64) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("-e").arg(&self.script).current_dir(directory).stdin(Stdio::null()).process_group(0);
        command.env_clear().env("PATH", &self.path).env("HOME", HOME).env("TMPDIR", &self.temporary);
        command.env("LC_ALL", "C").env("TZ", "UTC").env("SOURCE_DATE_EPOCH", mtime.to_string());
        command
    }
}

/// The first bash in PATH; `script` stands in messages.
pub fn find_bash(script: &str, path: &OsStr) -> Result<PathBuf> {
    let found = std::env::split_paths(path).map(|directory| directory.join("bash")).find(|file| is_program(file));
    let bash = found.ok_or_else(|| Error::NoBash { script: script.to_owned(), searched: "PATH", path: path.into() })?;
    // The script runs in another directory.
    std::path::absolute(&bash).map_err(Error::io("find", &bash))
}

/// Whether a file can be run.
pub fn is_program(file: &Path) -> bool {
    file.metadata().is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bash_is_looked_for_in_path() {
        let directory = tempfile::tempdir().unwrap();
        let (directory, path) = (directory.path(), OsStr::new("/absent").to_owned());
        let error = find_bash("x.sh", &path).unwrap_err().to_string();
        assert_eq!(error, "cannot run: x.sh: no bash in PATH (/absent)");
        std::fs::write(directory.join("bash"), "").unwrap();
        assert!(find_bash("x.sh", directory.as_os_str()).is_err(), "not executable");
        std::fs::set_permissions(directory.join("bash"), std::fs::Permissions::from_mode(0o755)).unwrap();
        let path = std::env::join_paths([path.as_ref(), directory]).unwrap();
        assert_eq!(find_bash("x.sh", &path).unwrap(), directory.join("bash"));
    }
}
