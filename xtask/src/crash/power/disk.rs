//! A file system in memory that knows what would survive a power loss.
//!
//! Each file has the bytes that programs see and those that fsync(2) has put on the disk, each directory its entries in the
//! same two states. A change of entries (create, rename, unlink) waits in order until fsync(2) of one of its directories.
//! At a power cut [`Disk::survivors`] decides what of the rest had arrived; POSIX allows any of it. Does not know FUSE.

use crate::bench::random::Random;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

/// The number of an inode.
pub type Number = u64;
/// The number of the top directory.
pub const TOP: Number = 1;
/// Bytes that reach a disk together.
const PAGE: usize = 4096;

/// A file, a directory or a symbolic link.
#[derive(Clone, Debug)]
pub struct Inode {
    /// Permissions, without the kind.
    pub mode: u16,
    pub modified: SystemTime,
    pub links: u32,
    pub content: Content,
}

#[derive(Clone, Debug)]
pub enum Content {
    File { now: Arc<Vec<u8>>, synced: Arc<Vec<u8>> },
    Directory { now: Entries, synced: Entries },
    Link(PathBuf),
}

impl Content {
    /// A new file, of which nothing is on the disk.
    pub fn file(bytes: &[u8]) -> Content {
        Content::File { now: Arc::new(bytes.to_vec()), synced: Arc::default() }
    }

    /// A new directory.
    pub fn directory() -> Content {
        Content::Directory { now: Entries::new(), synced: Entries::new() }
    }
}

pub type Entries = BTreeMap<OsString, Number>;

/// Entries that change together: directory, name, and what has the name afterwards.
type Change = Vec<(Number, OsString, Option<Number>)>;

/// What had reached the disk of what nobody had synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrived {
    /// Changes of entries in their order up to a moment, as file systems with a journal have it; any pages of files.
    Ordered,
    /// Any changes of entries, any pages of files.
    Any,
}

/// The file system.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    inodes: BTreeMap<Number, Inode>,
    waiting: Vec<Change>,
    /// Requests so far that change something, or sync it.
    pub changes: u64,
    /// How many of them are served before the power is cut.
    pub last: Option<u64>,
    /// A directory at the top where another file system is mounted.
    apart: OsString,
}

impl Disk {
    /// A copy of a directory, all of it synced; what is `apart` is empty here, and left alone afterwards.
    pub fn of(directory: &Path, apart: &str) -> io::Result<Disk> {
        let mut disk = Disk { apart: apart.into(), ..Disk::default() };
        disk.load(directory)?;
        Ok(disk)
    }

    fn load(&mut self, path: &Path) -> io::Result<Number> {
        let metadata = path.symlink_metadata()?;
        let number = self.add(metadata.mode() as u16 & 0o7777, Content::Link(PathBuf::new()));
        let content = if metadata.is_dir() {
            let mut entries = Entries::new();
            for entry in fs::read_dir(path)? {
                let entry = entry?;
                let number = match number == TOP && entry.file_name() == self.apart {
                    true => self.add(0o755, Content::directory()),
                    false => self.load(&entry.path())?,
                };
                entries.insert(entry.file_name(), number);
            }
            Content::Directory { now: entries.clone(), synced: entries }
        } else if metadata.is_symlink() {
            Content::Link(fs::read_link(path)?)
        } else {
            let bytes = Arc::new(fs::read(path)?);
            Content::File { now: Arc::clone(&bytes), synced: bytes }
        };
        let inode = self.inodes.get_mut(&number).expect("it was added");
        (inode.content, inode.modified) = (content, metadata.modified()?);
        Ok(number)
    }

    /// A new inode, which nothing names yet.
    pub fn add(&mut self, mode: u16, content: Content) -> Number {
        let number = TOP + self.inodes.len() as Number;
        self.inodes.insert(number, Inode { mode, modified: SystemTime::now(), links: 1, content });
        number
    }

    /// Counts a request that changes something; false once the power is cut.
    pub fn change(&mut self) -> bool {
        let is_on = self.is_on();
        self.changes += u64::from(is_on);
        is_on
    }

    /// Whether requests are still served.
    pub fn is_on(&self) -> bool {
        self.last.is_none_or(|last| self.changes < last)
    }

    pub fn get(&self, number: Number) -> Option<&Inode> {
        self.inodes.get(&number)
    }

    pub fn get_mut(&mut self, number: Number) -> Option<&mut Inode> {
        self.inodes.get_mut(&number)
    }

    /// The entries of a directory, as programs see them.
    pub fn entries(&self, directory: Number) -> Option<&Entries> {
        match &self.get(directory)?.content {
            Content::Directory { now, .. } => Some(now),
            _ => None,
        }
    }

    /// What has a name in a directory.
    pub fn find(&self, directory: Number, name: &OsStr) -> Option<Number> {
        self.entries(directory)?.get(name).copied()
    }

    /// Changes entries, all at once.
    pub fn set(&mut self, change: Change) {
        for (directory, name, to) in &change {
            if let Some(Inode { content: Content::Directory { now, .. }, modified, .. }) = self.get_mut(*directory) {
                *modified = SystemTime::now();
                set(now, name, *to);
            }
        }
        self.waiting.push(change);
    }

    /// fsync(2): what a file holds, or the entries of a directory.
    pub fn sync(&mut self, number: Number) {
        match self.inodes.get_mut(&number).map(|inode| &mut inode.content) {
            Some(Content::File { now, synced }) => synced.clone_from(now),
            Some(Content::Directory { .. }) => {
                let is_of = |change: &Change| change.iter().any(|(directory, ..)| *directory == number);
                let (arrived, waiting) = std::mem::take(&mut self.waiting).into_iter().partition(is_of);
                self.waiting = waiting;
                self.arrive(&arrived);
            }
            _ => {}
        }
    }

    fn arrive(&mut self, changes: &[Change]) {
        for (directory, name, to) in changes.iter().flatten() {
            if let Some(Content::Directory { synced, .. }) = self.inodes.get_mut(directory).map(|it| &mut it.content) {
                set(synced, name, *to);
            }
        }
    }

    /// Writes what the disk holds after a power cut to a directory that is empty but for other file systems.
    pub fn survivors(mut self, arrived: Arrived, random: &mut Random, to: &Path) -> io::Result<()> {
        let mut waiting = std::mem::take(&mut self.waiting);
        match arrived {
            Arrived::Ordered => waiting.truncate(random.below(waiting.len() as u64 + 1) as usize),
            Arrived::Any => waiting.retain(|_| random.below(2) == 0),
        }
        self.arrive(&waiting);
        self.write(TOP, random, to)
    }

    fn write(&self, number: Number, random: &mut Random, to: &Path) -> io::Result<()> {
        let Some(inode) = self.get(number) else { return Ok(()) };
        match &inode.content {
            Content::Link(target) => return symlink(target, to),
            Content::File { now, synced } => fs::write(to, survived(now, synced, random))?,
            Content::Directory { synced, .. } => {
                if number != TOP {
                    fs::create_dir(to)?;
                }
                for (name, inner) in synced.iter().filter(|(name, _)| number != TOP || **name != self.apart) {
                    self.write(*inner, random, &to.join(name))?;
                }
            }
        }
        fs::set_permissions(to, fs::Permissions::from_mode(u32::from(inode.mode)))
    }
}

fn set(entries: &mut Entries, name: &OsStr, to: Option<Number>) {
    match to {
        Some(number) => entries.insert(name.to_owned(), number),
        None => entries.remove(name),
    };
}

/// What a file holds whose bytes were not all synced: the old ones, the new ones, nothing, a part, zeros, or pages of both.
fn survived(now: &[u8], synced: &[u8], random: &mut Random) -> Vec<u8> {
    if now == synced {
        return now.to_vec();
    }
    match random.below(6) {
        0 => synced.to_vec(),
        1 => now.to_vec(),
        2 => Vec::new(),
        3 => now[..random.below(now.len() as u64 + 1) as usize].to_vec(),
        4 => vec![0; now.len()],
        _ => {
            let mut bytes = now.to_vec();
            for page in bytes.chunks_mut(PAGE) {
                if random.below(2) == 0 {
                    page.fill(0);
                }
            }
            bytes
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes `new` under another name and renames it over `x`, which has `old`; the contents of `x` after each of 100 cuts.
    fn after(arrived: Arrived, sync_file: bool, sync_directory: bool) -> Vec<Vec<u8>> {
        let cut = |seed| {
            let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
            fs::write(from.path().join("x"), "old").unwrap();
            let mut disk = Disk::of(from.path(), "").unwrap();
            let number = disk.add(0o644, Content::file(b"new"));
            disk.set(vec![(TOP, "tmp".into(), Some(number))]);
            if sync_file {
                disk.sync(number);
            }
            disk.set(vec![(TOP, "tmp".into(), None), (TOP, "x".into(), Some(number))]);
            if sync_directory {
                disk.sync(TOP);
            }
            disk.survivors(arrived, &mut Random::new(seed), to.path()).unwrap();
            fs::read(to.path().join("x")).unwrap()
        };
        (0..100).map(cut).collect()
    }

    #[test]
    fn what_is_synced_survives() {
        for arrived in [Arrived::Ordered, Arrived::Any] {
            assert!(after(arrived, true, true).iter().all(|bytes| bytes == b"new"));
            let whole = after(arrived, true, false);
            assert!(whole.iter().all(|bytes| bytes == b"new" || bytes == b"old"));
            assert!(whole.contains(&b"new".to_vec()) && whole.contains(&b"old".to_vec()));
            assert!(after(arrived, false, true).contains(&vec![0; 3]), "a rename survives without its data");
        }
    }

    #[test]
    fn nothing_is_served_after_the_cut() {
        let mut disk = Disk { last: Some(2), ..Disk::default() };
        assert_eq!([disk.change(), disk.change(), disk.change()], [true, true, false]);
    }
}
