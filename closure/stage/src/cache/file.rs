//! One file of a cache: what it is called, how it begins, and whether it is whole.

use super::Kind;
use crate::{Digest, Error, Hasher, Result};
use rustix::fs::{AtFlags, CWD, OFlags, Timespec, Timestamps, UTIME_NOW, utimensat};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// How a file begins that is not named after its own digest. Another version begins otherwise, and has other keys.
const MAGIC: &[u8; 16] = b"layerstone/cache";
/// Bytes before what was remembered: the magic and the seal.
pub const HEADER: usize = MAGIC.len() + 32;

/// What stands before a body.
pub fn header(key: &Digest, body: &[u8]) -> Vec<u8> {
    [&MAGIC[..], seal(key, body).as_bytes()].concat()
}

/// Opens a file of a cache: nothing else that may be in its place, and nothing that a link leads to.
pub fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::ErrorKind::InvalidInput.into()),
    }
}

pub fn make_folder_of(path: &Path) -> Result<()> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(Error::io("make", folder))
}

pub fn is_whole(kind: Kind, key: &Digest, bytes: &[u8]) -> bool {
    match bytes.split_at_checked(HEADER) {
        _ if kind == Kind::Blob => Digest::of(bytes) == *key,
        Some((header, body)) => {
            let (magic, sum) = header.split_at(MAGIC.len());
            magic == MAGIC && sum == seal(key, body).as_bytes()
        }
        None => false,
    }
}

/// What binds bytes to their key: a file that got another's name is not whole.
fn seal(key: &Digest, body: &[u8]) -> Digest {
    let mut hasher = Hasher::default();
    hasher.update(key.as_bytes());
    hasher.update(body);
    hasher.finish()
}

/// The key that a file is named after.
pub fn key_of(path: &Path) -> Option<Digest> {
    let (name, folder) = (path.file_name()?.to_str()?, path.parent()?.file_name()?.to_str()?);
    format!("sha256:{folder}{name}").parse().ok()
}

/// Notes that a file was used; where that cannot be noted, it goes earlier than it might.
pub fn touch(path: &Path) {
    let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
    let _ = utimensat(CWD, path, &Timestamps { last_access: now, last_modification: now }, AtFlags::empty());
}
