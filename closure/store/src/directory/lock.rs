//! Takes advisory locks (flock(2)), on file systems that have them, that have them for writers alone, or that have none.
//!
//! Network file systems differ: NFS takes a lock only on a descriptor that is open for writing (EBADF otherwise), a server
//! without a lock manager answers ENOLCK, and others EINVAL or EOPNOTSUPP. Without locks the work goes on.

use rustix::fs::{FlockOperation, flock};
use rustix::io::{Errno, retry_on_intr};
use std::io;
use std::os::fd::AsFd;

/// What became of a lock that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// It is ours, until the last descriptor of that opening is closed.
    Taken,
    /// Another process has it.
    Busy,
    /// There are no locks here.
    Unsupported,
}

/// Takes the exclusive lock of a file or directory, if nobody else has it.
pub fn try_lock(file: impl AsFd) -> Lock {
    match retry_on_intr(|| flock(&file, FlockOperation::NonBlockingLockExclusive)) {
        Ok(()) => Lock::Taken,
        Err(Errno::WOULDBLOCK) => Lock::Busy,
        Err(_) => Lock::Unsupported,
    }
}

/// Waits for the exclusive lock of a file.
///
/// # Errors
///
/// It failed for another reason than that there are no locks.
pub fn wait_lock(file: impl AsFd) -> io::Result<Lock> {
    match retry_on_intr(|| flock(&file, FlockOperation::LockExclusive)) {
        Ok(()) => Ok(Lock::Taken),
        Err(Errno::NOLCK | Errno::BADF | Errno::NOTSUP | Errno::INVAL | Errno::NOSYS) => Ok(Lock::Unsupported),
        Err(e) => Err(e.into()),
    }
}
