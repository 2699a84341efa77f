//! Looks up the file that a process means by a path, as the kernel would for it.
//!
//! Its root may be another one than ours, so links that begin with a slash lead to its root, and `..` not above it.

use super::process::Process;
use crate::fd_broker::FdBroker;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, fstatfs, readlinkat, statat};
use rustix::io::Errno;
use std::os::fd::OwnedFd;

/// Links that are followed in one path (path_resolution(7)).
const LINKS: usize = 40;
/// linux/magic.h, PROC_SUPER_MAGIC.
const PROC: i64 = 0x9FA0;

/// A folder that a process has open, or [`AT_FDCWD`](libc::AT_FDCWD) for the one that it is in.
pub fn folder(process: Process, descriptor: i32) -> Result<OwnedFd, Errno> {
    if descriptor == libc::AT_FDCWD { process.open("cwd") } else { process.open(&format!("fd/{descriptor}")) }
}

/// The file at a path that begins at a folder; a link at the end is followed if so notification.
pub fn file(process: Process, broker: &FdBroker, start: i32, path: &[u8], follow: bool) -> Result<OwnedFd, Errno> {
    let mut walk = Walk::begin(process, broker, start, path)?;
    walk.go(path, follow)?;
    Ok(walk.at)
}

/// The directory of a path's last name, and that name.
pub fn parent(process: Process, broker: &FdBroker, start: i32, path: &[u8]) -> Result<(OwnedFd, Vec<u8>), Errno> {
    let cut = path.iter().rposition(|&byte| byte == b'/').map_or(0, |slash| slash + 1);
    let (folder, name) = path.split_at(cut);
    if name.is_empty() || name == b"." || name == b".." {
        return Err(Errno::EXIST);
    }
    let mut walk = Walk::begin(process, broker, start, path)?;
    walk.go(folder, true)?;
    Ok((walk.at, name.to_vec()))
}

struct Walk<'a> {
    process: Process,
    broker: &'a FdBroker,
    root: OwnedFd,
    at: OwnedFd,
    links: usize,
}

impl<'a> Walk<'a> {
    fn begin(process: Process, broker: &'a FdBroker, start: i32, path: &[u8]) -> Result<Walk<'a>, Errno> {
        let root = process.open("root")?;
        let at =
            if path.starts_with(b"/") { root.try_clone().map_err(|_| Errno::MFILE)? } else { folder(process, start)? };
        Ok(Walk { process, broker, root, at, links: 0 })
    }

    fn go(&mut self, path: &[u8], follow: bool) -> Result<(), Errno> {
        let mut left = parts(path);
        while let Some(part) = left.pop() {
            if part == b".." && is_same(&self.at, &self.root)? {
                continue;
            }
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let next = self.broker.open(&self.at, &part, flags, Mode::empty())?;
            let is_link = FileType::from_raw_mode(stat(&next)?.st_mode) == FileType::Symlink;
            if !is_link || left.is_empty() && !follow && !path.ends_with(b"/") {
                self.at = next;
                continue;
            }
            self.links += 1;
            if self.links > LINKS {
                return Err(Errno::LOOP);
            }
            if fstatfs(&next)?.f_type as i64 == PROC {
                self.at = self.through_proc(&part)?;
                continue;
            }
            let target = readlinkat(&next, c"", Vec::new())?.into_bytes();
            if target.starts_with(b"/") {
                self.at = self.root.try_clone().map_err(|_| Errno::MFILE)?;
            }
            left.append(&mut parts(&target));
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

/// The names of a path, the last one first.
fn parts(path: &[u8]) -> Vec<Vec<u8>> {
    let named = |part: &&[u8]| !part.is_empty() && *part != b".";
    path.split(|&byte| byte == b'/').filter(named).rev().map(<[u8]>::to_vec).collect()
}

/// What an open file is.
pub fn stat(file: &OwnedFd) -> Result<Stat, Errno> {
    statat(file, c"", AtFlags::EMPTY_PATH)
}

fn is_same(a: &OwnedFd, b: &OwnedFd) -> Result<bool, Errno> {
    let (a, b) = (stat(a)?, stat(b)?);
    Ok((a.st_dev, a.st_ino) == (b.st_dev, b.st_ino))
}
