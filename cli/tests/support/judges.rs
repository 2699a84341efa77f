//! oras and cosign of Debian 13, which `cargo xtask lab judges` puts beside the lab's closures, and readers that are libraries.

use crate::support::{lab, output, skip, test_name};
use std::path::{Path, PathBuf};
use std::process::Command;
use xtask::stamp;

/// The program of `xtask/judges`, or the running test is skipped.
#[track_caller]
pub fn library_judges() -> Option<PathBuf> {
    let judges = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/judges/debug/judges");
    if !judges.exists() {
        let build = "cargo build --manifest-path xtask/judges/Cargo.toml --target-dir target/judges";
        skip(&test_name(), &format!("no judges: `{build}`"));
        return None;
    }
    Some(judges)
}

/// The programs, with a home directory of their own.
pub struct Judges {
    bin: PathBuf,
    home: tempfile::TempDir,
}

impl Judges {
    /// The programs, or the running test is skipped.
    #[track_caller]
    pub fn find() -> Option<Judges> {
        let folder = lab::folder().join("judges");
        if let Err(reason) = stamp::check(&folder, &stamp::expected("judges").unwrap()) {
            lab::absent(&reason, "judges");
            return None;
        }
        let home = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        Some(Judges { bin: folder.join("usr/bin"), home })
    }

    /// A program with these words, separated by spaces, run in a directory.
    pub fn command(&self, line: &str, folder: &std::path::Path) -> Command {
        let mut words = line.split_whitespace();
        let mut command = Command::new(self.bin.join(words.next().unwrap()));
        command.args(words).current_dir(folder).env("HOME", self.home.path()).env_remove("DOCKER_CONFIG");
        command
    }

    /// What it prints; it must succeed.
    #[track_caller]
    pub fn run(&self, line: &str, folder: &std::path::Path) -> String {
        output(&mut self.command(line, folder))
    }
}
