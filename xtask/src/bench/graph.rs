//! References graphs as large as anyone's, for planning: paths and references, no files.

use crate::bench::random::Random;
use anyhow::{Context, Result};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// Paths in a graph.
const PATHS: u64 = 10_000;
/// References of each path, but for the last ones, which have fewer paths to refer to.
const REFERENCES: u64 = 20;

/// Which paths a path refers to; always later ones, so that there is no cycle.
#[derive(Clone, Copy)]
pub enum Shape {
    /// The next twenty. The number of ways from the first path to the last has about 10,000 bits: the largest counts.
    Next,
    /// Twenty at random.
    Random,
}

/// Writes a graph as exportReferencesGraph has it; it is streamed, not held.
pub fn write(shape: Shape, path: &Path) -> Result<()> {
    let context = || format!("cannot write: {}", path.display());
    let mut out = BufWriter::new(File::create(path).with_context(context)?);
    let mut random = Random::new(shape as u64);
    for index in 0..PATHS {
        let mut references: Vec<u64> = match shape {
            Shape::Next => (index + 1..=index + REFERENCES).filter(|&other| other < PATHS).collect(),
            Shape::Random if index + 1 == PATHS => Vec::new(),
            Shape::Random => (0..REFERENCES).map(|_| index + 1 + random.below(PATHS - index - 1)).collect(),
        };
        references.sort_unstable();
        references.dedup();
        let names: Vec<String> = references.into_iter().map(|other| format!("\"{}\"", name(other))).collect();
        let begin = if index == 0 { "[" } else { ",\n" };
        write!(out, r#"{begin}{{"path": "{}", "references": [{}]}}"#, name(index), names.join(", "))
            .with_context(context)?;
    }
    out.write_all(b"]\n").and_then(|()| out.flush()).with_context(context)
}

fn name(index: u64) -> String {
    format!("/nix/store/{}-package-{index}", Random::new(index).hash_part())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_shapes_are_graphs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("graph.json");
        for (shape, least) in [(Shape::Next, 199_790), (Shape::Random, 198_000)] {
            write(shape, &path).unwrap();
            let graph: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
            let graph = graph.as_array().unwrap();
            assert_eq!(graph.len(), 10_000);
            let references: usize = graph.iter().map(|info| info["references"].as_array().unwrap().len()).sum();
            assert!((least..=200_000).contains(&references), "{references}");
        }
    }
}
