//! What layerstone's tests share with its developer tasks: the synthetic store and the golden facts about it, the stamp of a
//! lab, and how cargo is run.
//!
//! The tasks themselves are the binary: `cargo xtask help` lists them.

pub mod stamp;
pub mod synth;

use std::path::PathBuf;
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

/// The folder of golden facts, one folder per subject; its `README.md` files say how each was made.
pub fn golden_dir() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "golden"].iter().collect()
}
