//! What layerstone's tests share with its developer tasks: the synthetic store and the golden facts about it, and the stamp
//! of a lab.
//!
//! The tasks themselves are the binary: `cargo xtask help` lists them.

pub mod stamp;
pub mod synth;

use std::path::PathBuf;

/// The folder of golden facts, one folder per subject; its `README.md` files say how each was made.
pub fn golden_dir() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "golden"].iter().collect()
}
