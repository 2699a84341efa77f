//! Finds errors that a file system reports only when data is written back: at fdatasync(2) and at close(2).
//!
//! A local file system reserves room when write(2) is called, so what it accepts has its place, and only a failing disk or
//! a power loss can take it away. A network file system may find out later that a quota is used up, a disk is full, or a
//! server is gone, and says so at fdatasync(2) or close(2). So [`Sync::Auto`] syncs wherever the file system is not known
//! to be local. That a file is closed without an error is checked always: it costs nothing.

use rustix::fs::{FileType, fdatasync, fstat, fstatfs};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsFd, IntoRawFd};
use std::sync::{PoisonError, RwLock};

/// When outputs are synced before they get their names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sync {
    /// Where the file system may report errors only then: on all that are not known to be local, and on block devices.
    #[default]
    Auto,
    /// Always, the directory too: an output that a command has written survives a power loss.
    Always,
    /// Never.
    Never,
}

/// The last setting of [`set_sync`], for the whole process, as the umask is.
static SYNC: RwLock<Sync> = RwLock::new(Sync::Auto);

/// File systems that report a lack of room at write(2), by the numbers of statfs(2) and linux/magic.h. One that is
/// missing here is synced for nothing.
const LOCAL: [u32; 15] = [
    0xef53,      // ext2, ext3, ext4
    0x5846_5342, // xfs
    0x9123_683e, // btrfs
    0x2fc1_2fc1, // zfs
    0xf2f5_2010, // f2fs
    0xca45_1a4e, // bcachefs
    0x0102_1994, // tmpfs
    0x8584_58f6, // ramfs
    0x794c_7630, // overlayfs
    0x5265_4973, // reiserfs
    0x3153_464a, // jfs
    0x3434,      // nilfs2
    0x4d44,      // vfat
    0x2011_bab0, // exfat
    0x7366_746e, // ntfs3
];

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
        match fdatasync(&file) {
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

fn must_sync(file: impl AsFd) -> io::Result<bool> {
    Ok(match sync() {
        Sync::Always => true,
        Sync::Never => false,
        Sync::Auto => match FileType::from_raw_mode(fstat(&file)?.st_mode) {
            FileType::RegularFile => !is_local(fstatfs(&file)?.f_type as u64),
            kind => kind == FileType::BlockDevice,
        },
    })
}

/// Whether a file system of this number is known to report a lack of room at once.
fn is_local(number: u64) -> bool {
    // Some architectures have it as a signed number.
    LOCAL.contains(&(number as u32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_file_systems_are_local() {
        let local = [0xef53, 0x9123_683e, 0xffff_ffff_9123_683e, 0x0102_1994, 0x794c_7630];
        // NFS, SMB, CIFS, FUSE, Ceph, 9P, Lustre, GFS2, AFS, and one that nobody knows.
        let others = [
            0x6969,
            0x517b,
            0xff53_4d42,
            0x6573_5546,
            0x00c3_6400,
            0x0102_1997,
            0x0bd0_0bd0,
            0x0116_1970,
            0x5346_414f,
            7,
        ];
        assert!(local.into_iter().all(is_local) && !others.into_iter().any(is_local));
    }

    #[test]
    fn what_cannot_be_synced_is_closed() {
        let (_reader, writer) = std::io::pipe().unwrap();
        check_written(&writer).unwrap();
        assert!(!must_sync(&writer).unwrap());
        check_written(tempfile::tempfile().unwrap()).unwrap();
    }
}
