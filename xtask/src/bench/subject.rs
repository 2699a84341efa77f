//! Closures to measure on: one made from a seed, and the lab's.

use crate::bench::CACHE;
use crate::bench::store;
use crate::process;
use anyhow::{Context, Error, Result, ensure};
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use xtask::stamp;

/// The closure that is made here.
pub const GENERATED: &str = "generated";

/// A closure with all that the rows need, in a work directory.
pub struct Subject {
    pub name: String,
    pub binary: PathBuf,
    /// Where rows put their files.
    pub work: PathBuf,
    /// Directory below which the store is.
    pub root: PathBuf,
    /// The store path that the closure begins with.
    pub top: String,
    pub paths: usize,
    pub entries: u64,
    /// Bytes in regular files.
    pub file_bytes: u64,
    /// Bytes of the layers' tars.
    pub layer_bytes: u64,
}

/// The closures asked for, or all that are there.
pub fn names(asked: &[String], lab: &Path) -> Result<Vec<String>> {
    for name in asked.iter().filter(|name| *name != GENERATED) {
        stamp::closure(lab, name).map_err(Error::msg)?;
    }
    if !asked.is_empty() {
        return Ok(asked.to_vec());
    }
    let is_usable = |name: &String| name == GENERATED || stamp::closure(lab, name).is_ok();
    Ok([GENERATED, "medium", "large"].map(str::to_owned).into_iter().filter(is_usable).collect())
}

impl Subject {
    /// Makes the closure file, the plan and the lists of a closure; a generated one with its store.
    pub fn prepare(name: &str, lab: &Path, binary: &Path, work: &Path) -> Result<Subject> {
        eprintln!("preparing {name}");
        fs::create_dir_all(work).with_context(|| format!("cannot create: {}", work.display()))?;
        let (root, graph, top) = if name == GENERATED {
            let root = work.join("root");
            let (graph, top) = generate(&root, work)?;
            (root, graph, top)
        } else {
            let folder = stamp::closure(lab, name).map_err(Error::msg)?;
            let result = fs::read_link(folder.join("result")).context("cannot read the lab's result link")?;
            let top = result.to_str().context("the lab's result link is not UTF-8")?.to_owned();
            (PathBuf::from("/"), folder.join("graph.json"), top)
        };
        let mut subject = Subject {
            name: name.to_owned(),
            binary: binary.to_owned(),
            work: work.to_owned(),
            root,
            top,
            paths: 0,
            entries: 0,
            file_bytes: 0,
            layer_bytes: 0,
        };
        subject.plan(&graph)?;
        subject.list()?;
        subject.weigh()?;
        Ok(subject)
    }

    /// A file in the work directory.
    pub fn file(&self, name: &str) -> PathBuf {
        self.work.join(name)
    }

    /// The closure's store paths below the root, one a line, for tar's --files-from.
    pub fn path_list(&self) -> PathBuf {
        self.file("paths")
    }

    /// The closure's regular files, each ended by a NUL, for xargs -0.
    pub fn file_list(&self) -> PathBuf {
        self.file("files")
    }

    /// The closure file.
    pub fn closure(&self) -> PathBuf {
        self.file("closure.json")
    }

    /// The plan of 99 layers.
    pub fn layers(&self) -> PathBuf {
        self.file("layers.json")
    }

    /// Runs a stage that prepares something.
    pub fn stage<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Result<()> {
        process::run(Command::new(&self.binary).args(arguments).env(CACHE, ""))
    }

    fn plan(&self, graph: &Path) -> Result<()> {
        let (closure, layers) = (self.closure(), self.layers());
        let graph = ["closure".as_ref(), "--graph".as_ref(), graph.as_os_str()];
        let root = [
            "--sizes".as_ref(),
            self.top.as_ref(),
            "--root".as_ref(),
            self.root.as_os_str(),
            "-o".as_ref(),
            closure.as_os_str(),
        ];
        self.stage(&[&graph[..], &root[..]].concat())?;
        let limit = ["--max-layers".as_ref(), "99".as_ref(), "-o".as_ref(), layers.as_os_str()];
        self.stage(&[&["layers".as_ref(), closure.as_os_str()][..], &limit[..]].concat())
    }

    /// Writes the lists, and counts.
    fn list(&mut self) -> Result<()> {
        let plan: Value = serde_json::from_slice(&fs::read(self.layers())?)?;
        let layers = plan["layers"].as_array().context("the plan has no layers")?;
        let paths: Vec<&str> = layers.iter().filter_map(Value::as_array).flatten().filter_map(Value::as_str).collect();
        ensure!(!paths.is_empty(), "the plan has no paths");
        let below: String = paths.iter().map(|path| format!("{}\n", path.trim_start_matches('/'))).collect();
        fs::write(self.path_list(), below)?;
        self.paths = paths.len();
        let mut out = BufWriter::new(File::create(self.file_list())?);
        for path in paths {
            self.list_files(&self.root.join(path.trim_start_matches('/')), &mut out)?;
        }
        Ok(out.flush()?)
    }

    fn list_files(&mut self, path: &Path, out: &mut impl Write) -> Result<()> {
        let metadata = path.symlink_metadata().with_context(|| format!("cannot read: {}", path.display()))?;
        self.entries += 1;
        if metadata.is_dir() {
            for entry in path.read_dir().with_context(|| format!("cannot read: {}", path.display()))? {
                self.list_files(&entry?.path(), out)?;
            }
        } else if metadata.is_file() {
            self.file_bytes += metadata.len();
            out.write_all(path.as_os_str().as_bytes())?;
            out.write_all(b"\0")?;
        }
        Ok(())
    }

    /// Adds up the layers' sizes.
    fn weigh(&mut self) -> Result<()> {
        let (layers, folder) = (self.layers(), self.file("weighed"));
        let root = ["--root".as_ref(), self.root.as_os_str(), "-o".as_ref(), folder.as_os_str()];
        self.stage(&[&["layer".as_ref(), layers.as_os_str(), "--all".as_ref()][..], &root[..]].concat())?;
        for entry in folder.read_dir()? {
            let path = entry?.path();
            // Beside them is the record of what was written.
            if !path.to_string_lossy().ends_with(".layer.json") {
                continue;
            }
            let layer: Value = serde_json::from_slice(&fs::read(path)?)?;
            self.layer_bytes += layer["size"].as_u64().context("a layer file has no size")?;
        }
        Ok(())
    }
}

/// Makes the store below `root` and its graph; the graph and the path that it begins with.
fn generate(root: &Path, work: &Path) -> Result<(PathBuf, String)> {
    let made = store::make(root)?;
    let graph: Vec<Value> = made.iter().map(|made| json!({"path": made.path, "references": made.references})).collect();
    let file = work.join("graph.json");
    fs::write(&file, serde_json::to_vec(&graph)?)?;
    Ok((file, made.last().context("the store is empty")?.path.clone()))
}
