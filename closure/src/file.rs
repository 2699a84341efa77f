//! The closure file: `layerstone/closure`, a references graph as Nix writes it for exportReferencesGraph.
//!
//! See FORMAT.md beside this crate.

use layerstone_stage::{Error, NarHash, Result, StorePath, write_stage_file};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Format name of a closure file.
pub const FORMAT: &str = "layerstone/closure";
/// Version of the format; a change makes older files unreadable (they are derived data: rerun `layerstone closure`).
pub const VERSION: u64 = 1;

/// A closure: every path that its paths refer to is in it, sorted by path, no path twice, no cycle but self references.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closure {
    /// The paths, sorted.
    pub graph: Vec<PathInfo>,
}

/// One store path and what it refers to, under the names of exportReferencesGraph.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PathInfo {
    /// The path.
    pub path: StorePath,
    /// sha256 of its NAR serialisation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nar_hash: Option<NarHash>,
    /// Size of its NAR serialisation in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nar_size: Option<u64>,
    /// The paths it refers to, itself included where it does, sorted.
    pub references: Vec<StorePath>,
}

impl Closure {
    /// Writes a closure file; `-` is standard output.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        write_stage_file(path, FORMAT, VERSION, self)
    }
}
