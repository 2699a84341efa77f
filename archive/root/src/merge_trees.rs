//! Merges trees into one, the last one winning, as dockerTools' `mergeDrvs` does, and lists every conflict.
//!
//! Folders are merged, and have the mode of the last one. Of two files or links of one name the last one wins; files of
//! the same bytes and mode, and links of the same text, agree. A folder and something else cannot have one name.

use crate::tree::{Entry, File, Folder, Node};
use crate::{Conflict, Error, Result, TreeSource};
use layerstone_layer::{Layout, Source};
use layerstone_store::Scratch;
use layerstone_tar::Owner;
use std::collections::btree_map::Entry as Slot;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

/// Trees that were merged; what is in them is read when it is written.
#[derive(Debug)]
pub struct MergedTrees {
    root: Folder,
    conflicts: Vec<Conflict>,
    _contents: Scratch,
}

/// Reads trees and merges them, the first one first. Contents of tars are kept in a temporary folder.
///
/// # Errors
///
/// A source cannot be read, holds what a tree cannot, or has a folder where another one has something else.
pub fn merge_trees(sources: &[TreeSource]) -> Result<MergedTrees> {
    let contents = Scratch::create(&std::env::temp_dir())?;
    let mut merged = MergedTrees { root: Folder::new(0o755), conflicts: Vec::new(), _contents: contents };
    for (number, source) in sources.iter().enumerate() {
        let tree = source.read(&merged._contents, number)?;
        merge(&mut merged.root, tree, &mut PathBuf::new(), &mut merged.conflicts)?;
    }
    Ok(merged)
}

impl MergedTrees {
    /// What disagreed, in the order of the sources and then of the paths.
    pub fn conflicts(&self) -> &[Conflict] {
        &self.conflicts
    }

    /// Writes the tree as a new folder, whole or not at all.
    ///
    /// # Errors
    ///
    /// There is something of that name, or it cannot be written.
    pub fn write_folder(&self, folder: &Path) -> Result<()> {
        if folder.symlink_metadata().is_ok() {
            return Err(Error::io("make", folder)(io::ErrorKind::AlreadyExists.into()));
        }
        let parent = folder.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
        let scratch = Scratch::create(parent)?;
        let tree = scratch.path().join("tree");
        fs::create_dir(&tree).map_err(Error::io("make", &tree))?;
        self.root.write(&tree)?;
        fs::rename(&tree, folder).map_err(Error::io("make", folder))
    }

    /// The tree as a tar of GNU tar's dialect that belongs to root.
    pub fn tar(&self, mtime: i64) -> Source {
        Source::from(Layout::gnu_numeric(self.root.members(), mtime, &Owner::numeric_root()))
    }
}

fn merge(into: &mut Folder, from: Folder, path: &mut PathBuf, conflicts: &mut Vec<Conflict>) -> Result<()> {
    for (name, entry) in from.entries {
        path.push(&name);
        match into.entries.entry(name) {
            Slot::Vacant(slot) => drop(slot.insert(entry)),
            Slot::Occupied(mut slot) => merge_entry(slot.get_mut(), entry, path, conflicts)?,
        }
        path.pop();
    }
    Ok(())
}

fn merge_entry(old: &mut Entry, new: Entry, path: &mut PathBuf, conflicts: &mut Vec<Conflict>) -> Result<()> {
    let conflict = new.conflict(path, old);
    match (&mut old.node, new.node) {
        (Node::Folder(folder), Node::Folder(from)) => {
            // A tar need not describe the folders that its files are in.
            if from.is_on_purpose {
                if folder.is_on_purpose && folder.mode != from.mode {
                    conflicts.push(Conflict { modes: Some((from.mode, folder.mode)), ..conflict });
                }
                (folder.mode, folder.is_on_purpose) = (from.mode, true);
                old.source = new.source;
            }
            merge(folder, from, path, conflicts)
        }
        (Node::Folder(_), node) | (_, node @ Node::Folder(_)) => {
            Err(old.disagreement(path, &Entry { node, source: new.source }))
        }
        (before, node) => {
            match (&*before, &node) {
                (Node::File(a), Node::File(b)) if same_bytes(a, b)? => {
                    let modes = (a.mode != b.mode).then_some((b.mode, a.mode));
                    conflicts.extend(modes.map(|modes| Conflict { modes: Some(modes), ..conflict }));
                }
                (a, b) if a == b => {}
                _ => conflicts.push(conflict),
            }
            *old = Entry { node, source: new.source };
            Ok(())
        }
    }
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
