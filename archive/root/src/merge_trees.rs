//! Merges trees into one, the last one winning, as dockerTools' `mergeDrvs` does, and lists every conflict.
//!
//! Directories are merged, and have the mode of the last one. Of two files or links of one name the last one wins; files of
//! the same bytes and mode, and links of the same text, agree. A directory and something else cannot have one name.

use crate::tree::{Entry, File, FileTree, Node};
use crate::{Conflict, Error, Result, TreeSource};
use layerstone_layer::{Layout, Source};
use layerstone_store::{Scratch, open_real_file};
use layerstone_tar::Owner;
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
            // All of it belongs to root.
            let entry = Entry { owner: None, ..entry };
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
        self.tree.write_new(directory, open_real_file)
    }

    /// The tree as a tar of GNU tar's dialect that belongs to root.
    pub fn tar(&self, mtime: i64) -> Source {
        let mut layout = Layout::gnu_numeric(self.tree.members(), mtime, &Owner::numeric_root());
        layout.has_real_paths = true;
        Source::from(layout)
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

/// Whether two files have the same bytes.
pub fn same_bytes(a: &File, b: &File) -> Result<bool> {
    if a.size != b.size {
        return Ok(false);
    }
    let open = |file: &File| -> Result<_> {
        Ok(BufReader::new(open_real_file(&file.real).map_err(Error::io("read", &file.real))?))
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Read;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;
    use std::time::{Duration, UNIX_EPOCH};

    /// A directory `sub` with a file of this text, of one time.
    fn write(folder: &Path, text: &str) {
        fs::create_dir_all(folder.join("sub")).unwrap();
        fs::write(folder.join("sub/file"), text).unwrap();
        let file = fs::File::options().write(true).open(folder.join("sub/file")).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_secs(9)).unwrap();
    }

    /// Somebody else's tree, behind a link that whoever merges it named, and a secret that only the merging user may read.
    fn places() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        write(&folder.path().join("theirs"), "harmless");
        write(&folder.path().join("secret"), "password");
        symlink("theirs", folder.path().join("named")).unwrap();
        let named = folder.path().join("named");
        (folder, named)
    }

    fn replace(folder: &Path, name: &str, target: &str) {
        fs::rename(folder.join(name), folder.join("away")).unwrap();
        symlink(target, folder.join(name)).unwrap();
    }

    fn tar(merged: &MergedTrees) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        merged.tar(1).reader().unwrap().read_to_end(&mut bytes).map(|_| bytes)
    }

    /// A directory, a file or the tree itself that becomes a link after it was looked at is an error, whatever is written.
    #[test]
    fn links_that_come_later_are_not_followed() {
        for (at, name, target) in [
            ("theirs", "sub", "../secret/sub"),
            ("theirs/sub", "file", "../../secret/sub/file"),
            ("", "theirs", "secret"),
        ] {
            let (folder, named) = places();
            let merged = merge_trees(&[TreeSource::Directory(named)]).unwrap();
            assert!(tar(&merged).unwrap().windows(8).any(|window| window == b"harmless"));
            replace(&folder.path().join(at), name, target);
            assert!(tar(&merged).is_err(), "{name}");
            let out = folder.path().join("out");
            let error = merged.write_directory(&out).unwrap_err().to_string();
            assert!(error.starts_with("cannot read: ") && !out.exists(), "{error}");
        }
    }

    #[test]
    fn links_in_a_tree_stay_links() {
        let (folder, named) = places();
        symlink("../secret", folder.path().join("theirs/link")).unwrap();
        let merged = merge_trees(&[TreeSource::Directory(named)]).unwrap();
        merged.write_directory(&folder.path().join("out")).unwrap();
        assert_eq!(fs::read_link(folder.path().join("out/link")).unwrap(), Path::new("../secret"));
        assert_eq!(fs::read_to_string(folder.path().join("out/sub/file")).unwrap(), "harmless");
    }
}
