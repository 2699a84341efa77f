//! Reads a tree to be merged: a directory as it is, or the members of a tar.
//!
//! A tar is never unpacked by its members' names: their contents go into numbered files, and names stay in memory.
//! Whiteouts are files like others: a tar that is merged is no layer.

use crate::copy::Excluded;
use crate::tree::{Entry, File, FileTree, Node, as_path, below_root, is_root};
use crate::{Error, Result};
use layerstone_store::Scratch;
use layerstone_tar::{Allowance, Kind, Members, walk_real_tree};
use std::fs;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

/// Bytes of memory that an entry of a tree takes besides its name.
const ENTRY_BYTES: usize = 256;

/// Where a tree comes from.
#[derive(Debug)]
pub enum TreeSource {
    /// A directory, or a link to one.
    Directory(PathBuf),
    /// A tar that is not compressed (any more).
    Tar {
        /// What messages call it.
        name: PathBuf,
        /// The tar, at its begin.
        file: fs::File,
        /// Bytes of holes that its files may have.
        max_holes: u64,
    },
}

impl TreeSource {
    /// What messages call it.
    pub fn name(&self) -> &Path {
        match self {
            TreeSource::Directory(path) | TreeSource::Tar { name: path, .. } => path,
        }
    }

    /// Reads the tree; contents of a tar go into new files of the work directory.
    pub(crate) fn read(&self, scratch: &Scratch, number: usize) -> Result<FileTree> {
        match self {
            TreeSource::Directory(path) => read_directory(path, &Excluded::default()),
            TreeSource::Tar { name, file, max_holes } => {
                let contents = scratch.path().join(number.to_string());
                fs::create_dir(&contents).map_err(Error::io("make", &contents))?;
                let contents = contents.canonicalize().map_err(Error::io("make", &contents))?;
                read_tar(name, file, *max_holes, &contents, &Excluded::default())
            }
        }
    }
}

/// Reads a directory, or the one that a link leads to.
pub fn read_directory(path: &Path, excluded: &Excluded) -> Result<FileTree> {
    // Whoever names a link means the directory. From here on none is followed: another user may have put it there meanwhile.
    let real = path.canonicalize().map_err(Error::io("read", path))?;
    let mut tree = FileTree::new(path);
    let members = walk_real_tree(&real, &|name| excluded.has(as_path(name)))?;
    for member in members.into_iter().filter(|member| *member.entry.name != *b".") {
        let name = below_root(&member.entry.name);
        let source = path.join(name);
        let (mode, modified) = (member.entry.mode, member.modified);
        let file = |size| File { real: real.join(name).into(), size, mode, modified };
        let entry = Entry::new(&source, node(&member.entry.kind, mode, &source, file)?);
        insert(&mut tree, name, entry).map_err(|cause| tar_error(path, cause))?;
    }
    Ok(tree)
}

/// Reads a tar; contents go into new files of a directory, and entries have the owners of the members.
pub fn read_tar(tar: &Path, file: &fs::File, max_holes: u64, contents: &Path, excluded: &Excluded) -> Result<FileTree> {
    let mut tree = FileTree::new(tar);
    let allowance = Allowance::default();
    let mut holes = 0_u64;
    let mut members = Members::new(BufReader::new(file), *allowance.limits());
    let mut count = 0_u64;
    while let Some(member) = members.next_member().map_err(Error::tar(tar))? {
        let name = as_path(&member.name);
        match is_root(name) {
            true if member.is_directory() => continue,
            true => return Err(tar_error(tar, "found a name of 0 bytes, expected at least 1".to_owned())),
            false => {}
        }
        if excluded.has_above(name) {
            continue;
        }
        holes = holes.saturating_add(members.holes());
        if holes > max_holes {
            let cause = format!("found files with {holes} bytes of holes, expected at most {max_holes}");
            return Err(tar_error(tar, cause));
        }
        let source = tar.join(name);
        // The directories above it are named by it too.
        let bytes = name.components().count() * (ENTRY_BYTES + source.as_os_str().len() + member.name.len());
        allowance.take(bytes + member.kind.target().len()).map_err(|cause| tar_error(tar, cause.into()))?;
        let node = match &member.kind {
            Kind::File { .. } => {
                let real = contents.join(count.to_string());
                count += 1;
                let mut out = fs::File::create_new(&real).map_err(Error::io("write", &real))?;
                members.copy_contents(&mut out).map_err(Error::tar(tar))?;
                Node::File(File::new(&real, member.mode, &out.metadata().map_err(Error::io("read", &real))?))
            }
            Kind::HardLink { target } => {
                let found = tree.get(as_path(target)).filter(|entry| !entry.is_directory());
                let cause = || format!("hard link {}: found no file {}", name.display(), as_path(target).display());
                found.ok_or_else(|| tar_error(tar, cause()))?.node.clone()
            }
            kind => node(kind, member.mode, &source, |_| unreachable!("a file is dealt with above"))?,
        };
        let owner = Some((member.uid, member.gid));
        insert(&mut tree, name, Entry { owner, ..Entry::new(&source, node) }).map_err(|cause| tar_error(tar, cause))?;
    }
    Ok(tree)
}

/// The node of a kind of file, if a tree can have it.
fn node(kind: &Kind, mode: u32, source: &Path, file: impl FnOnce(u64) -> File) -> Result<Node> {
    let special = |found| Error::Special { path: source.to_owned(), found };
    match kind {
        Kind::Directory => Ok(Node::Directory { mode, is_on_purpose: true }),
        Kind::Symlink { target } => Ok(Node::Link(as_path(target).into())),
        Kind::File { size } => Ok(Node::File(file(*size))),
        Kind::Fifo => Err(special("pipe")),
        Kind::CharDevice { .. } | Kind::BlockDevice { .. } => Err(special("device")),
        Kind::HardLink { .. } => Err(special("hard link")),
    }
}

/// Puts an entry at its path, as an unpacker would: a directory keeps its contents, a file replaces a file, and directories
/// above it are made, whose mode is not on purpose.
fn insert(tree: &mut FileTree, name: &Path, entry: Entry) -> Result<(), String> {
    let parent = name.parent().unwrap_or(Path::new(""));
    tree.make_directories(parent, &entry.source).map_err(|(at, other)| {
        format!("{}: {} is a {}, expected a directory", name.display(), at.display(), other.describe())
    })?;
    let replace = |old: &mut Entry, new: Entry| {
        old.node = new.node;
        old.owner = new.owner;
        if !old.is_directory() {
            old.source = new.source;
        }
        Ok(())
    };
    let both = |_| format!("{}: found a directory and something else of this name", name.display());
    tree.add(name, entry, replace).map_err(both)
}

fn tar_error(tar: &Path, cause: String) -> Error {
    Error::tar(tar)(io::Error::new(io::ErrorKind::InvalidData, cause))
}
