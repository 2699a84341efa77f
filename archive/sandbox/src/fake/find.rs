//! Looks up the file that a process means by a path, as the kernel would for it.
//!
//! Its root may be another one than ours, so links that begin with a slash lead to its root, and `..` not above it. The walk
//! is on open directories, where [`Walk`](layerstone_store::Walk) is on paths: a path of the process may be another file for
//! us, the broker opens what we may not, and links of /proc lead to files and not to names. No openat2(2) can do that.

use super::process::Process;
use crate::fd_broker::FdBroker;
use layerstone_store::{Components, TooManySymlinks};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, fstatfs, readlinkat, statat};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// linux/magic.h, PROC_SUPER_MAGIC.
const PROC: i64 = 0x9FA0;

/// A directory that a process has open, or [`AT_FDCWD`](libc::AT_FDCWD) for the one that it is in.
pub fn directory(process: Process, descriptor: i32) -> Result<OwnedFd, Errno> {
    if descriptor == libc::AT_FDCWD { process.open("cwd") } else { process.open(&format!("fd/{descriptor}")) }
}

/// The file at a path that begins at a directory; `follow` says whether a link at the end is followed.
pub fn file(process: Process, broker: &FdBroker, start: i32, path: &[u8], follow: bool) -> Result<OwnedFd, Errno> {
    let mut walk = Walk::begin(process, broker, start, path)?;
    walk.go(path, follow)?;
    Ok(walk.at)
}

/// The directory of a path's last name, and that name.
pub fn parent(process: Process, broker: &FdBroker, start: i32, path: &[u8]) -> Result<(OwnedFd, Vec<u8>), Errno> {
    let cut = path.iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
    let (directory, name) = path.split_at(cut);
    if name.is_empty() || name == b"." || name == b".." {
        return Err(Errno::EXIST);
    }
    let mut walk = Walk::begin(process, broker, start, path)?;
    walk.go(directory, true)?;
    Ok((walk.at, name.to_vec()))
}

struct Walk<'a> {
    process: Process,
    broker: &'a FdBroker,
    root: OwnedFd,
    at: OwnedFd,
}

impl<'a> Walk<'a> {
    fn begin(process: Process, broker: &'a FdBroker, start: i32, path: &[u8]) -> Result<Walk<'a>, Errno> {
        let root = process.open("root")?;
        let at = if path.starts_with(b"/") {
            root.try_clone().map_err(|_| Errno::MFILE)?
        } else {
            directory(process, start)?
        };
        Ok(Walk { process, broker, root, at })
    }

    fn go(&mut self, path: &[u8], follow: bool) -> Result<(), Errno> {
        let mut left = Components::new(as_path(path));
        while let Some(part) = left.next() {
            let is_here = part.is_empty() || part == ".";
            if is_here || part == ".." && is_same(&self.at, &self.root)? {
                continue;
            }
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let next = self.broker.open(&self.at, part.as_bytes(), flags, Mode::empty())?;
            let is_link = FileType::from_raw_mode(stat(&next)?.st_mode) == FileType::Symlink;
            if !is_link || left.is_empty() && !follow {
                self.at = next;
                continue;
            }
            let is_of_proc = fstatfs(&next)?.f_type as i64 == PROC;
            let target = if is_of_proc { Vec::new() } else { readlinkat(&next, c"", Vec::new())?.into_bytes() };
            left.enter(part.clone().into(), as_path(&target).to_owned()).map_err(|TooManySymlinks| Errno::LOOP)?;
            if is_of_proc {
                self.at = self.through_proc(part.as_bytes())?;
            } else if target.starts_with(b"/") {
                self.at = self.root.try_clone().map_err(|_| Errno::MFILE)?;
            }
        }
        Ok(())
    }
}

impl Walk<'_> {
    /// Follows a link of /proc: one to the reader itself means the process, and the others lead to files, not to names.
    fn through_proc(&self, part: &[u8]) -> Result<OwnedFd, Errno> {
        match part {
            b"self" | b"thread-self" => self.process.open("."),
            _ => self.broker.open(&self.at, part, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()),
        }
    }
}

fn as_path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

/// What an open file is.
pub fn stat(file: &OwnedFd) -> Result<Stat, Errno> {
    statat(file, c"", AtFlags::EMPTY_PATH)
}

fn is_same(a: &OwnedFd, b: &OwnedFd) -> Result<bool, Errno> {
    let (a, b) = (stat(a)?, stat(b)?);
    Ok((a.st_dev, a.st_ino) == (b.st_dev, b.st_ino))
}
