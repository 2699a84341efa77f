//! What layerstone's tests share with its developer tasks: the book, the synthetic store and the golden facts about it,
//! the stamp of a lab, what fuzzing found, and how cargo is run.
//!
//! The tasks themselves are the binary: `cargo xtask help` lists them.

#![forbid(unsafe_code)]

pub mod book;
pub mod stamp;
pub mod synth;

use std::path::{Path, PathBuf};
use std::process::Command;

/// cargo, without what another cargo has told this program of its package: build scripts that ask for the same variables
/// would run again, and what depends on them would be compiled again, now and the next time without us.
pub fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    for (name, _) in std::env::vars_os() {
        let is_of_package = |name: &str| name.starts_with("CARGO_MANIFEST_") || name.starts_with("CARGO_PKG_");
        if name == "OUT_DIR" || name.to_str().is_some_and(is_of_package) {
            command.env_remove(name);
        }
    }
    command
}

/// The directory of golden facts, one directory per subject; its `README.md` files say how each was made.
pub fn golden_dir() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "golden"].iter().collect()
}

/// The inputs that were kept for a fuzz target, which are in `fuzz/corpus`.
///
/// # Panics
///
/// There are none.
pub fn fuzz_inputs(target: &str) -> Vec<PathBuf> {
    let directory: PathBuf = [env!("CARGO_MANIFEST_DIR"), "fuzz", "corpus", target].iter().collect();
    let entries = std::fs::read_dir(&directory).unwrap_or_else(|e| panic!("cannot list: {}: {e}", directory.display()));
    let mut inputs: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    assert!(!inputs.is_empty(), "found no input: {}", directory.display());
    inputs.sort();
    inputs
}

/// Gives a fuzz target all inputs that were kept for it.
///
/// # Panics
///
/// There are none, or the target does: the message behind its own names the input.
pub fn replay(target: &str, run: impl Fn(&[u8])) {
    for input in fuzz_inputs(target) {
        let bytes = std::fs::read(&input).unwrap_or_else(|e| panic!("cannot read: {}: {e}", input.display()));
        let _shown = ShownOnPanic(&input);
        run(&bytes);
    }
}

/// Says which input it was if a test panics.
struct ShownOnPanic<'a>(&'a Path);

impl Drop for ShownOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("input: {}", self.0.display());
        }
    }
}
