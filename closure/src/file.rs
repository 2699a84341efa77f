//! The closure file: `layerstone/closure`, a references graph as Nix writes it for exportReferencesGraph.
//!
//! See FORMAT.md beside this crate.

use crate::{Graph, Result};
use layerstone_stage::{NarHash, StorePath, write_stage_file};
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
    /// Reads a closure file, or a references graph in any other form that [`Graph::read`] takes, whole; `-` is standard
    /// input.
    ///
    /// # Errors
    ///
    /// Those of [`Graph::read`] and [`Graph::closure`].
    pub fn read(path: &Path) -> Result<Closure> {
        Graph::read(path)?.closure(&[])
    }

    /// Writes a closure file; `-` is standard output.
    pub fn write(&self, path: &Path) -> Result<()> {
        Ok(write_stage_file(path, FORMAT, VERSION, self)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn write_read_same() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x.closure.json");
        let closure =
            Graph::parse(include_bytes!("../tests/forms/registration"), "registration").unwrap().closure(&[]).unwrap();
        assert!(!closure.graph.is_empty());
        closure.write(&file).unwrap();
        assert_eq!(Closure::read(&file).unwrap(), closure);
    }

    #[test]
    fn the_example_in_the_format_page() {
        let page = include_str!("../FORMAT.md");
        let blocks: Vec<&str> = page.split("```").skip(1).step_by(2).collect();
        let block = |language: &str| {
            let found = blocks.iter().find_map(|block| block.strip_prefix(language)?.strip_prefix('\n'));
            found.unwrap_or_else(|| panic!("no {language} block in FORMAT.md"))
        };
        let closure = Graph::parse(block("text").as_bytes(), "example").unwrap().closure(&[]).unwrap();
        assert_eq!(layerstone_stage::to_text(FORMAT, VERSION, &closure), block("json"));
        let again = Graph::parse(block("json").as_bytes(), "example").unwrap().closure(&[]).unwrap();
        assert_eq!(again, closure);
    }

    #[test]
    fn strict_prefixes_are_errors() {
        let closure =
            Graph::parse(include_bytes!("../tests/forms/registration"), "registration").unwrap().closure(&[]).unwrap();
        let text = layerstone_stage::to_text(FORMAT, VERSION, &closure);
        for end in 0..text.trim_end().len() {
            assert!(Graph::parse(&text.as_bytes()[..end], "cut").is_err(), "{end}");
        }
    }
}
