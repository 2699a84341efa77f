//! Walks directories for layouts: every file with what its header will say, in the order of a tar.

use crate::{Entry, Error, Kind, Placed, Result, Xattrs};
use layerstone_store::{Directory, RealEntry, Store};
use rayon::prelude::*;
use rustix::fs::{lgetxattr, llistxattr};
use rustix::io::Errno;
use std::cmp::Ordering;
use std::ffi::OsStr;
use std::fs::{DirEntry, Metadata};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The attribute that holds a file's capabilities (capabilities(7)).
const CAPABILITY: &[u8] = b"security.capability";
/// Bytes of names, or of a value, that are enough for nearly all.
const FEW: usize = 256;
/// Bytes that they have at most (limits.h, XATTR_LIST_MAX and XATTR_SIZE_MAX).
const MOST: usize = 64 << 10;

/// As many children of a directory are one thread's work; with fewer, handing out costs more than it saves.
const FEW_CHILDREN: usize = 32;
/// Big directories in big directories that are split among threads. Each takes room on a thread's stack, so that the number of
/// levels must not depend on how deep the directories are.
const SPLITS: usize = 8;

/// A whole directory as `tar --sort=name -cf - .` finds it: `.`, `./a`, `./a/b`, each directory before its contents, siblings in
/// the order of their names' bytes. With [extended attributes](read_xattrs) if asked to.
///
/// # Errors
///
/// Something cannot be read, or is a socket.
pub fn walk_tree(directory: &Path, xattrs: bool) -> Result<Vec<Placed>> {
    let mut walk = Walk::new(<[u8]>::cmp, xattrs);
    walk.enter(directory, b".")?;
    Ok(walk.members)
}

/// [`walk_tree`] of a directory where others may write, by a path without links: everything is looked at in open
/// directories, and a link that replaces a directory meanwhile is an error. Without extended attributes. What is left out,
/// by its name below the directory (`a/b`), is not looked at, nor anything in it.
///
/// # Errors
///
/// Something cannot be read, or is a socket.
pub fn walk_real_tree(directory: &Path, leaves_out: &LeavesOut<'_>) -> Result<Vec<Placed>> {
    let mut walk = Walk { is_real: true, leaves_out: Some(leaves_out), ..Walk::new(<[u8]>::cmp, false) };
    let entry = Directory::open_real(directory).and_then(|directory| directory.as_entry());
    let found = walk.find_real(directory.to_owned(), b".", entry)?;
    walk.enter_all(vec![found])?;
    Ok(walk.members)
}

/// A store path as Python's `sorted(path.rglob("*"))` finds it; its files go by their members' names. In the current
/// rayon pool if so much may be looked at `at_once`.
///
/// # Errors
///
/// Something cannot be read, or is a socket.
pub fn walk_store_path(store: &Store, path: &[u8], xattrs: bool, at_once: bool) -> Result<Vec<Placed>> {
    let splits = if at_once { SPLITS } else { 0 };
    let mut walk = Walk { names_files: false, splits, ..Walk::new(code_point_order, xattrs) };
    walk.enter(&store.locate(OsStr::from_bytes(path)), path)?;
    Ok(walk.members)
}

/// Whether an entry is left out, by its name.
type LeavesOut<'a> = dyn Fn(&[u8]) -> bool + Sync + 'a;

/// A walk and what it has found.
struct Walk<'a> {
    /// The order of siblings. Both Python and GNU tar compare component by component.
    order: fn(&[u8], &[u8]) -> Ordering,
    /// Whether members say where their files are.
    names_files: bool,
    /// Whether no path that it looks at may have a link in it.
    is_real: bool,
    /// Whether extended attributes are read.
    xattrs: bool,
    /// How many big directories in each other may be gone through by all threads of a pool.
    splits: usize,
    /// Whether an entry is left out, by its name below the directory that is walked.
    leaves_out: Option<&'a LeavesOut<'a>>,
    members: Vec<Placed>,
}

/// A file that was found, and where it is if it is a directory that is still to be gone through.
struct Found {
    member: Placed,
    directory: Option<PathBuf>,
}

impl Walk<'_> {
    /// A walk in this order, of which members say where their files are.
    fn new(order: fn(&[u8], &[u8]) -> Ordering, xattrs: bool) -> Walk<'static> {
        Walk { order, names_files: true, is_real: false, xattrs, splits: 0, leaves_out: None, members: Vec::new() }
    }

    /// Adds a file, and if it is a directory all that is in it, each directory before its contents.
    fn enter(&mut self, real: &Path, name: &[u8]) -> Result<()> {
        let metadata = real.symlink_metadata().map_err(Error::read(real))?;
        let found = self.find(real.to_owned(), name, &metadata)?;
        self.enter_all(vec![found])
    }

    /// Adds files, of which the last comes first, and all below them. Without recursion: directories may be nested deeper than
    /// a thread's stack is, and no directory stays open while those in it are gone through.
    fn enter_all(&mut self, mut left: Vec<Found>) -> Result<()> {
        while let Some(Found { member, directory }) = left.pop() {
            let name = directory.is_some().then(|| member.entry.name.clone());
            self.members.push(member);
            let (Some(directory), Some(name)) = (directory, name) else { continue };
            if self.is_real {
                left.extend(self.find_all_real(&directory, &name)?);
                continue;
            }
            let children = self.children(&directory)?;
            if self.splits == 0 || children.len() <= FEW_CHILDREN {
                left.extend(self.find_all(&children, &directory, &name)?);
                continue;
            }
            let parts = children.par_chunks(FEW_CHILDREN).map(|children| {
                let mut part = Walk { members: Vec::new(), splits: self.splits - 1, ..*self };
                part.enter_all(part.find_all(children, &directory, &name)?)?;
                Ok(part.members)
            });
            let parts = parts.collect::<Result<Vec<_>>>()?;
            self.members.extend(parts.into_iter().flatten());
        }
        Ok(())
    }

    /// The names in a directory, in order.
    fn children(&self, directory: &Path) -> Result<Vec<(Vec<u8>, DirEntry)>> {
        let mut children = Vec::new();
        for child in directory.read_dir().map_err(Error::read(directory))? {
            let child = child.map_err(Error::read(directory))?;
            children.push((child.file_name().into_vec(), child));
        }
        children.sort_by(|(a, _), (b, _)| (self.order)(a, b));
        Ok(children)
    }

    /// Files of a directory, the last one first.
    fn find_all(&self, children: &[(Vec<u8>, DirEntry)], real: &Path, name: &[u8]) -> Result<Vec<Found>> {
        let mut found = Vec::with_capacity(children.len());
        for (child, entry) in children {
            let child_name = [name, b"/", child].concat();
            // Looks the name up in the open directory, and follows no link.
            let metadata = entry.metadata().map_err(Error::read(&entry.path()))?;
            found.push(self.find(real.join(OsStr::from_bytes(child)), &child_name, &metadata)?);
        }
        found.reverse();
        Ok(found)
    }

    /// Files of an open directory, the last one first.
    fn find_all_real(&self, real: &Path, name: &[u8]) -> Result<Vec<Found>> {
        let directory = Directory::open_real(real).map_err(Error::read(real))?;
        let mut children = directory.names().map_err(Error::read(real))?;
        children.sort_unstable_by(|a, b| (self.order)(b.as_bytes(), a.as_bytes()));
        let named = children.into_iter().map(|child| ([name, b"/", child.as_bytes()].concat(), child));
        let kept = named.filter(|(name, _)| {
            !self.leaves_out.is_some_and(|leaves_out| leaves_out(name.strip_prefix(b"./").unwrap_or(name)))
        });
        kept.map(|(name, child)| self.find_real(real.join(&child), &name, directory.entry(&child))).collect()
    }

    fn find_real(&self, real: PathBuf, name: &[u8], entry: io::Result<RealEntry>) -> Result<Found> {
        let looked = entry.and_then(|entry| Ok((entry.metadata()?, entry)));
        let (metadata, entry) = looked.map_err(Error::read(&real))?;
        let kind = kind_with(&metadata, || entry.link_text()).map_err(Error::read(&real))?;
        self.found(real, name, &metadata, kind)
    }

    fn find(&self, real: PathBuf, name: &[u8], metadata: &Metadata) -> Result<Found> {
        let kind = kind_of(&real, metadata)?;
        self.found(real, name, metadata, kind)
    }

    fn found(&self, real: PathBuf, name: &[u8], metadata: &Metadata, kind: Option<Kind>) -> Result<Found> {
        let kind = kind.ok_or_else(|| Error::Socket { path: real.clone() })?;
        let mut entry = Entry::new(name, kind, metadata.permissions().mode() & 0o7777);
        if self.xattrs && !metadata.is_symlink() {
            entry.xattrs = read_xattrs(&real)?;
        }
        let file = (self.names_files && metadata.is_file()).then(|| real.as_path().into());
        let member = Placed { entry, file, modified: (metadata.mtime(), metadata.mtime_nsec()) };
        Ok(Found { member, directory: metadata.is_dir().then_some(real) })
    }
}

/// The extended attributes of a file, or directory, that belong to it and not to the machine: `user.*`, and
/// `security.capability` without the root user of a namespace, who depends on who reads it (linux/capability.h, revision 3
/// as revision 2). None where there are none.
///
/// # Errors
///
/// They cannot be read.
pub fn read_xattrs(real: &Path) -> Result<Option<Box<Xattrs>>> {
    read_xattrs_if(real, |name| name.starts_with(b"user.") || name == CAPABILITY)
}

/// Those extended attributes of a file that are wanted; a capability likewise without the root user of a namespace.
///
/// # Errors
///
/// They cannot be read.
pub fn read_xattrs_if(real: &Path, is_wanted: impl Fn(&[u8]) -> bool) -> Result<Option<Box<Xattrs>>> {
    let read = |call: &dyn Fn(&mut [u8]) -> Result<usize, Errno>| match with_room(call) {
        // A file system without any, or an attribute that is gone.
        Err(Errno::NOTSUP | Errno::NODATA) => Ok(None),
        result => result.map(Some).map_err(|errno| Error::read(real)(errno.into())),
    };
    let names = read(&|buffer| llistxattr(real, buffer))?.unwrap_or_default();
    let mut xattrs = Xattrs::new();
    for name in names.split(|&byte| byte == 0) {
        if name.is_empty() || !is_wanted(name) {
            continue;
        }
        if let Some(value) = read(&|buffer| lgetxattr(real, name, buffer))? {
            let value = if name == CAPABILITY { revision_2(value) } else { value };
            xattrs.insert(name.into(), value.into());
        }
    }
    Ok((!xattrs.is_empty()).then(|| Box::new(xattrs)))
}

/// What a call writes into a buffer that is large enough.
fn with_room(call: &dyn Fn(&mut [u8]) -> Result<usize, Errno>) -> Result<Vec<u8>, Errno> {
    for room in [FEW, MOST] {
        let mut buffer = vec![0; room];
        match call(&mut buffer) {
            Err(Errno::RANGE) if room < MOST => {}
            result => {
                buffer.truncate(result?);
                return Ok(buffer);
            }
        }
    }
    Err(Errno::RANGE)
}

fn revision_2(mut value: Vec<u8>) -> Vec<u8> {
    const REVISION: usize = 3;
    if value.len() == 24 && value[REVISION] == 3 {
        value[REVISION] = 2;
        value.truncate(20);
    }
    value
}

/// What a file is; none if it is a socket, which a tar cannot hold.
///
/// # Errors
///
/// The text of a link cannot be read.
pub fn kind_of(real: &Path, metadata: &Metadata) -> Result<Option<Kind>> {
    kind_with(metadata, || real.read_link()).map_err(Error::read(real))
}

/// The same with what reads the text of a link.
fn kind_with(metadata: &Metadata, target: impl Fn() -> io::Result<PathBuf>) -> io::Result<Option<Kind>> {
    let kind = metadata.file_type();
    let (major, minor) = (rustix::fs::major(metadata.rdev()), rustix::fs::minor(metadata.rdev()));
    Ok(Some(if kind.is_file() {
        Kind::File { size: metadata.len() }
    } else if kind.is_dir() {
        Kind::Directory
    } else if kind.is_symlink() {
        Kind::Symlink { target: target()?.into_os_string().into_vec().into() }
    } else if kind.is_fifo() {
        Kind::Fifo
    } else if kind.is_char_device() {
        Kind::CharDevice { major, minor }
    } else if kind.is_block_device() {
        Kind::BlockDevice { major, minor }
    } else {
        return Ok(None);
    }))
}

/// Order of two names as Python compares them: by code point, a byte that is not UTF-8 counting as U+DC00 plus itself
/// (PEP 383). It differs from the order of bytes only where such a byte meets a character from U+E000 on.
fn code_point_order(a: &[u8], b: &[u8]) -> Ordering {
    if std::str::from_utf8(a).is_ok() && std::str::from_utf8(b).is_ok() {
        return a.cmp(b);
    }
    code_points(a).cmp(code_points(b))
}

fn code_points(name: &[u8]) -> impl Iterator<Item = u32> {
    name.utf8_chunks().flat_map(|chunk| {
        let invalid = chunk.invalid().iter().map(|&byte| 0xDC00 + u32::from(byte));
        chunk.valid().chars().map(u32::from).chain(invalid)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As deep as paths can be (PATH_MAX), with more levels than a process may have files open, on a small stack.
    #[test]
    fn deep_directories() {
        const LEVELS: usize = 1900;
        let root = tempfile::tempdir().unwrap();
        let mut path = root.path().to_owned();
        path.push("a/".repeat(LEVELS));
        std::fs::create_dir_all(&path).unwrap();
        for (index, directory) in path.ancestors().take(20).enumerate() {
            // Big directories in big directories are handed to other threads.
            (0..FEW_CHILDREN).for_each(|file| std::fs::write(directory.join(format!("{index} {file}")), "").unwrap());
        }
        let real = root.path().to_owned();
        let walk = move || {
            let store = Store::new("/a", &real).unwrap();
            let pool = rayon::ThreadPoolBuilder::new().num_threads(2).stack_size(256 << 10).build().unwrap();
            let found = pool.install(|| walk_store_path(&store, b"a", false, true)).unwrap();
            assert_eq!(found, walk_store_path(&store, b"a", false, false).unwrap());
            assert_eq!(found.len(), LEVELS + 20 * FEW_CHILDREN);
            assert_eq!(walk_tree(&real, false).unwrap().len(), LEVELS + 20 * FEW_CHILDREN + 1);
        };
        std::thread::Builder::new().stack_size(256 << 10).spawn(walk).unwrap().join().unwrap();
        // remove_dir_all of the standard library goes down by descriptors, one for each level.
        while path != root.path() {
            std::fs::read_dir(&path).unwrap().for_each(|file| drop(std::fs::remove_file(file.unwrap().path())));
            std::fs::remove_dir(&path).unwrap();
            path.pop();
        }
    }

    /// Python: sorted(["\udce9", "\ue000", "\ud7ff", "\U00010000"]) puts the byte E9 between U+D7FF and U+E000.
    #[test]
    fn bytes_that_are_not_utf8_sort_as_python_has_them() {
        let mut names = ["\u{10000}".as_bytes(), "\u{e000}".as_bytes(), b"\xe9", "\u{d7ff}".as_bytes(), b"z\xe9", b"z"];
        names.sort_by(|a, b| code_point_order(a, b));
        let expected =
            [&b"z"[..], b"z\xe9", "\u{d7ff}".as_bytes(), b"\xe9", "\u{e000}".as_bytes(), "\u{10000}".as_bytes()];
        assert_eq!(names, expected);
    }
}
