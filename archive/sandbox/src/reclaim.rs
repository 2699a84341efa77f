//! Gives the files of a user namespace back to its creator, who may neither read nor remove those of others.
//!
//! Runs in the namespace, in a process between fork and exec: nothing is allocated, and the depth of directories is bounded.

use crate::report::Reclaimed;
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, RawDir, Stat, Uid, chmodat, chownat, fgetxattr, openat, statat,
};
use rustix::io::{Errno, retry_on_intr};
use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};

/// How deep directories may be nested: each takes a descriptor and a buffer on the stack.
const DEPTH: usize = 400;
/// Bytes of directory entries that are read at a time; a name has at most 255.
const BUFFER: usize = 1 << 10;
/// What a directory needs for its owner to read and empty it.
const DIRECTORY_BITS: u32 = 0o700;
/// What a file needs.
const FILE_BITS: u32 = 0o400;

/// Gives a directory and all that is in it to root of the namespace, readable; what that changes is reported first.
pub fn reclaim(directory: &CStr, report: BorrowedFd<'_>) -> Result<(), Errno> {
    visit(rustix::fs::CWD, directory, report, DEPTH)
}

fn visit(parent: BorrowedFd<'_>, name: &CStr, report: BorrowedFd<'_>, depth: usize) -> Result<(), Errno> {
    let stat = statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let kind = FileType::from_raw_mode(stat.st_mode);
    let needed = match kind {
        FileType::Directory => DIRECTORY_BITS,
        FileType::RegularFile => FILE_BITS,
        _ => 0,
    };
    let is_ours = stat.st_uid == 0 && stat.st_gid == 0;
    let is_open = stat.st_mode & needed == needed;
    let capability = if kind == FileType::RegularFile { capability(parent, name)? } else { None };
    if !is_ours || !is_open || capability.is_some() {
        match retry_on_intr(|| rustix::io::write(report, &reclaimed(&stat, capability).encode())) {
            // Nobody listens if our parent is dead, and the files are to be given back all the same.
            Ok(_) | Err(Errno::PIPE) => {}
            Err(errno) => return Err(errno),
        }
    }
    if !is_ours {
        chownat(parent, name, Some(Uid::ROOT), Some(Gid::ROOT), AtFlags::SYMLINK_NOFOLLOW)?;
    }
    if !is_open {
        chmodat(parent, name, Mode::from_raw_mode(stat.st_mode & 0o777 | needed), AtFlags::empty())?;
    }
    if kind == FileType::Directory {
        enter(parent, name, report, depth.checked_sub(1).ok_or(Errno::NAMETOOLONG)?)?;
    }
    Ok(())
}

fn enter(parent: BorrowedFd<'_>, name: &CStr, report: BorrowedFd<'_>, depth: usize) -> Result<(), Errno> {
    let directory =
        retry_on_intr(|| openat(parent, name, OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()))?;
    let mut buffer = [MaybeUninit::uninit(); BUFFER];
    let mut entries = RawDir::new(&directory, &mut buffer);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        if entry.file_name() != c"." && entry.file_name() != c".." {
            visit(directory.as_fd(), entry.file_name(), report, depth)?;
        }
    }
    Ok(())
}

fn reclaimed(stat: &Stat, capability: Option<[u8; Reclaimed::CAPABILITY]>) -> Reclaimed {
    let Stat { st_dev: dev, st_ino: ino, st_uid: uid, st_gid: gid, st_mode, .. } = *stat;
    Reclaimed { dev, ino, uid, gid, mode: st_mode & 0o7777, capability }
}

/// Seen from inside the namespace, a capability that counts there is one of revision 2 (capabilities(7)).
fn capability(parent: BorrowedFd<'_>, name: &CStr) -> Result<Option<[u8; Reclaimed::CAPABILITY]>, Errno> {
    let file =
        retry_on_intr(|| openat(parent, name, OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty()))?;
    let mut value = [0; Reclaimed::CAPABILITY];
    match fgetxattr(&file, c"security.capability", &mut value) {
        Ok(Reclaimed::CAPABILITY) => Ok(Some(value)),
        // None, none of ours, or a file system that has none.
        Ok(_) | Err(Errno::NODATA | Errno::NOTSUP | Errno::RANGE) => Ok(None),
        Err(errno) => Err(errno),
    }
}
