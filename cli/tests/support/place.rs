//! A directory of a test's own in which the binary runs, with nothing of the caller's environment.

use crate::support::skip::remove_at_exit;
use crate::support::with_default_signals;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A test's directory: commands run in it, their temporary files are beside it. It disappears when dropped.
pub struct Place {
    _whole: Option<tempfile::TempDir>,
    work: PathBuf,
    temporary: PathBuf,
}

/// What a command did.
#[derive(Debug)]
pub struct Run {
    /// Exit status; none after a signal.
    pub code: Option<i32>,
    /// What it wrote to stdout.
    pub stdout: Vec<u8>,
    /// What it wrote to stderr.
    pub stderr: String,
}

impl Run {
    /// Stdout as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }
}

/// What stderr holds without the summary with which a command ends that made an image.
pub fn without_summary(stderr: &str) -> String {
    const BEGINNINGS: [&str; 6] = ["built ", "pushed ", "pulled ", "copied ", "merged ", "put together "];
    let (mut text, mut is_inside) = (String::new(), false);
    for line in stderr.lines() {
        let begins = BEGINNINGS.iter().any(|word| line.starts_with(word)) && line.contains(" in ");
        is_inside = begins || (is_inside && line.starts_with("  "));
        if !is_inside {
            text += &format!("{line}\n");
        }
    }
    text
}

impl From<Output> for Run {
    fn from(output: Output) -> Run {
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        Run { code: output.status.code(), stdout: output.stdout, stderr }
    }
}

impl Place {
    /// A new, empty place.
    pub fn new() -> Place {
        Place::within(Path::new(env!("CARGO_TARGET_TMPDIR")))
    }

    /// A new, empty place that disappears when the process ends: for statics, which are never dropped.
    pub fn until_exit() -> Place {
        let place = Place::new();
        remove_at_exit(place.path().parent().unwrap());
        place
    }

    /// A new, empty place in a directory, open to every user.
    pub fn within(folder: &Path) -> Place {
        let whole = tempfile::tempdir_in(folder).unwrap();
        fs::set_permissions(whole.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let place = Place::at(whole.path());
        Place { _whole: Some(whole), ..place }
    }

    /// The place in a directory that stays.
    pub fn at(folder: &Path) -> Place {
        let [work, temporary] = ["work", "temporary"].map(|name| folder.join(name));
        fs::create_dir_all(&work).unwrap();
        fs::create_dir_all(&temporary).unwrap();
        Place { _whole: None, work, temporary }
    }

    /// The directory that commands run in.
    pub fn path(&self) -> &Path {
        &self.work
    }

    /// The directory that commands have as TMPDIR.
    pub fn temporary(&self) -> &Path {
        &self.temporary
    }

    /// A file of the directory.
    pub fn join(&self, name: impl AsRef<OsStr>) -> PathBuf {
        self.work.join(name.as_ref())
    }

    /// Writes a file.
    #[track_caller]
    pub fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, contents).unwrap();
        path
    }

    /// The same with a mode, whatever the umask.
    pub fn write_mode(&self, name: &str, contents: impl AsRef<[u8]>, mode: u32) -> PathBuf {
        let path = self.write(name, contents);
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    /// Reads a file.
    #[track_caller]
    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Reads a JSON file.
    #[track_caller]
    pub fn json(&self, name: &str) -> serde_json::Value {
        serde_json::from_slice(&self.read(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The binary with these words (separated by spaces) in a clean environment, for tests that do more than [`run`].
    ///
    /// [`run`]: Place::run
    pub fn command(&self, line: &str) -> Command {
        let mut command = with_default_signals(Command::new(env!("CARGO_BIN_EXE_layerstone")));
        command.args(line.split_whitespace()).current_dir(&self.work).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("TMPDIR", &self.temporary);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs the binary.
    #[track_caller]
    pub fn run(&self, line: &str) -> Run {
        self.command(line).output().unwrap().into()
    }

    /// Runs the binary, which must succeed and leave no temporary file.
    #[track_caller]
    pub fn ok(&self, line: &str) -> Run {
        let run = self.run(line);
        assert_eq!(run.code, Some(0), "layerstone {line}\n{}", run.stderr);
        self.check_no_leftovers();
        run
    }

    /// Runs the binary, which must fail with status 1, print nothing on stdout and change no file; what it says.
    #[track_caller]
    pub fn fail(&self, line: &str) -> String {
        let before = self.listing();
        let run = self.run(line);
        assert_eq!(run.code, Some(1), "layerstone {line}\n{}", run.stderr);
        assert!(run.stdout.is_empty(), "layerstone {line}\n{}", String::from_utf8_lossy(&run.stdout));
        assert_eq!(self.listing(), before, "layerstone {line}");
        self.check_no_leftovers();
        run.stderr
    }

    /// The same without the hints, which the slips of slips.txt pin.
    #[track_caller]
    pub fn error_of(&self, line: &str) -> String {
        let told = self.fail(line);
        told.split_inclusive('\n').filter(|line| !line.starts_with("hint: ")).collect()
    }

    /// Every file of the directory: what it is and, for a file, the digest of its contents.
    pub fn listing(&self) -> BTreeMap<PathBuf, String> {
        let mut found = BTreeMap::new();
        list(&self.work, &mut found);
        found
    }

    /// The part of [`listing`] that is, or is below, these names.
    ///
    /// [`listing`]: Place::listing
    pub fn listing_of(&self, names: &[&str]) -> BTreeMap<PathBuf, String> {
        let mut found = BTreeMap::new();
        for name in names {
            list_one(&self.join(name), &mut found);
        }
        found
    }

    /// No temporary file in the directory or in TMPDIR.
    #[track_caller]
    pub fn check_no_leftovers(&self) {
        let names = |folder| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let left: Vec<_> = names(&self.work).filter(|name| name.as_bytes().starts_with(b".layerstone-tmp-")).collect();
        assert!(left.is_empty(), "left: {left:?}");
        let left: Vec<_> = names(&self.temporary).collect();
        assert!(left.is_empty(), "left in TMPDIR: {left:?}");
    }
}

fn list(folder: &Path, found: &mut BTreeMap<PathBuf, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        list_one(&entry.unwrap().path(), found);
    }
}

fn list_one(path: &Path, found: &mut BTreeMap<PathBuf, String>) {
    let kind = path.symlink_metadata().unwrap().file_type();
    let what = if kind.is_dir() {
        list(path, found);
        "folder".to_owned()
    } else if kind.is_file() {
        fs::read(path).map_or_else(|error| error.to_string(), |bytes| digest(&bytes))
    } else {
        format!("{kind:?}")
    };
    found.insert(path.to_owned(), what);
}

/// sha256 in hexadecimal digits.
pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
