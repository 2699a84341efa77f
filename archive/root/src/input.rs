//! Reads a tree to be merged: a directory as it is, or the members of a tar.
//!
//! A tar is never unpacked by its members' names: their contents go into numbered files, and names are looked at in memory
//! alone. Whiteouts are files like others: a tar that is merged is no layer.

use crate::tree::{Entry, File, Folder, Node};
use crate::{Error, Result};
use layerstone_store::Scratch;
use layerstone_tar::{Allowance, Kind, Members, walk_tree};
use std::ffi::OsStr;
use std::fs;
use std::io::{self, BufReader};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Mode of a folder that no member of a tar describes.
const FOLDER_MODE: u32 = 0o755;

/// Bytes of memory that an entry of a tree takes besides its name.
const ENTRY_BYTES: usize = 256;

/// Where a tree comes from.
#[derive(Debug)]
pub enum TreeSource {
    /// A folder, or a link to one.
    Folder(PathBuf),
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
            TreeSource::Folder(path) | TreeSource::Tar { name: path, .. } => path,
        }
    }

    /// Reads the tree; contents of a tar go into new files of the folder.
    pub(crate) fn read(&self, scratch: &Scratch, number: usize) -> Result<Folder> {
        match self {
            TreeSource::Folder(path) => read_folder(path),
            TreeSource::Tar { name, file, max_holes } => {
                let contents = scratch.path().join(number.to_string());
                fs::create_dir(&contents).map_err(Error::io("make", &contents))?;
                read_tar(name, file, *max_holes, &contents)
            }
        }
    }
}

fn read_folder(path: &Path) -> Result<Folder> {
    // Whoever names a link means the folder.
    let real = path.canonicalize().map_err(Error::io("read", path))?;
    let mut root = Folder::new(FOLDER_MODE);
    for member in walk_tree(&real, false)? {
        let name = path_of(member.entry.name.strip_prefix(b"./").unwrap_or_default());
        if name.as_os_str().is_empty() {
            continue;
        }
        let source = path.join(name);
        let (mode, modified) = (member.entry.mode, member.modified);
        let file = |size| File { real: real.join(name).into(), size, mode, modified };
        let node = node(&member.entry.kind, mode, &source, file)?;
        insert(&mut root, name, Entry { source: source.into(), node }).map_err(|cause| tar_error(path, cause))?;
    }
    Ok(root)
}

fn read_tar(tar: &Path, file: &fs::File, max_holes: u64, contents: &Path) -> Result<Folder> {
    let mut root = Folder::new(FOLDER_MODE);
    let allowance = Allowance::default();
    let mut holes = 0_u64;
    let mut members = Members::new(BufReader::new(file));
    let mut count = 0_u64;
    while let Some(member) = members.next_member().map_err(Error::tar(tar))? {
        let name = path_of(&member.name);
        if name.as_os_str().is_empty() && member.is_directory() {
            continue;
        }
        if name.as_os_str().is_empty() {
            return Err(tar_error(tar, "found a name of 0 bytes, expected at least 1".to_owned()));
        }
        holes = holes.saturating_add(members.holes());
        if holes > max_holes {
            let cause = format!("found files with {holes} bytes of holes, expected at most {max_holes}");
            return Err(tar_error(tar, cause));
        }
        let source = tar.join(name);
        // Folders on the way there are named by it too.
        let target =
            if let Kind::Symlink { target } | Kind::HardLink { target } = &member.kind { target.len() } else { 0 };
        let entries = name.components().count();
        let bytes = entries * (ENTRY_BYTES + source.as_os_str().len()) + target;
        allowance.take(bytes).map_err(|cause| tar_error(tar, cause))?;
        let node = match &member.kind {
            Kind::File { size } => {
                let real = contents.join(count.to_string());
                count += 1;
                let mut out = fs::File::create_new(&real).map_err(Error::io("write", &real))?;
                members.copy_contents(&mut out).map_err(Error::tar(tar))?;
                let metadata = out.metadata().map_err(Error::io("read", &real))?;
                let modified = (metadata.mtime(), metadata.mtime_nsec());
                Node::File(File { real: real.into(), size: *size, mode: member.mode, modified })
            }
            Kind::HardLink { target } => {
                let found = root.find(path_of(target)).map(|entry| entry.node.clone());
                let found = found.filter(|node| !matches!(node, Node::Folder(_)));
                let cause = || format!("hard link {}: found no file {}", name.display(), path_of(target).display());
                found.ok_or_else(|| tar_error(tar, cause()))?
            }
            kind => node(kind, member.mode, &source, |_| unreachable!("a file is dealt with above"))?,
        };
        insert(&mut root, name, Entry { source: source.into(), node }).map_err(|cause| tar_error(tar, cause))?;
    }
    Ok(root)
}

/// What a file is in a tree, if a tree can have it.
fn node(kind: &Kind, mode: u32, source: &Path, file: impl FnOnce(u64) -> File) -> Result<Node> {
    let special = |found| Error::Special { path: source.to_owned(), found };
    match kind {
        Kind::Directory => Ok(Node::Folder(Folder { is_on_purpose: true, ..Folder::new(mode) })),
        Kind::Symlink { target } => Ok(Node::Link(path_of(target).into())),
        Kind::File { size } => Ok(Node::File(file(*size))),
        Kind::Fifo => Err(special("pipe")),
        Kind::CharDevice { .. } | Kind::BlockDevice { .. } => Err(special("device")),
        Kind::HardLink { .. } => Err(special("hard link")),
    }
}

/// Puts an entry in its place, as an unpacker would: a folder stays one with all that is in it, a file gives way to a
/// file, and folders on the way are made, whose mode nobody has said.
fn insert(root: &mut Folder, name: &Path, entry: Entry) -> Result<(), String> {
    let mut folder = root;
    let mut at = PathBuf::new();
    for part in name.parent().into_iter().flat_map(Path::iter) {
        at.push(part);
        let made = || Entry { source: entry.source.clone(), node: Node::Folder(Folder::new(FOLDER_MODE)) };
        let next = folder.entries.entry(part.to_owned()).or_insert_with(made);
        let what = next.describe();
        match &mut next.node {
            Node::Folder(next) => folder = next,
            _ => return Err(format!("{}: {} is a {what}, expected a folder", name.display(), at.display())),
        }
    }
    let base = name.file_name().unwrap_or_default().to_owned();
    match (folder.entries.get_mut(&base).map(|old| &mut old.node), &entry.node) {
        (Some(Node::Folder(old)), Node::Folder(new)) => (old.mode, old.is_on_purpose) = (new.mode, true),
        (Some(Node::Folder(_)), _) | (Some(_), Node::Folder(_)) => {
            return Err(format!("{}: found a folder and something else of this name", name.display()));
        }
        _ => drop(folder.entries.insert(base, entry)),
    }
    Ok(())
}

fn tar_error(tar: &Path, cause: String) -> Error {
    Error::tar(tar)(io::Error::new(io::ErrorKind::InvalidData, cause))
}

fn path_of(name: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(name))
}
