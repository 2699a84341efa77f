//! The plan file: `layerstone/layers`, which store paths share a layer.
//!
//! See FORMAT.md beside this crate.

use layerstone_stage::{Document, Error, Result, StorePath, from_value, read_document, write_stage_file};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::path::Path;

/// Format name of a plan.
pub const FORMAT: &str = "layerstone/layers";
/// Version of the format; a change makes older files unreadable (they are derived data: rerun `layerstone layers`).
pub const VERSION: u64 = 1;
/// The command that writes plans, named when a file is of another version.
const RERUN: &str = "layerstone layers";

/// Which store paths share a layer; bottom layer first, no path twice, no empty layer, one store directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The layers, bottom first; within a layer, the order in which the paths stand in the tar.
    pub layers: Vec<Vec<StorePath>>,
}

impl Plan {
    /// Reads a plan, ours or the bare list of lists that nixpkgs' layering tools print; `-` is standard input.
    pub fn read(path: &Path) -> Result<Plan> {
        let name = path.display().to_string();
        let plan: Plan = match read_document(path, FORMAT, VERSION, RERUN)? {
            Document::Ours(value) => from_value(value, FORMAT, &name)?,
            Document::Bare(value) if value.is_array() => Plan { layers: from_value(value, FORMAT, &name)? },
            Document::Bare(value) => from_value(value, FORMAT, &name)?,
        };
        plan.check().map_err(|cause| Error::Malformed { format: FORMAT, name, cause })?;
        Ok(plan)
    }

    /// Writes a plan file; `-` is standard output.
    pub fn write(&self, path: &Path) -> Result<()> {
        write_stage_file(path, FORMAT, VERSION, self)
    }

    /// What is wrong with the plan, if anything.
    pub fn check(&self) -> Result<(), String> {
        let mut seen = HashSet::new();
        let mut stores = self.layers.iter().flatten().map(StorePath::store_dir);
        let store = stores.next();
        if let Some(other) = stores.find(|s| Some(*s) != store) {
            return Err(format!("paths of two stores, {} and {other}", store.unwrap_or_default()));
        }
        for (index, layer) in self.layers.iter().enumerate() {
            if layer.is_empty() {
                return Err(format!("layer {index} is empty"));
            }
            if let Some(path) = layer.iter().find(|path| !seen.insert(*path)) {
                return Err(format!("{path} stands twice, the second time in layer {index}"));
            }
        }
        Ok(())
    }
}
