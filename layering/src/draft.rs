//! Reads a plan file as it is written: ours, or the bare list of lists of another tool. Does not know whether it is a
//! plan.

use layerstone_store::{Document, NarHash, Result, StorePath, from_value, parse_document, read_input};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// Format name of a plan.
pub const PLAN_FORMAT: &str = "layerstone/layers";
/// Version of the format; a change makes older files unreadable (they are derived data: rerun `layerstone layers`).
pub const PLAN_VERSION: u64 = 1;
/// The JSON Schema of a plan (JSON Schema 2020-12). That no path stands twice the parser alone checks.
pub const PLAN_SCHEMA: &str = include_str!("../schema.json");
/// The command that writes plans, named when a file is of another version.
const RERUN: &str = "layerstone layers";

/// The layers of a plan as they are written, bottom first: texts that should be store paths.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Draft {
    /// The layers.
    pub layers: Vec<Vec<String>>,
    /// NAR hashes of paths.
    #[serde(default, rename = "narHashes")]
    pub nar_hashes: BTreeMap<StorePath, NarHash>,
}

impl Draft {
    /// Reads a plan file, ours or another tool's, whatever its layers hold; `-` is standard input.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or is no list of lists of texts.
    pub fn read(path: &Path) -> Result<Draft> {
        Draft::parse(&read_input(path)?, &path.display().to_string())
    }

    /// The draft in a file's bytes; `name` stands in messages.
    ///
    /// # Errors
    ///
    /// It is no list of lists of texts.
    pub fn parse(bytes: &[u8], name: &str) -> Result<Draft> {
        match parse_document(bytes, name, PLAN_FORMAT, PLAN_VERSION, RERUN)? {
            Document::Bare(value) if value.is_array() => {
                Ok(Draft { layers: from_value(value, PLAN_FORMAT, name)?, nar_hashes: BTreeMap::new() })
            }
            Document::Ours(value) | Document::Bare(value) => from_value(value, PLAN_FORMAT, name),
        }
    }
}
