//! A closure in which one small path that only the root refers to is another one.

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The most bytes that the path may have.
const SMALL: u64 = 1_000_000;

/// A closure after a change; what was copied into the store for it is removed when this is dropped.
pub struct Change {
    /// The references graph.
    pub graph: Vec<u8>,
    /// The root.
    pub root: String,
    /// Which path has changed, by its name.
    pub what: String,
    copies: Vec<String>,
}

impl Change {
    /// Copies the root of a closure, and a small path that only it refers to, under other names: of all such paths the one
    /// in the middle, by size.
    pub fn make(closure: &Path) -> Result<Change> {
        let root = fs::read_link(closure.join("result")).context("cannot read the lab's result link")?;
        let root = root.to_str().context("the lab's result link is not UTF-8")?.to_owned();
        let text = fs::read_to_string(closure.join("graph.json")).context("cannot read the lab's graph")?;
        let graph: Value = serde_json::from_str(&text)?;
        let infos = graph["graph"].as_array().context("found no graph")?;
        let refers = |info: &Value, path: &str| {
            info["path"] != path && info["references"].as_array().is_some_and(|all| all.iter().any(|it| it == path))
        };
        let is_leaf = |info: &&Value| {
            let path = info["path"].as_str().unwrap_or_default();
            let mut users = infos.iter().filter(|user| refers(user, path));
            info["narSize"].as_u64().is_some_and(|size| size <= SMALL)
                && users.next().is_some_and(|user| user["path"] == root.as_str())
                && users.next().is_none()
        };
        let mut leaves: Vec<&Value> = infos.iter().filter(is_leaf).collect();
        leaves.sort_by_key(|info| info["narSize"].as_u64());
        let leaf = leaves.get(leaves.len() / 2);
        let leaf = leaf.and_then(|info| info["path"].as_str()).context("no small path that only the root refers to")?;
        let (new_leaf, new_root) = (renamed(leaf)?, renamed(&root)?);
        let graph = text.replace(leaf, &new_leaf).replace(&root, &new_root).into_bytes();
        let what = leaf.split_once('-').map_or(leaf, |(_, name)| name).to_owned();
        let change = Change { graph, root: new_root.clone(), what, copies: vec![new_leaf.clone(), new_root.clone()] };
        for (from, to) in [(leaf, &new_leaf), (root.as_str(), &new_root)] {
            ensure!(!Path::new(to).exists(), "there already: {to}");
            let status = Command::new("cp").args(["-a", from, to]).status().context("cannot run: cp")?;
            ensure!(status.success(), "cp {from} {to}: {status}");
        }
        lead(Path::new(&new_root), leaf, &new_leaf)?;
        Ok(change)
    }

    /// Writes before.json and after.json into a directory, specs of the images of a closure before and after, which say this
    /// besides; the root before.
    pub fn write_specs(&self, closure: &Path, folder: &Path, more: &Map<String, Value>) -> Result<PathBuf> {
        let before = fs::read_link(closure.join("result")).context("cannot read the lab's result link")?;
        let graph = folder.join("after.graph.json");
        fs::write(&graph, &self.graph)?;
        for (name, root, graph) in
            [("before", before.display().to_string(), closure.join("graph.json")), ("after", self.root.clone(), graph)]
        {
            let mut spec = more.clone();
            spec.extend(
                [("name", "bench"), ("tag", name), ("contents", &root)]
                    .map(|(key, value)| (key.to_owned(), value.into())),
            );
            spec.insert("graph".to_owned(), serde_json::to_value(&graph)?);
            fs::write(folder.join(format!("{name}.json")), Value::Object(spec).to_string())?;
        }
        Ok(before)
    }
}

/// Lets the links below a directory that lead to a path lead to another one.
fn lead(folder: &Path, from: &str, to: &str) -> Result<()> {
    let mode = fs::metadata(folder)?.permissions();
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read: {}", folder.display()))? {
        let (path, kind) = entry.and_then(|entry| Ok((entry.path(), entry.file_type()?)))?;
        if kind.is_dir() {
            lead(&path, from, to)?;
        } else if kind.is_symlink() {
            let target = fs::read_link(&path)?;
            if let Ok(rest) = target.strip_prefix(from) {
                fs::remove_file(&path)?;
                symlink(Path::new(to).join(rest), &path)?;
            }
        }
    }
    Ok(fs::set_permissions(folder, mode)?)
}

/// The same path with other digits at the end of its hash part.
fn renamed(path: &str) -> Result<String> {
    let (hash, name) = path.split_once('-').with_context(|| format!("not a store path: {path}"))?;
    let digits = if hash.ends_with("00") { "11" } else { "00" };
    Ok(format!("{}{digits}-{name}", &hash[..hash.len() - 2]))
}

impl Drop for Change {
    fn drop(&mut self) {
        for copy in &self.copies {
            // Nothing can be done about a failure here.
            let _ = Command::new("chmod").args(["-R", "u+w", copy]).status();
            let _ = fs::remove_dir_all(copy).or_else(|_| fs::remove_file(copy));
        }
    }
}
