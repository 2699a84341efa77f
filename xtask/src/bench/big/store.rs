//! Makes large stores: of many files, bytes and paths.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// Files in a directory.
const IN_DIRECTORY: u64 = 1000;

/// A store path of so many files of a line each.
pub fn files(count: u64, directory: &Path) -> Result<()> {
    let path = make_path(0, directory)?;
    for index in 0..count {
        let parent = path.join((index / IN_DIRECTORY).to_string());
        if index % IN_DIRECTORY == 0 {
            fs::create_dir(&parent)?;
        }
        fs::write(parent.join((index % IN_DIRECTORY).to_string()), format!("{index}\n"))?;
    }
    plan(directory)
}

/// A store path with a file of so many 10⁹ bytes, all of them a hole.
pub fn bytes(count: u64, directory: &Path) -> Result<()> {
    let path = make_path(0, directory)?;
    File::create(path.join("file"))?.set_len(count * 1_000_000_000)?;
    plan(directory)
}

/// So many store paths of a file each, in `root`, and a spec that names the first one, `image.json`. Every path refers to
/// three others, as packages do that build on each other: a path needs some ten others, or some hundred.
pub fn paths(count: u64, directory: &Path) -> Result<()> {
    (0..count).try_for_each(|index| {
        let path = make_path(index, directory)?;
        fs::write(path.join("file"), format!("{index}\n")).context("cannot write a file of the store")
    })?;
    // The children of a path in a tree of which each has two, and one of the last hundred, which are for all.
    graph(count, directory, |index| {
        [2 * index + 1, 2 * index + 2, (count - count.min(100)).max(index + 1) + index % 100].into_iter().collect()
    })
}

/// A graph of so many paths each of which needs all that come after it.
pub fn chain(count: u64, directory: &Path) -> Result<()> {
    graph(count, directory, |index| (index + 1..index + 11).collect())
}

/// A graph of paths of the same size, and the spec that names the first one.
fn graph(count: u64, directory: &Path, references: impl Fn(u64) -> BTreeSet<u64>) -> Result<()> {
    let info = |index: u64| {
        let references: Vec<String> = references(index).into_iter().filter(|it| *it < count).map(name).collect();
        json!({"path": name(index), "references": references, "narSize": 400})
    };
    write(directory, "graph.json", &(0..count).map(info).collect())?;
    write_spec(directory, json!({}))
}

/// Writes a spec of the first store path, with some keys more.
pub fn write_spec(directory: &Path, more: Value) -> Result<()> {
    let mut spec = json!({"name": "big", "contents": [name(0)], "graph": "graph.json", "maxLayers": 99});
    for (key, value) in more.as_object().into_iter().flatten() {
        spec[key] = value.clone();
    }
    write(directory, "image.json", &spec)
}

fn name(index: u64) -> String {
    format!("/nix/store/{index:032}-big")
}

/// Makes an empty store path.
fn make_path(index: u64, directory: &Path) -> Result<PathBuf> {
    let path = directory.join("root").join(&name(index)[1..]);
    fs::create_dir_all(&path).with_context(|| format!("cannot make: {}", path.display()))?;
    Ok(path)
}

/// The plan of one layer with the first path.
fn plan(directory: &Path) -> Result<()> {
    write(directory, "plan.layers.json", &json!([[name(0)]]))
}

/// Writes a piece of JSON.
pub fn write(directory: &Path, file: &str, value: &Value) -> Result<()> {
    fs::write(directory.join(file), value.to_string()).with_context(|| format!("cannot write: {file}"))
}
