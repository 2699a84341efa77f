//! A closure as updates change it and plans divide it: store paths with sizes, known by their positions.

use crate::bench::layering::debian::hash_part;
use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::HashMap;
use std::fs;
use std::path::Path;

/// Digits of the hash part of a store path.
pub const HASH_DIGITS: usize = 32;

/// Store paths that refer to each other and to nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closure {
    pub paths: Vec<StorePath>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorePath {
    /// Such as `/nix/store/HASH-NAME`.
    pub path: String,
    /// Bytes of its NAR, which stand for its bytes in a layer.
    pub size: u64,
    /// Positions of the paths that it refers to, ascending. References to itself are left out: they change nothing.
    pub references: Vec<usize>,
}

/// An entry of what Nix writes for exportReferencesGraph.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Info {
    path: String,
    nar_size: u64,
    references: Vec<String>,
}

impl Closure {
    /// Reads a references graph with sizes: a bare array, or an object that has it as `graph`.
    pub fn read(file: &Path) -> Result<Closure> {
        let text = fs::read(file).with_context(|| format!("cannot read: {}", file.display()))?;
        parse(&text).with_context(|| format!("no closure: {}", file.display()))
    }

    /// Writes it as a bare array.
    pub fn write(&self, file: &Path) -> Result<()> {
        let names = |positions: &[usize]| positions.iter().map(|&other| self.paths[other].path.clone()).collect();
        let info =
            |of: &StorePath| Info { path: of.path.clone(), nar_size: of.size, references: names(&of.references) };
        let graph: Vec<Info> = self.paths.iter().map(info).collect();
        fs::write(file, serde_json::to_vec(&graph)?).with_context(|| format!("cannot write: {}", file.display()))
    }

    /// Reads what [`Closure::write_brief`] wrote.
    pub fn read_brief(file: &Path) -> Result<Closure> {
        let text = fs::read_to_string(file).with_context(|| format!("cannot read: {}", file.display()))?;
        parse_brief(&text).with_context(|| format!("no closure: {}", file.display()))
    }

    /// Writes it as a line of `NAME SIZE POSITION…` for each path, which refers to the lines at these positions, counted
    /// from 0. Hash parts follow from the names.
    pub fn write_brief(&self, file: &Path) -> Result<()> {
        let line = |of: &StorePath| {
            let references: String = of.references.iter().map(|other| format!(" {other}")).collect();
            format!("{} {}{references}\n", of.name(), of.size)
        };
        let text: String = self.paths.iter().map(line).collect();
        fs::write(file, text).with_context(|| format!("cannot write: {}", file.display()))
    }

    /// The position of every path.
    pub fn positions(&self) -> HashMap<&str, usize> {
        self.paths.iter().enumerate().map(|(position, of)| (of.path.as_str(), position)).collect()
    }

    /// For every path the positions of those that refer to it.
    pub fn users(&self) -> Vec<Vec<usize>> {
        let mut users = vec![Vec::new(); self.paths.len()];
        for (user, of) in self.paths.iter().enumerate() {
            of.references.iter().for_each(|&used| users[used].push(user));
        }
        users
    }

    /// All positions, what a path refers to before it; an error if there is a cycle.
    pub fn needed_first(&self) -> Result<Vec<usize>> {
        let users = self.users();
        let mut waits_for: Vec<usize> = self.paths.iter().map(|of| of.references.len()).collect();
        let mut order: Vec<usize> = (0..self.paths.len()).filter(|&position| waits_for[position] == 0).collect();
        let mut next = 0;
        while let Some(&position) = order.get(next) {
            next += 1;
            for &user in &users[position] {
                waits_for[user] -= 1;
                if waits_for[user] == 0 {
                    order.push(user);
                }
            }
        }
        ensure!(
            order.len() == self.paths.len(),
            "the references of {} paths are a cycle",
            self.paths.len() - order.len()
        );
        Ok(order)
    }

    /// Bytes of all paths.
    pub fn bytes(&self) -> u64 {
        self.paths.iter().map(|of| of.size).sum()
    }
}

impl StorePath {
    /// What stands behind the hash part.
    pub fn name(&self) -> &str {
        let base = self.path.rsplit('/').next().unwrap_or_default();
        base.split_once('-').map_or("", |(_, name)| name)
    }
}

fn parse_brief(text: &str) -> Result<Closure> {
    let count = text.lines().count();
    let path = |line: &str| {
        let mut words = line.split(' ');
        let (name, size) = (words.next().context("an empty line")?, words.next().context("a line without a size")?);
        let references: Vec<usize> = words.map(str::parse).collect::<Result<_, _>>()?;
        ensure!(references.iter().all(|&other| other < count), "{name} refers to an absent line");
        let path = format!("/nix/store/{}-{name}", hash_part(name));
        Ok(StorePath { path, size: size.parse()?, references })
    };
    Ok(Closure { paths: text.lines().map(path).collect::<Result<_>>()? })
}

fn parse(text: &[u8]) -> Result<Closure> {
    let graph = match serde_json::from_slice(text)? {
        Value::Object(mut object) => object.remove("graph").context("the object has no graph")?,
        other => other,
    };
    let graph: Vec<Info> = serde_json::from_value(graph)?;
    ensure!(!graph.is_empty(), "it has no paths");
    let positions: HashMap<&str, usize> = graph.iter().enumerate().map(|(i, info)| (info.path.as_str(), i)).collect();
    let path = |(position, info): (usize, &Info)| {
        let name = info.path.rsplit('/').next().unwrap_or_default();
        ensure!(name.is_ascii() && name.find('-') == Some(HASH_DIGITS), "no store path: {}", info.path);
        ensure!(positions[info.path.as_str()] == position, "twice: {}", info.path);
        let mut references = Vec::with_capacity(info.references.len());
        for reference in info.references.iter().filter(|reference| **reference != info.path) {
            match positions.get(reference.as_str()) {
                Some(&other) => references.push(other),
                None => bail!("{} refers to an absent path: {reference}", info.path),
            }
        }
        references.sort_unstable();
        references.dedup();
        Ok(StorePath { path: info.path.clone(), size: info.nar_size, references })
    };
    Ok(Closure { paths: graph.iter().enumerate().map(path).collect::<Result<_>>()? })
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A store path with a name and a hash part that follows from it.
    pub fn store_path(name: &str) -> String {
        format!("/nix/store/{name:0>HASH_DIGITS$}-{name}")
    }

    /// A closure from lines of `name size: name …`.
    pub fn closure(text: &str) -> Closure {
        let info = |line: &str| {
            let (head, references) = line.trim().split_once(':').unwrap();
            let (name, size) = head.split_once(' ').unwrap();
            let references = references.split_whitespace().map(store_path).collect();
            Info { path: store_path(name), nar_size: size.parse().unwrap(), references }
        };
        let graph: Vec<Info> = text.lines().map(info).collect();
        parse(&serde_json::to_vec(&graph).unwrap()).unwrap()
    }

    #[track_caller]
    fn check_error(graph: &str, expected: &str) {
        let long = graph.replace('@', "/nix/store/00000000000000000000000000000000-");
        let error = parse(long.as_bytes()).and_then(|closure| closure.needed_first()).unwrap_err();
        assert_eq!(format!("{error:#}").replace("/nix/store/00000000000000000000000000000000-", "@"), expected);
    }

    #[test]
    fn what_is_read_is_written() {
        let first = closure("a 1:\nb 2: a b\nc 3: b a a");
        assert_eq!(first.paths[1].references, [0]);
        assert_eq!(first.paths[2].references, [0, 1]);
        assert_eq!((first.users(), first.bytes()), (vec![vec![1, 2], vec![2], vec![]], 6));
        let file = tempfile::NamedTempFile::new().unwrap();
        first.write(file.path()).unwrap();
        assert_eq!(Closure::read(file.path()).unwrap(), first);
        let bare = fs::read_to_string(file.path()).unwrap();
        fs::write(file.path(), format!(r#"{{"graph": {bare}}}"#)).unwrap();
        assert_eq!(Closure::read(file.path()).unwrap(), first);
    }

    #[test]
    fn a_line_for_each_path() {
        let file = tempfile::NamedTempFile::new().unwrap();
        closure("a 1:\nb 2: a\nc 3: b a").write_brief(file.path()).unwrap();
        assert_eq!(fs::read_to_string(file.path()).unwrap(), "a 1\nb 2 0\nc 3 0 1\n");
        let read = Closure::read_brief(file.path()).unwrap();
        assert_eq!(read.paths.iter().map(StorePath::name).collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!((read.users(), read.bytes()), (vec![vec![1, 2], vec![2], vec![]], 6));
        for bad in ["a", "a x", "a 1 1", "a 1 y"] {
            assert!(parse_brief(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_needed_comes_first() {
        assert_eq!(closure("a 1: b c\nb 1: c\nc 1:").needed_first().unwrap(), [2, 1, 0]);
        assert_eq!(closure("a 1:\nb 1:").needed_first().unwrap(), [0, 1]);
    }

    #[test]
    fn wrong_closures() {
        check_error(r#"{"paths": []}"#, "the object has no graph");
        check_error("[]", "it has no paths");
        check_error(r#"[{"path": "@a", "references": []}]"#, "missing field `narSize`");
        check_error(r#"[{"path": "/a-b", "narSize": 1, "references": []}]"#, "no store path: /a-b");
        let twice = r#"{"path": "@a", "narSize": 1, "references": []}"#;
        check_error(&format!("[{twice}, {twice}]"), "twice: @a");
        check_error(r#"[{"path": "@a", "narSize": 1, "references": ["@b"]}]"#, "@a refers to an absent path: @b");
        let cycle = r#"[{"path": "@a", "narSize": 1, "references": ["@b"]},
                        {"path": "@b", "narSize": 1, "references": ["@a"]},
                        {"path": "@c", "narSize": 1, "references": []}]"#;
        check_error(cycle, "the references of 2 paths are a cycle");
    }
}
