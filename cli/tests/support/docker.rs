//! A docker daemon that answers, and images in it.

use crate::support::skip::do_at_exit;
use crate::support::{output, output_json, require_tool, skip, test_name, turn};
use serde_json::Value;
use std::fs::File;
use std::io;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// docker with these words (separated by spaces).
pub fn client(words: &str) -> Command {
    let mut command = Command::new("docker");
    command.args(words.split_whitespace());
    command
}

/// A daemon that answers: the one that `DOCKER_HOST` names, or the usual one.
pub struct Docker;

impl Docker {
    /// The daemon, or the running test is skipped.
    #[track_caller]
    pub fn find() -> Option<Docker> {
        if !require_tool("docker") {
            return None;
        }
        let version = client("version").stdin(Stdio::null()).output().unwrap();
        if !version.status.success() {
            skip(&test_name(), "no docker daemon answers: start one, or name it in DOCKER_HOST");
            return None;
        }
        Some(Docker)
    }

    /// The daemon for this test alone, which has built its images before, as others wait: images share layers, and one
    /// test's removal must not meet another's load.
    #[track_caller]
    pub fn turn(&self) -> Turn {
        Turn(turn("docker"))
    }
}

/// A test's turn at the daemon.
pub struct Turn(#[expect(dead_code, reason = "held")] File);

impl Turn {
    /// Loads an archive, which holds one image of this name.
    #[track_caller]
    pub fn load(&self, file: &Path, reference: &str) -> Loaded<'_> {
        let [loaded] = self.load_all(file, [reference]);
        loaded
    }

    /// Loads an archive, which holds images of these names.
    #[track_caller]
    pub fn load_all<const N: usize>(&self, file: &Path, references: [&str; N]) -> [Loaded<'_>; N] {
        let loaded = references.map(|reference| self.loaded(reference));
        let said = output(client("load -i").arg(file));
        assert_eq!(said, references.map(|reference| format!("Loaded image: {reference}\n")).concat());
        loaded
    }

    /// Keeps an image in the daemon until the process ends, and then until nobody has a turn.
    pub fn keep(&self, loaded: Loaded<'_>) {
        let reference = loaded.reference.clone();
        std::mem::forget(loaded);
        do_at_exit(move || {
            let _turn = turn("docker");
            drop(remove(&reference));
        });
    }

    /// An image that something else loads.
    pub fn loaded(&self, reference: &str) -> Loaded<'_> {
        Loaded { _turn: self, reference: reference.to_owned() }
    }
}

/// An image in the daemon, which leaves it when dropped.
pub struct Loaded<'a> {
    _turn: &'a Turn,
    reference: String,
}

impl Loaded<'_> {
    /// What `docker inspect` shows.
    #[track_caller]
    pub fn shown(&self) -> Value {
        output_json(client("image inspect").arg(&self.reference))[0].take()
    }

    /// The digests of the layers, as `docker inspect` shows them.
    #[track_caller]
    pub fn layers(&self) -> Vec<String> {
        serde_json::from_value(self.shown()["RootFS"]["Layers"].take()).unwrap()
    }

    /// What the image prints when it is run, these words in the place of its command.
    #[track_caller]
    pub fn run(&self, words: &[&str]) -> String {
        output(&mut self.container("", words))
    }

    /// The same as this user.
    #[track_caller]
    pub fn run_as(&self, user: &str, words: &[&str]) -> String {
        output(&mut self.container(&format!("--user {user}"), words))
    }

    /// What runs a container that disappears at its end: flags for docker (separated by spaces), and words in the place
    /// of the image's command.
    pub fn container(&self, flags: &str, words: &[&str]) -> Command {
        let mut command = client("run --rm --network none");
        command.args(flags.split_whitespace()).arg(&self.reference).args(words);
        command
    }
}

impl Drop for Loaded<'_> {
    fn drop(&mut self) {
        let removed = remove(&self.reference);
        // A test that has failed says why, whatever the daemon says now.
        assert!(std::thread::panicking() || removed.is_ok_and(|output| output.status.success()));
    }
}

/// Removes an image by its name: with an ID, docker would take other names of the same image with it.
fn remove(reference: &str) -> io::Result<Output> {
    client("image rm --force").arg(reference).stdin(Stdio::null()).output()
}
