//! Syncs outputs before they get their names, and finds errors that a file system reports only when data is written back:
//! at fdatasync(2) and at close(2).
//!
//! A file system may put a rename on the disk before the data of the file, even if that comes first: after a power loss the
//! output is there, and empty. A network file system may find out late that a quota is used up, a disk is full, or a server
//! is gone, and says so at fdatasync(2) or close(2). Both are met by fdatasync(2) before the rename. That a file is closed
//! without an error is checked always: it costs nothing.

use crate::directory::Directory;
use rustix::fs::{FileType, fdatasync, fstat};
use rustix::io::{Errno, retry_on_intr};
use std::io;
use std::os::fd::{AsFd, AsRawFd, IntoRawFd};
use std::sync::{PoisonError, RwLock};

/// When outputs are synced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sync {
    /// Before they get their names: after a power loss an output is whole, the old one or the new one.
    #[default]
    Auto,
    /// Their directories afterwards, too: an output that a command has written survives a power loss.
    Always,
    /// Never.
    Never,
}

/// The last setting of [`set_sync`], for the whole process, as the umask is.
static SYNC: RwLock<Sync> = RwLock::new(Sync::Auto);

/// Says when outputs are synced.
pub fn set_sync(sync: Sync) {
    *SYNC.write().unwrap_or_else(PoisonError::into_inner) = sync;
}

/// When outputs are synced.
pub fn sync() -> Sync {
    *SYNC.read().unwrap_or_else(PoisonError::into_inner)
}

/// Syncs a finished file if that is called for, and asks the file system whether all that was written has arrived.
///
/// # Errors
///
/// Something that was written is lost.
pub fn check_written(file: impl AsFd) -> io::Result<()> {
    if must_sync(&file)? {
        match retry_on_intr(|| fdatasync(&file)) {
            // Pipes, sockets and character devices have nothing to sync (fdatasync(2)).
            Ok(()) | Err(Errno::INVAL) => {}
            Err(e) => return Err(e.into()),
        }
    }
    check_close(file)
}

/// What close(2) has to say of a file, which stays open: a second descriptor is closed, for which the file system does the
/// same as for the last one, and so locks stay.
///
/// # Errors
///
/// Something that was written is lost.
pub fn check_close(file: impl AsFd) -> io::Result<()> {
    let second = file.as_fd().try_clone_to_owned()?.into_raw_fd();
    // SAFETY: nobody else has this descriptor, which is closed by the call whatever it returns (close(2)).
    if unsafe { libc::close(second) } == 0 {
        return Ok(());
    }
    match io::Error::last_os_error() {
        e if e.kind() == io::ErrorKind::Interrupted => Ok(()),
        e => Err(e),
    }
}

/// Has the kernel begin to write a file that will be synced after others: then all of them share what a sync waits for.
pub(crate) fn begin_write_back(file: impl AsFd) {
    if sync() != Sync::Never {
        // SAFETY: a system call on a descriptor that is open. Where it fails the sync does all of the work.
        unsafe { libc::sync_file_range(file.as_fd().as_raw_fd(), 0, 0, libc::SYNC_FILE_RANGE_WRITE) };
    }
}

/// Syncs the entries of a directory before something that needs them gets its name: what an index names, a directory that
/// was made.
///
/// # Errors
///
/// They cannot be written.
pub fn check_entries(directory: &Directory) -> io::Result<()> {
    match sync() {
        Sync::Never => Ok(()),
        Sync::Always => directory.sync(),
        // One that can be written and not read cannot be synced.
        Sync::Auto => match directory.sync() {
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            synced => synced,
        },
    }
}

fn must_sync(file: impl AsFd) -> io::Result<bool> {
    let is_kept = || fstat(&file).map(|stat| FileType::from_raw_mode(stat.st_mode));
    Ok(sync() != Sync::Never && matches!(is_kept()?, FileType::RegularFile | FileType::BlockDevice))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_synced_is_closed() {
        let (_reader, writer) = std::io::pipe().unwrap();
        check_written(&writer).unwrap();
        assert!(!must_sync(&writer).unwrap());
        check_written(tempfile::tempfile().unwrap()).unwrap();
    }
}
