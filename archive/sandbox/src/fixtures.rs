//! Runs scripts in each kind of sandbox, for the tests of this crate.

use crate::child::Users;
use crate::run::{Attempt, attempts, run_in};
use crate::{Ended, Error, Job, Ownership, Privileges, SandboxOptions, WorkDirs};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// A directory to run in, and a scratch directory.
pub struct Fixture(tempfile::TempDir);

impl Fixture {
    pub fn new() -> Fixture {
        let fixture = Fixture(tempfile::tempdir().unwrap());
        std::fs::create_dir(fixture.layer()).unwrap();
        std::fs::create_dir(fixture.scratch()).unwrap();
        fixture
    }

    pub fn directory(&self) -> PathBuf {
        self.0.path().canonicalize().unwrap()
    }

    pub fn layer(&self) -> PathBuf {
        self.directory().join("layer")
    }

    pub fn scratch(&self) -> PathBuf {
        self.directory().join("scratch")
    }

    /// Runs a script as this one; none without a sandbox.
    pub fn run(&self, users: Option<Users>, privileges: Privileges, text: &str) -> (String, Result<Ended, Error>) {
        self.run_with(users, privileges, SandboxOptions::default(), text)
    }

    /// The same with options.
    pub fn run_with(
        &self,
        users: Option<Users>,
        privileges: Privileges,
        options: SandboxOptions,
        text: &str,
    ) -> (String, Result<Ended, Error>) {
        let (layer, scratch) = (self.layer(), self.scratch());
        let mut log = Vec::new();
        let make = || {
            let mut command = Command::new("bash");
            command.args(["-e", "-c", text]).stdin(Stdio::null()).current_dir(&layer).process_group(0);
            command.env("TMPDIR", &scratch);
            command
        };
        let dirs = WorkDirs { enter: &layer, scratch: &scratch, inner: None };
        let job = Job { make: &make, dirs, privileges, options };
        let attempts = attempts(&job).unwrap();
        let attempt: Vec<Attempt> = attempts.into_iter().filter(|attempt| attempt.users == users).collect();
        assert_eq!(attempt.len(), 1, "{users:?}");
        let mut warnings = Vec::new();
        let result = run_in(attempt, &job, &mut log, &mut |weakness| warnings.push(weakness.step));
        assert!(warnings.is_empty(), "{users:?} {warnings:?}");
        (String::from_utf8(log).unwrap(), result)
    }

    /// What a script printed; it must succeed. None if there is no such sandbox here, which the test prints.
    pub fn printed(&self, users: Option<Users>, privileges: Privileges, text: &str) -> Option<(String, Ownership)> {
        let (log, result) = self.run(users, privileges, text);
        match result {
            Ok(ended) => {
                assert!(ended.status.success(), "{users:?} {}\n{log}", ended.status);
                Some((log, ended.ownership))
            }
            Err(Error::Step { step, source }) => {
                assert!(std::env::var_os("LAYERSTONE_REQUIRE_ALL").is_none(), "{users:?}: {step:?}: {source}");
                println!("SKIP {users:?}: cannot {}: {source}", step.describe());
                None
            }
            Err(error) => panic!("{users:?} {error}"),
        }
    }
}
