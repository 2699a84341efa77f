//! What a fuzzer drives of this crate, and what must hold whatever it finds: a closure of a references graph is written as one
//! that is read the same; so are NARs and databases.

#[cfg(feature = "nix-db")]
mod database;
mod nar;

#[cfg(feature = "nix-db")]
pub use database::database;
pub use nar::nar;

use crate::{PathInfo, ReferencesGraph};
use layerstone_store::{Scratch, StorePath};
use std::path::Path;

/// Bytes that decide what is made.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn number(&mut self, bytes: usize) -> usize {
        self.take(bytes).iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte))
    }
}

/// A directory in memory, if there is one.
struct Folder(Scratch);

impl Folder {
    fn new() -> Folder {
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        Folder(Scratch::create(&parent).expect("a directory"))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

/// A references graph in any form.
pub fn references_graph(bytes: &[u8]) {
    let Ok(graph) = ReferencesGraph::parse(bytes, "graph") else { return };
    assert!(graph.entries.is_sorted_by(|a, b| a.path < b.path), "{graph:?}");
    let roots: Vec<StorePath> = graph.entries.iter().map(|info| info.path.clone()).collect();
    check_registration(&graph.entries);
    let Ok(closure) = graph.clone().closure(&roots) else { return };
    assert_eq!(closure.graph.len(), roots.len());
    let text = closure.text();
    assert_eq!(parsed(text.as_bytes()).as_ref(), Some(&closure.graph));
    // It is one object and a newline.
    for end in (0..text.len() - 1).step_by(13) {
        assert!(ReferencesGraph::parse(&text.as_bytes()[..end], "prefix").is_err(), "{}", &text[..end]);
    }
    // What no other path refers to leads to everything.
    let again = graph.closure(&closure.roots());
    assert_eq!(again.expect("they are in it").graph, closure.graph);
}

/// Entries as registration text are read as they were; the text of a part of them is that of fewer, or of none.
fn check_registration(entries: &[PathInfo]) {
    if entries.iter().any(|info| [&info.path].into_iter().chain(&info.references).any(|it| it.as_str().contains('\n')))
    {
        return;
    }
    let text: String = entries.iter().map(registration).collect();
    let expected: Vec<PathInfo> = entries
        .iter()
        .map(|info| PathInfo { nar_size: info.nar_hash.and(info.nar_size.or(Some(0))), ..info.clone() })
        .collect();
    if entries.is_empty() {
        return;
    }
    assert_eq!(parsed(text.as_bytes()).as_ref(), Some(&expected), "{text}");
    for end in (1..text.len()).step_by(11) {
        if let Some(found) = parsed(&text.as_bytes()[..end]) {
            assert_eq!(found, expected[..found.len()], "{}", &text[..end]);
        }
    }
}

fn registration(info: &PathInfo) -> String {
    let hash = info.nar_hash.map(|hash| format!("{hash}\n{}\n", info.nar_size.unwrap_or_default()));
    let references: String = info.references.iter().map(|path| format!("{path}\n")).collect();
    format!("{}\n{}\n{}\n{references}", info.path, hash.unwrap_or_default(), info.references.len())
}

fn parsed(bytes: &[u8]) -> Option<Vec<PathInfo>> {
    ReferencesGraph::parse(bytes, "again").ok().map(|graph| graph.entries)
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_fuzzing_found_before() {
        xtask::replay("references_graph", super::references_graph);
    }
}
