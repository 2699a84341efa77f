//! Names temporary files and work directories, and removes those of dead processes.
//!
//! Every temporary name begins with [`PREFIX`], and whoever made it holds an advisory lock on it (flock(2)) for as long as
//! it lives. The kernel drops the lock with the process, so [`sweep`] can tell what a dead owner left: what can be locked
//! has no owner. Where there are no locks nothing is removed.
//!
//! The directory may be one that everybody can write to, such as /tmp. Only regular files and directories of our own user
//! count; anything else of such a name is neither opened nor touched.

use crate::directory::lock::{Lock, try_lock};
use crate::directory::{Directory, file_type};
use crate::{Error, Leftover, Result};
use rustix::fs::{FileType, OFlags, Stat, fstat};
use rustix::process::geteuid;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// How every temporary name begins. Changing it orphans what older versions left.
pub const PREFIX: &str = ".layerstone-tmp-";

/// How often a work directory is removed that somebody else may be removing at the same time.
const TRIES: usize = 10;

/// Whether a file or directory of this name is temporary.
pub fn is_temporary(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(PREFIX.as_bytes())
}

/// A private work directory (mode 0700), removed with all that is in it when dropped.
#[derive(Debug)]
pub struct Scratch {
    parent: Arc<Directory>,
    name: OsString,
    path: PathBuf,
    directory: Arc<Directory>,
    _lock: File,
    /// For when a signal ends this process.
    _leftover: Leftover,
}

impl Scratch {
    /// Makes a work directory in `parent`, after removing what dead processes left there.
    pub fn create(parent: &Path) -> Result<Scratch> {
        let directory = Directory::open(parent).map_err(Error::io("make a work directory in", parent))?;
        Scratch::create_in(&Arc::new(directory), parent)
    }

    /// Makes a work directory in an open directory, to which `parent` leads, in the same way.
    pub fn create_in(directory: &Arc<Directory>, parent: &Path) -> Result<Scratch> {
        sweep(directory);
        loop {
            let name = temporary_name();
            let path = parent.join(&name);
            let ((lock, made), leftover) = match Leftover::make(|| make_directory(directory, &name)) {
                Ok(made) => made,
                // Somebody has this name, or has removed it.
                Err(e) if matches!(e.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound) => continue,
                Err(e) => return Err(Error::io("make a work directory", &path)(e)),
            };
            if hold(&lock, directory, &name) {
                let parent = Arc::clone(directory);
                return Ok(Scratch { parent, name, path, directory: made, _lock: lock, _leftover: leftover });
            }
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The directory itself, wherever its path leads meanwhile.
    pub fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nothing can be done about a failure here; the next sweep tries again.
        let _ = self.parent.remove_tree(&self.name, &self.directory);
    }
}

/// A work directory, and what removes it when this process is ended.
fn make_directory(
    parent: &Arc<Directory>,
    name: &OsStr,
) -> io::Result<((File, Arc<Directory>), impl FnOnce() + Send + 'static)> {
    // One that is not there never will be.
    if parent.stat().is_ok_and(|stat| stat.st_nlink == 0) {
        return Err(io::Error::other("the directory was removed"));
    }
    parent.create_directory(name, 0o700)?;
    let made = Arc::new(parent.subdirectory(name)?);
    let lock = made.reopen()?;
    let (parent, name, top) = (Arc::clone(parent), name.to_owned(), Arc::clone(&made));
    let remove = move || {
        // Whoever works may be removing it at this moment.
        let _ = (0..TRIES).any(|_| parent.remove_tree(&name, &top).is_ok());
    };
    Ok(((lock, made), remove))
}

/// A new temporary file in a directory, of this mode less the umask, and its name.
pub fn create_file(directory: &Arc<Directory>, mode: u32) -> io::Result<(File, OsString, Leftover)> {
    loop {
        let name = temporary_name();
        let make = || {
            let (at, left) = (Arc::clone(directory), name.clone());
            Ok((directory.create_file(&name, mode)?, move || drop(at.remove_file(&left))))
        };
        match Leftover::make(make) {
            Ok((file, leftover)) if hold(&file, directory, &name) => return Ok((file, name, leftover)),
            Ok(_) => {}
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(e),
        }
    }
}

/// Removes the temporary files and work directories of dead processes of this user. Best effort: what cannot be removed
/// stays.
pub fn sweep(directory: &Directory) {
    let own = own_prefix();
    for name in directory.names().unwrap_or_default() {
        // Those of this process are alive.
        if is_temporary(&name) && !name.as_encoded_bytes().starts_with(own.as_bytes()) {
            // The next sweep tries again.
            let _ = remove_if_abandoned(directory, &name);
        }
    }
}

fn remove_if_abandoned(directory: &Directory, name: &OsStr) -> io::Result<()> {
    // Looked at before it is opened, as opening a device may do something, and on the descriptor again.
    let Some(kind) = our_kind(&directory.stat_of(name)?) else { return Ok(()) };
    let directory_of_ours = match kind {
        FileType::Directory => Some(directory.subdirectory(name)?),
        _ => None,
    };
    let file = match &directory_of_ours {
        Some(top) => top.reopen()?,
        // Network file systems lock for writers alone.
        None => directory.open_file(name, OFlags::RDWR).or_else(|_| directory.open_file(name, OFlags::RDONLY))?,
    };
    let stat = fstat(&file)?;
    if our_kind(&stat) != Some(kind) || try_lock(&file) != Lock::Taken || !directory.still_has(name, &stat) {
        return Ok(());
    }
    match directory_of_ours {
        Some(top) => directory.remove_tree(name, &top),
        None => directory.remove_file(name),
    }
}

/// The kind of a file that a process of this user may have made under a temporary name; none for any other.
fn our_kind(stat: &Stat) -> Option<FileType> {
    let kind = file_type(stat);
    let is_kind_of_ours = matches!(kind, FileType::RegularFile | FileType::Directory);
    (is_kind_of_ours && stat.st_uid == geteuid().as_raw()).then_some(kind)
}

/// Takes the owner's lock; false if a sweeper was there first and the name is gone or about to go. Where there are no
/// locks nobody sweeps either.
fn hold(file: &File, directory: &Directory, name: &OsStr) -> bool {
    try_lock(file) != Lock::Busy && fstat(file).is_ok_and(|stat| directory.still_has(name, &stat))
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
    use crate::Output;
    use std::collections::BTreeSet;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn dead_owners_are_swept_and_living_ones_kept() {
        let dir = tempfile::tempdir().unwrap();
        let _living = Output::create(&dir.path().join("x")).unwrap();
        let _scratch = Scratch::create(dir.path()).unwrap();
        let names = || fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).collect::<BTreeSet<_>>();
        let before = names();
        fs::write(dir.path().join(format!("{PREFIX}1-0")), "left").unwrap();
        let left = dir.path().join(format!("{PREFIX}1-1"));
        fs::create_dir_all(left.join("a/b/c")).unwrap();
        fs::set_permissions(left.join("a/b"), Permissions::from_mode(0o0)).unwrap();
        fs::set_permissions(left.join("a"), Permissions::from_mode(0o0)).unwrap();
        sweep(&Directory::open(dir.path()).unwrap());
        assert_eq!(names(), before);
        assert_eq!(before.len(), 2);
    }
}
