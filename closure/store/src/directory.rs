//! Works on directories as open descriptors: what lies in a directory that others can write to is opened, inspected, renamed and
//! removed relative to its descriptor, never by a path that somebody may have replaced meanwhile.
//!
//! A name is a single component, and is not followed if it is a symbolic link. Where the kernel has openat2(2) it
//! enforces this; elsewhere `O_NOFOLLOW` does the same for a single component. Mount points are never crossed.
//! Paths of several components, in which users may have put links on purpose, are in [`follow`].
//! Who owns a file and of which kind it is, is asked of its descriptor, after it was opened.
//!
//! Does not know what the files mean.

mod follow;
pub mod lock;
mod real;
mod remove;
#[cfg(test)]
mod tests;

pub use follow::open_regular;
pub(crate) use follow::{Entry, OTHERS_WRITE, Walk, is_refused};
pub use real::{RealEntry, open_real_file};

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, RenameFlags, ResolveFlags, Stat, fchmod, fchown, fstat, fsync,
    linkat, mkdirat, openat, openat2, renameat, renameat_with, statat, symlinkat, unlinkat,
};
use rustix::io::{Errno, retry_on_intr};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

/// How often openat2(2) is tried again when it asks for that (EAGAIN).
const TRIES: u32 = 16;

/// An open directory.
///
/// It is open as `O_PATH`: it can be searched and written as its mode allows, and need not be readable.
#[derive(Debug)]
pub struct Directory {
    fd: OwnedFd,
    /// Whether another user put it into a sticky directory where others can write.
    is_planted: bool,
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl From<OwnedFd> for Directory {
    fn from(fd: OwnedFd) -> Directory {
        Directory { fd, is_planted: false }
    }
}

impl Directory {
    /// Opens the directory that a path of the user leads to. Symbolic links on the way are followed.
    pub fn open(path: &Path) -> io::Result<Directory> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(retry_on_intr(|| openat(CWD, path, flags, Mode::empty()))?.into())
    }

    /// Opens a directory in this one, on the same mount.
    pub fn subdirectory(&self, name: &OsStr) -> io::Result<Directory> {
        let inner = Directory::from(self.open_entry(name, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())?);
        match inner.stat()?.st_dev == self.stat()?.st_dev {
            true => Ok(inner),
            false => Err(Errno::XDEV.into()),
        }
    }

    /// Opens a regular file in this directory; anything else in its place is an error and is not waited for.
    pub fn open_file(&self, name: &OsStr, flags: OFlags) -> io::Result<File> {
        follow::regular(self.open_entry(name, flags | OFlags::NONBLOCK | OFlags::NOCTTY, Mode::empty()))
    }

    /// Opens whatever has a name, as `O_PATH`: a link itself.
    pub(crate) fn open_any(&self, name: &OsStr) -> io::Result<OwnedFd> {
        let (name, flags) = (single(name)?, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC);
        Ok(retry_on_intr(|| openat(self, name, flags, Mode::empty()))?)
    }

    /// Creates a file of this mode, less the umask, for reading and writing; there must be nothing of that name.
    pub fn create_file(&self, name: &OsStr, mode: u32) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        Ok(self.open_entry(name, flags, Mode::from_raw_mode(mode))?.into())
    }

    /// Creates a directory of this mode, less the umask.
    pub fn create_directory(&self, name: &OsStr, mode: u32) -> io::Result<()> {
        Ok(mkdirat(self, single(name)?, Mode::from_raw_mode(mode))?)
    }

    /// Creates a symbolic link with this text.
    pub fn create_symlink(&self, name: &OsStr, text: &Path) -> io::Result<()> {
        Ok(symlinkat(text, self, single(name)?)?)
    }

    /// Gives an entry, even a link, a second name in another directory, which nothing may have.
    pub fn link(&self, from: &OsStr, to: &Directory, name: &OsStr) -> io::Result<()> {
        Ok(linkat(self, single(from)?, to, single(name)?, AtFlags::empty())?)
    }

    /// The same directory once more.
    pub fn try_clone(&self) -> io::Result<Directory> {
        Ok(Directory { fd: self.fd.try_clone()?, is_planted: self.is_planted })
    }

    /// The same directory, open for reading: for locks and fsync(2).
    pub fn reopen(&self) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(retry_on_intr(|| openat(self, ".", flags, Mode::empty()))?.into())
    }

    /// The directory's own status.
    pub fn stat(&self) -> io::Result<Stat> {
        Ok(fstat(self)?)
    }

    /// The status of an entry, without following it.
    pub fn stat_of(&self, name: &OsStr) -> io::Result<Stat> {
        Ok(statat(self, single(name)?, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// The names of all entries, in no order.
    pub fn names(&self) -> io::Result<Vec<OsString>> {
        let mut names = Vec::new();
        for entry in Dir::new(self.reopen()?)? {
            let name = entry?.file_name().to_bytes().to_vec();
            if name != b"." && name != b".." {
                names.push(OsString::from_vec(name));
            }
        }
        Ok(names)
    }

    /// Renames an entry into another directory, replacing what is there.
    pub fn rename(&self, from: &OsStr, to: &Directory, name: &OsStr) -> io::Result<()> {
        Ok(renameat(self, single(from)?, to, single(name)?)?)
    }

    /// Renames an entry of this directory to a name that nothing has; false if something has it, and then nothing changes.
    ///
    /// File systems without `RENAME_NOREPLACE` (rename(2), EINVAL) may have hard links; on those without either, one that
    /// comes at the same moment may be replaced.
    pub fn rename_new(&self, from: &OsStr, name: &OsStr) -> io::Result<bool> {
        let (from, name) = (single(from)?, single(name)?);
        let moved = match renameat_with(self, from, self, name, RenameFlags::NOREPLACE) {
            Err(Errno::INVAL | Errno::NOSYS) => {
                linkat(self, from, self, name, AtFlags::empty()).and_then(|()| unlinkat(self, from, AtFlags::empty()))
            }
            moved => moved,
        };
        match moved {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            Err(Errno::PERM | Errno::NOTSUP | Errno::NOSYS) if self.stat_of(name).is_err() => {
                self.rename(from, self, name).map(|()| true)
            }
            Err(e) => Err(e.into()),
        }
    }

    /// Removes an empty directory.
    pub fn remove_directory(&self, name: &OsStr) -> io::Result<()> {
        Ok(unlinkat(self, single(name)?, AtFlags::REMOVEDIR)?)
    }

    /// Removes an entry that is no directory.
    pub fn remove_file(&self, name: &OsStr) -> io::Result<()> {
        Ok(unlinkat(self, single(name)?, AtFlags::empty())?)
    }

    /// Whether an entry still is the file that has this status.
    pub fn still_has(&self, name: &OsStr, stat: &Stat) -> bool {
        self.stat_of(name).is_ok_and(|now| (now.st_dev, now.st_ino) == (stat.st_dev, stat.st_ino))
    }

    /// Changes the mode of the directory.
    pub fn set_mode(&self, mode: u32) -> io::Result<()> {
        let mode = Mode::from_raw_mode(mode);
        match self.reopen() {
            Ok(readable) => Ok(fchmod(readable, mode)?),
            // One that cannot be read has no other descriptor than this, of which fchmod(2) takes none (open(2), O_PATH).
            // The link in /proc leads to the very inode that is open here.
            Err(_) => Ok(rustix::fs::chmod(format!("/proc/self/fd/{}", self.fd.as_raw_fd()), mode)?),
        }
    }

    /// Gives the directory another group, as far as the user may.
    pub fn set_group(&self, group: u32) -> io::Result<()> {
        Ok(fchown(self.reopen()?, None, Some(Gid::from_raw(group)))?)
    }

    /// Writes the directory's entries to the disk; where that is not possible (fsync(2), EINVAL) nothing is done.
    pub fn sync(&self) -> io::Result<()> {
        let directory = self.reopen()?;
        match retry_on_intr(|| fsync(&directory)) {
            Err(Errno::INVAL) => Ok(()),
            synced => Ok(synced?),
        }
    }

    fn open_entry(&self, name: &OsStr, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
        let (name, flags) = (single(name)?, flags | OFlags::NOFOLLOW | OFlags::CLOEXEC);
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
        for _ in 0..if has_openat2() { TRIES } else { 0 } {
            match retry_on_intr(|| openat2(self, name, flags, mode, resolve)) {
                Err(Errno::AGAIN) => {}
                // Older kernels do not know it, and filters of system calls answer EPERM for what they do not know.
                Err(Errno::NOSYS | Errno::PERM) => break,
                opened => return Ok(opened?),
            }
        }
        Ok(retry_on_intr(|| openat(self, name, flags, mode))?)
    }
}

/// Whether openat2(2) is tried.
fn has_openat2() -> bool {
    #[cfg(test)]
    return !tests::IS_OLD_KERNEL.get();
    #[cfg(not(test))]
    true
}

/// The kind of a file.
pub fn file_type(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// A name that stays in the directory: no path, and neither the directory itself nor its parent.
fn single(name: &OsStr) -> io::Result<&OsStr> {
    match name.as_bytes() {
        b"" | b"." | b".." => Err(io::ErrorKind::InvalidInput.into()),
        bytes if bytes.contains(&b'/') => Err(io::ErrorKind::InvalidInput.into()),
        _ => Ok(name),
    }
}
