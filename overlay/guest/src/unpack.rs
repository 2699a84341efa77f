//! Unpacks a tar in a guest: every file once, with owner, mode, time and attributes.
//!
//! Left out is what an overlay would take for its own: attributes of overlayfs and devices 0:0, which are whiteouts; and
//! devices and attributes that only root of the machine may make.

use crate::mounts::set_time;
use crate::{Error, Result};
use layerstone_store::Limits;
use layerstone_tar::{FileMeta, Kind, Member, Members};
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, XattrFlags, chmodat, chownat, linkat, lsetxattr, makedev, mkdirat, mknodat,
    open, symlinkat,
};
use rustix::io::Errno;
use rustix::process::{Gid, Uid};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Bytes of the tar that are read at a time.
const READ: usize = 1 << 17;
/// Files after which a sign of life is due.
const OFTEN: usize = 512;

/// Unpacks a tar into a directory. `beat` is called now and then.
pub fn unpack(tar: &mut dyn Read, directory: &Path, beat: &mut dyn FnMut() -> Result<()>) -> Result<()> {
    let mut members = Members::new(BufReader::with_capacity(READ, tar), Limits::none());
    let mut directories: Vec<(PathBuf, FileMeta)> = Vec::new();
    let mut count = 0_usize;
    while let Some(member) = members.next_member().map_err(Error::io("unpack", directory))? {
        let path = match &*member.name {
            b"" => directory.to_owned(),
            name => directory.join(OsStr::from_bytes(name)),
        };
        let made = make(&member, &path, directory, &mut members).map_err(Error::io("unpack", &path))?;
        if made {
            let meta = members.meta();
            describe(&member, &path, &meta).map_err(Error::io("unpack", &path))?;
            if member.is_directory() {
                directories.push((path, meta));
            }
        }
        count += 1;
        if count.is_multiple_of(OFTEN) {
            beat()?;
        }
    }
    // What is put into a directory changes its time.
    directories.iter().try_for_each(|(path, meta)| set_time(path, meta.mtime)).map_err(Error::io("unpack", directory))
}

/// Makes a file; false if there is nothing to be described.
fn make(member: &Member, path: &Path, directory: &Path, members: &mut Members<impl Read>) -> io::Result<bool> {
    let node = |kind: FileType, major: u32, minor: u32| match (major, minor) {
        (0, 0) => Ok(false),
        _ => match mknodat(CWD, path, kind, Mode::from_raw_mode(0o600), makedev(major, minor)) {
            Err(Errno::PERM) => Ok(false),
            result => result.map(|()| true),
        },
    };
    match &member.kind {
        Kind::Directory => match mkdirat(CWD, path, Mode::from_raw_mode(0o700)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(errno) => return Err(errno.into()),
        },
        Kind::File { .. } => {
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let mut file = File::from(open(path, flags, Mode::from_raw_mode(0o600))?);
            members.copy_contents(&mut file)?;
        }
        Kind::Symlink { target } => symlinkat(OsStr::from_bytes(target), CWD, path)?,
        Kind::HardLink { target } => {
            linkat(CWD, directory.join(OsStr::from_bytes(target)), CWD, path, AtFlags::empty())?;
            return Ok(false);
        }
        Kind::Fifo => mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0)?,
        Kind::CharDevice { major, minor } => return Ok(node(FileType::CharacterDevice, *major, *minor)?),
        Kind::BlockDevice { major, minor } => return Ok(node(FileType::BlockDevice, *major, *minor)?),
    }
    Ok(true)
}

/// Gives a file owner, mode, attributes and time, in this order: each of them may undo the ones behind it.
fn describe(member: &Member, path: &Path, meta: &FileMeta) -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(member.uid), Gid::from_raw(member.gid));
    chownat(CWD, path, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    if !matches!(member.kind, Kind::Symlink { .. }) {
        chmodat(CWD, path, Mode::from_raw_mode(member.mode), AtFlags::empty())?;
    }
    for (name, value) in meta.xattrs.iter().filter(|(name, _)| !is_overlays(name)) {
        match lsetxattr(path, &**name, value, XattrFlags::empty()) {
            Ok(()) | Err(Errno::PERM | Errno::NOTSUP) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    match member.is_directory() {
        true => Ok(()),
        false => set_time(path, meta.mtime),
    }
}

/// Whether an attribute belongs to overlayfs (Documentation/filesystems/overlayfs.rst).
pub fn is_overlays(name: &[u8]) -> bool {
    name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.")
}
