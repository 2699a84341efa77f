//! Outputs written whole or not at all, and work folders that leave nothing behind.
//!
//! A file is written under a temporary name in the folder of its destination, flushed, and renamed over it; until then
//! the destination keeps what it had, whatever kills us. Every temporary name begins with [`PREFIX`], and whoever made
//! it holds an advisory lock on it (flock(2)) for as long as it lives. The kernel drops the lock with the process, so
//! [`sweep`] can tell what a dead owner left: what can be locked has no owner.
//!
//! A destination that is a link stays one: what it leads to is written. One that is there and is no regular file
//! (`/dev/null`, a named pipe) cannot be replaced by a rename without harm: it is written directly.

use crate::{Error, Result};
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// How every temporary name begins. Changing it orphans what older versions left.
const PREFIX: &str = ".layerstone-tmp-";

/// Links followed before a chain counts as a loop, as Linux does (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// A file on its way: writes go to a temporary file beside the destination, [`Output::commit`] moves it there. Dropped
/// without commit, it disappears.
///
/// The file is created readable by all and writable by its owner, less the umask, as any new file is.
#[derive(Debug)]
pub struct Output {
    file: File,
    /// The name to be renamed or removed; none once committed, or when the destination is written directly.
    temporary: Option<PathBuf>,
    destination: PathBuf,
    seekable: bool,
}

impl Output {
    /// Starts an output; its folder must exist. Removes what dead processes left in that folder first.
    pub fn create(destination: &Path) -> Result<Output> {
        Output::create_in(destination, &mut BTreeSet::new())
    }

    /// Starts several outputs, all or none; each folder is looked through once.
    pub fn create_all<P: AsRef<Path>>(destinations: &[P]) -> Result<Vec<Output>> {
        let mut swept = BTreeSet::new();
        destinations.iter().map(|destination| Output::create_in(destination.as_ref(), &mut swept)).collect()
    }

    /// Starts an output in the place of whatever is there, a link too: for folders that others may write to.
    pub fn create_here(destination: &Path) -> Result<Output> {
        Output::create_file(destination, &mut BTreeSet::new())
    }

    fn create_in(destination: &Path, swept: &mut BTreeSet<PathBuf>) -> Result<Output> {
        // Under its own name, as the kernel knows links whose text leads nowhere (proc_pid_fd(5)).
        if let Ok(metadata) = destination.metadata()
            && !metadata.is_file()
            && !metadata.is_dir()
        {
            let file = OpenOptions::new().write(true).open(destination).map_err(Error::io("write", destination))?;
            return Ok(Output { file, temporary: None, destination: destination.to_owned(), seekable: false });
        }
        Output::create_file(&followed(destination)?, swept)
    }

    fn create_file(destination: &Path, swept: &mut BTreeSet<PathBuf>) -> Result<Output> {
        let parent = parent_of(destination);
        if !parent.is_dir() {
            return Err(Error::NoParent { path: destination.to_owned(), parent });
        }
        if destination.is_dir() {
            return Err(Error::Io {
                action: "write",
                path: destination.to_owned(),
                source: io::Error::from(io::ErrorKind::IsADirectory),
            });
        }
        if swept.insert(parent.clone()) {
            sweep(&parent);
        }
        loop {
            let temporary = parent.join(temporary_name());
            let opened = OpenOptions::new().read(true).write(true).create_new(true).mode(0o666).open(&temporary);
            let file = match opened {
                Ok(file) => file,
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(e) => return Err(Error::io("write", destination)(e)),
            };
            if hold(&file, &temporary) {
                let destination = destination.to_owned();
                return Ok(Output { file, temporary: Some(temporary), destination, seekable: true });
            }
        }
    }

    /// The temporary file, for positioned writes ([`FileExt`]) and seeking.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Whether bytes can be written at any place in any order: true but for devices and pipes.
    pub fn is_seekable(&self) -> bool {
        self.seekable
    }

    /// The name under which the file will appear.
    pub fn destination(&self) -> &Path {
        &self.destination
    }

    /// Writes all bytes at an offset.
    pub fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    /// Moves the finished file to another name on the same file system: one that is known only now.
    pub fn commit_as(mut self, destination: &Path) -> Result<()> {
        self.destination = destination.to_owned();
        self.commit()
    }

    /// Moves the finished file to its destination, replacing what was there.
    pub fn commit(mut self) -> Result<()> {
        self.file.flush().map_err(Error::io("write", &self.destination))?;
        if let Some(temporary) = self.temporary.take() {
            let renamed = std::fs::rename(&temporary, &self.destination);
            if renamed.is_err() {
                self.temporary = Some(temporary);
            }
            renamed.map_err(Error::io("write", &self.destination))?;
        }
        Ok(())
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            // Nothing can be done about a failure here; the next sweep tries again.
            let _ = std::fs::remove_file(temporary);
        }
    }
}

/// Writes a small file whole or not at all.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut output = Output::create(path)?;
    output.write_all(bytes).map_err(Error::io("write", path))?;
    output.commit()
}

/// A private work folder (mode 0700), removed with all that is in it when dropped.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    _lock: File,
}

impl Scratch {
    /// Makes a work folder in `parent`, after removing what dead processes left there.
    pub fn create(parent: &Path) -> Result<Scratch> {
        sweep(parent);
        loop {
            let path = parent.join(temporary_name());
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => {}
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(e) => return Err(Error::io("make a work folder", &path)(e)),
            }
            let lock = match File::open(&path) {
                Ok(lock) => lock,
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(e) => return Err(Error::io("open", &path)(e)),
            };
            if hold(&lock, &path) {
                return Ok(Scratch { path, _lock: lock });
            }
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        remove_tree(&self.path);
    }
}

/// Removes the temporary files and work folders in a folder whose owners are dead. Best effort: what cannot be removed
/// stays.
pub fn sweep(folder: &Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let own = own_prefix();
    for entry in entries.flatten() {
        let name = entry.file_name();
        // Our own are alive.
        if !name.as_encoded_bytes().starts_with(PREFIX.as_bytes())
            || name.as_encoded_bytes().starts_with(own.as_bytes())
        {
            continue;
        }
        let path = entry.path();
        let Ok(file) = File::open(&path) else { continue };
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            continue;
        }
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            remove_tree(&path);
        } else {
            let _ = std::fs::remove_file(&path);
        }
    }
}

/// Takes the owner's lock; false if a sweeper was there first and the name is gone or about to go. Where there are no
/// locks (some network file systems) nobody can sweep either.
fn hold(file: &File, path: &Path) -> bool {
    if flock(file, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK) {
        return false;
    }
    match (file.metadata(), path.symlink_metadata()) {
        (Ok(a), Ok(b)) => a.ino() == b.ino() && a.dev() == b.dev(),
        _ => false,
    }
}

/// Removes a tree although scripts may have left folders in it that cannot be written.
fn remove_tree(path: &Path) {
    if std::fs::remove_dir_all(path).is_ok() {
        return;
    }
    make_writable(path);
    let _ = std::fs::remove_dir_all(path);
}

fn make_writable(folder: &Path) {
    let _ = std::fs::set_permissions(folder, Permissions::from_mode(0o700));
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            make_writable(&entry.path());
        }
    }
}

/// Where a destination that is a link leads, so that the link stays; what is at its end need not be there.
fn followed(destination: &Path) -> Result<PathBuf> {
    let mut at = destination.to_owned();
    for _ in 0..MAX_LINKS {
        match std::fs::read_link(&at) {
            Ok(target) => at = parent_of(&at).join(target),
            Err(_) => return Ok(at),
        }
    }
    Err(Error::io("write", destination)(Errno::LOOP.into()))
}

fn parent_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if parent != OsStr::new("") => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

/// A name that no other process and no earlier call uses; a clash is met by trying again.
fn temporary_name() -> OsString {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    format!("{}{}", own_prefix(), COUNTER.fetch_add(1, Ordering::Relaxed)).into()
}

/// How the names of this process begin: its number, which processes in other namespaces may have too, and what they have
/// not.
fn own_prefix() -> String {
    static RANDOM: OnceLock<u64> = OnceLock::new();
    let random = RANDOM.get_or_init(|| RandomState::new().hash_one(0));
    format!("{PREFIX}{}-{random:016x}-", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        std::fs::write(&path, "old").unwrap();
        let mut output = Output::create(&path).unwrap();
        output.write_all(b"new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        drop(output);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        write_whole(&path, b"new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn dead_owners_are_swept_and_living_ones_kept() {
        let dir = tempfile::tempdir().unwrap();
        let living = Output::create(&dir.path().join("x")).unwrap();
        let scratch = Scratch::create(dir.path()).unwrap();
        std::fs::write(dir.path().join(format!("{PREFIX}1-0")), "left").unwrap();
        let left = dir.path().join(format!("{PREFIX}1-1"));
        std::fs::create_dir_all(left.join("a")).unwrap();
        std::fs::set_permissions(left.join("a"), Permissions::from_mode(0o0)).unwrap();
        sweep(dir.path());
        let names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().path()).collect();
        assert_eq!(names.len(), 2, "{names:?}");
        assert!(names.contains(living.temporary.as_ref().unwrap()) && names.contains(&scratch.path));
    }

    #[test]
    fn devices_are_not_replaced() {
        let mut output = Output::create(Path::new("/dev/null")).unwrap();
        output.write_all(b"x").unwrap();
        assert!(!output.is_seekable());
        output.commit().unwrap();
        assert!(!Path::new("/dev/null").symlink_metadata().unwrap().is_file());
    }

    #[test]
    fn missing_folder_is_told() {
        let error = Output::create(Path::new("/nonexistent/x")).unwrap_err().to_string();
        assert_eq!(error, "cannot write: /nonexistent/x: its folder /nonexistent does not exist");
    }
}
