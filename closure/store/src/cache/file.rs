//! Reads and marks one file of a cache: how it begins, whether it is intact, when it was used.

use super::CacheKind;
use crate::directory::Directory;
use crate::replaced::without_group;
use crate::{Digest, Hasher};
use rustix::fs::{AtFlags, Timespec, Timestamps, UTIME_NOW, utimensat};
use rustix::process::geteuid;
use std::ffi::OsStr;
use std::io;

/// How a file begins that is not named after its own digest. Another version begins otherwise, and has other keys.
const MAGIC: &[u8; 16] = b"layerstone/cache";
/// Bytes before what was remembered: the magic and the seal.
pub const HEADER: usize = MAGIC.len() + 32;

/// What stands before a body.
pub fn header(key: &Digest, body: &[u8]) -> Vec<u8> {
    [&MAGIC[..], seal(key, body).as_bytes()].concat()
}

/// What the users of a cache have in common: mode and group of its directory.
#[derive(Clone, Copy)]
pub struct Shared {
    mode: u32,
    group: u32,
}

impl Shared {
    /// As the directory of the cache says.
    pub fn of(directory: &Directory) -> io::Result<Shared> {
        let stat = directory.stat()?;
        Ok(Shared { mode: stat.st_mode & 0o2777, group: stat.st_gid })
    }

    /// The mode of a file.
    pub fn file_mode(self) -> u32 {
        self.mode & 0o666
    }

    /// Opens a directory in another one, made if it is not there. One of our own gets what is shared: neither the umask nor
    /// the sticky bit may keep another user from repairing what is in it.
    pub fn make_directory(self, parent: &Directory, name: &OsStr) -> io::Result<Directory> {
        match parent.create_directory(name, 0o700) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
            _ => {}
        }
        let directory = parent.subdirectory(name)?;
        let stat = directory.stat()?;
        if stat.st_uid != geteuid().as_raw() {
            return Ok(directory);
        }
        let has_group = stat.st_gid == self.group || directory.set_group(self.group).is_ok();
        let mode = if has_group { self.mode } else { without_group(self.mode) };
        if stat.st_mode & 0o7777 != mode {
            directory.set_mode(mode)?;
        }
        Ok(directory)
    }
}

pub fn is_intact(kind: CacheKind, key: &Digest, bytes: &[u8]) -> bool {
    match bytes.split_at_checked(HEADER) {
        _ if kind == CacheKind::Blob => Digest::of(bytes) == *key,
        Some((header, body)) => {
            let (magic, sum) = header.split_at(MAGIC.len());
            magic == MAGIC && sum == seal(key, body).as_bytes()
        }
        None => false,
    }
}

/// What binds bytes to their key: a file that got another's name is damaged.
fn seal(key: &Digest, body: &[u8]) -> Digest {
    let mut hasher = Hasher::default();
    hasher.update(key.as_bytes());
    hasher.update(body);
    hasher.finish()
}

/// Notes that a file was used; where that cannot be noted, it goes earlier than it might.
pub fn touch(directory: &Directory, name: &OsStr) {
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    let times = Timestamps { last_access: now, last_modification: now };
    let _ = utimensat(directory, name, &times, AtFlags::SYMLINK_NOFOLLOW);
}
