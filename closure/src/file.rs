//! Writes the closure file, `layerstone/closure`: a references graph as Nix writes it for exportReferencesGraph.
//!
//! See FORMAT.md beside this crate.

use crate::Result;
use layerstone_store::{Digest, NarHash, StorePath, write_text};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::path::Path;

/// Format name of a closure file.
pub const CLOSURE_FORMAT: &str = "layerstone/closure";
/// Version of the format; a change makes older files unreadable (they are derived data: rerun `layerstone closure`).
pub const CLOSURE_VERSION: u64 = 1;
/// The JSON Schema of a closure file (JSON Schema 2020-12). What an entry says of other entries the parser alone checks.
pub const CLOSURE_SCHEMA: &str = include_str!("../schema.json");

/// A closure: every path that its paths refer to is in it, sorted by path, no path twice, no cycle but self references.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closure {
    /// The paths, sorted.
    pub graph: Vec<PathInfo>,
}

/// One store path and what it refers to, under the names of exportReferencesGraph, which stand here in their order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PathInfo {
    /// sha256 of its NAR serialisation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nar_hash: Option<NarHash>,
    /// Size of its NAR serialisation in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nar_size: Option<u64>,
    /// The path.
    pub path: StorePath,
    /// The paths it refers to, itself included where it does, sorted.
    pub references: Vec<StorePath>,
}

impl Closure {
    /// The paths that no other path refers to, sorted: whatever is in the closure, one of these leads to it.
    pub fn roots(&self) -> Vec<StorePath> {
        let others = self.graph.iter().flat_map(|info| info.references.iter().filter(move |path| **path != info.path));
        let used: HashSet<&StorePath> = others.collect();
        self.graph.iter().map(|info| &info.path).filter(|path| !used.contains(path)).cloned().collect()
    }

    /// Where a path stands.
    pub(crate) fn position(&self, path: &StorePath) -> Option<usize> {
        self.graph.binary_search_by(|info| info.path.cmp(path)).ok()
    }

    /// The digest of its file.
    pub fn digest(&self) -> Digest {
        Digest::of(self.text().as_bytes())
    }

    /// Writes a closure file; `-` is standard output.
    pub fn write(&self, path: &Path) -> Result<()> {
        Ok(write_text(path, &self.text())?)
    }

    /// The text of the file. It may have hundreds of thousands of references, so it is made without a tree of JSON
    /// values in between: the keys stand in their order from the beginning.
    pub(crate) fn text(&self) -> String {
        let file = File { format: CLOSURE_FORMAT, graph: &self.graph, version: CLOSURE_VERSION };
        let text = serde_json::to_string_pretty(&file).expect("no key but a text, and no serializer that fails");
        text + "\n"
    }
}

/// A closure file, its keys in their order.
#[derive(Serialize)]
struct File<'a> {
    format: &'static str,
    graph: &'a [PathInfo],
    version: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ReferencesGraph;

    #[test]
    fn write_read_same() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x.closure.json");
        let closure = ReferencesGraph::parse(include_bytes!("../tests/forms/registration"), "registration")
            .unwrap()
            .closure(&[])
            .unwrap();
        assert!(!closure.graph.is_empty());
        closure.write(&file).unwrap();
        assert_eq!(Closure::read(&file).unwrap(), closure);
    }

    /// a and e lead to everything: a to b and c, b and d to c, e to d; c refers to itself.
    fn sample() -> Closure {
        let info = |(path, references): (&str, &str)| PathInfo {
            path: StorePath::parse(&format!("/s/{path}")).unwrap(),
            nar_hash: None,
            nar_size: None,
            references: references.chars().map(|name| StorePath::parse(&format!("/s/{name}")).unwrap()).collect(),
        };
        let entries = [("a", "bc"), ("b", "cf"), ("c", "c"), ("d", "c"), ("e", "d"), ("f", "")].map(info).to_vec();
        ReferencesGraph::new("sample", entries).unwrap().closure(&[]).unwrap()
    }

    fn paths(text: &str) -> Vec<StorePath> {
        text.chars().map(|name| StorePath::parse(&format!("/s/{name}")).unwrap()).collect()
    }

    /// Without some paths, each of one letter, the closure of the roots is this.
    #[track_caller]
    fn check_without(excluded: &str, roots: &str, expected: &str) {
        let closure = sample().without(&paths(excluded).into_iter().collect(), &paths(roots)).unwrap();
        let found: Vec<_> = closure.graph.iter().map(|info| info.path.clone()).collect();
        assert_eq!(found, paths(expected));
        assert!(closure.graph.iter().flat_map(|info| &info.references).all(|path| found.contains(path)));
    }

    #[test]
    fn what_is_left_without_some_paths() {
        assert_eq!(sample().roots(), paths("ae"));
        check_without("b", "", "acde");
        check_without("c", "", "abdef");
        check_without("bd", "", "ace");
        check_without("a", "", "cde");
        check_without("ae", "", "");
        check_without("b", "a", "ac");
        check_without("a", "ab", "bcf");
        check_without("", "e", "cde");
        let error = sample().without(&paths("bx").into_iter().collect(), &[]).unwrap_err().to_string();
        assert_eq!(error, "cannot exclude: /s/x: not in the closure");
    }

    #[test]
    fn the_example_in_the_format_page() {
        let page = include_str!("../FORMAT.md");
        let blocks: Vec<&str> = page.split("```").skip(1).step_by(2).collect();
        let block = |language: &str| {
            let found = blocks.iter().find_map(|block| block.strip_prefix(language)?.strip_prefix('\n'));
            found.unwrap_or_else(|| panic!("no {language} block in FORMAT.md"))
        };
        let closure = ReferencesGraph::parse(block("text").as_bytes(), "example").unwrap().closure(&[]).unwrap();
        assert_eq!(closure.text(), block("json"));
        assert_eq!(closure.text(), layerstone_store::to_text(CLOSURE_FORMAT, CLOSURE_VERSION, &closure));
        let again = ReferencesGraph::parse(block("json").as_bytes(), "example").unwrap().closure(&[]).unwrap();
        assert_eq!(again, closure);
    }

    #[test]
    fn strict_prefixes_are_errors() {
        let closure = ReferencesGraph::parse(include_bytes!("../tests/forms/registration"), "registration")
            .unwrap()
            .closure(&[])
            .unwrap();
        let text = closure.text();
        for end in 0..text.trim_end().len() {
            assert!(ReferencesGraph::parse(&text.as_bytes()[..end], "cut").is_err(), "{end}");
        }
    }
}
