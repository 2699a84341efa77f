//! Merges trees into one, the last one winning, as dockerTools' `mergeDrvs` does, and lists every conflict.
//!
//! Directories are merged, and have the mode of the last one. Of two files or links of one name the last one wins; files of
//! the same bytes and mode, and links of the same text, agree. A directory and something else cannot have one name.

use crate::tree::{Entry, File, FileTree, Node};
use crate::{Conflict, Error, Result, TreeSource};
use layerstone_layer::{Layout, Source};
use layerstone_store::Scratch;
use layerstone_tar::Owner;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;

/// Trees that were merged; files are read when they are written.
#[derive(Debug)]
pub struct MergedTrees {
    tree: FileTree,
    /// What disagreed, in the order of the sources and then of the paths.
    pub conflicts: Vec<Conflict>,
    _contents: Scratch,
}

/// Reads trees and merges them, the first one first. Contents of tars are kept in a temporary directory.
///
/// # Errors
///
/// A source cannot be read, holds what a tree cannot, or has a directory where another one has something else.
pub fn merge_trees(sources: &[TreeSource]) -> Result<MergedTrees> {
    let contents = Scratch::create(&std::env::temp_dir())?;
    let mut merged = MergedTrees { tree: FileTree::new(Path::new("")), conflicts: Vec::new(), _contents: contents };
    for (number, source) in sources.iter().enumerate() {
        let tree = source.read(&merged._contents, number)?;
        for (path, entry) in tree.0 {
            let conflicts = &mut merged.conflicts;
            merged.tree.add(&path, entry, |old, new| merge_entry(&path, old, new, conflicts))?;
        }
    }
    Ok(merged)
}

impl MergedTrees {
    /// Writes the tree as a new directory, which appears complete or not at all.
    ///
    /// # Errors
    ///
    /// There is something of that name, or it cannot be written.
    pub fn write_directory(&self, directory: &Path) -> Result<()> {
        self.tree.write_new(directory)
    }

    /// The tree as a tar of GNU tar's dialect that belongs to root.
    pub fn tar(&self, mtime: i64) -> Source {
        Source::from(Layout::gnu_numeric(self.tree.members(), mtime, &Owner::numeric_root()))
    }
}

/// Merges an entry into the existing one of its name, both of which are directories, or neither.
fn merge_entry(path: &Path, old: &mut Entry, new: Entry, conflicts: &mut Vec<Conflict>) -> Result<()> {
    let conflict = |modes| Conflict { modes, ..new.conflict(path, old) };
    match (&old.node, &new.node) {
        // A tar need not describe the directories that its files are in.
        (_, Node::Directory { is_on_purpose: false, .. }) => return Ok(()),
        (Node::Directory { mode: a, is_on_purpose: true }, Node::Directory { mode: b, .. }) => {
            conflicts.extend((a != b).then(|| conflict(Some((*b, *a)))));
        }
        (Node::File(a), Node::File(b)) if same_bytes(a, b)? => {
            conflicts.extend((a.mode != b.mode).then(|| conflict(Some((b.mode, a.mode)))));
        }
        (Node::Directory { .. }, _) => {}
        (a, b) if a == b => {}
        _ => conflicts.push(conflict(None)),
    }
    *old = new;
    Ok(())
}

fn same_bytes(a: &File, b: &File) -> Result<bool> {
    if a.size != b.size {
        return Ok(false);
    }
    let open = |file: &File| -> Result<_> {
        Ok(BufReader::new(fs::File::open(&file.real).map_err(Error::io("read", &file.real))?))
    };
    let (mut one, mut other) = (open(a)?, open(b)?);
    loop {
        let left = one.fill_buf().map_err(Error::io("read", &a.real))?;
        let right = other.fill_buf().map_err(Error::io("read", &b.real))?;
        let count = left.len().min(right.len());
        if count == 0 {
            return Ok(left.len() == right.len());
        }
        if left[..count] != right[..count] {
            return Ok(false);
        }
        one.consume(count);
        other.consume(count);
    }
}
