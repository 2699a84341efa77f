//! Gives a new file what the file that it replaces has: mode, owner, group and access control list, as if the old one had
//! been written in place.
//!
//! Nobody may read or change the new file who could not read or change the old one. So where the group or the list cannot
//! be kept, the group may do no more than all others may; set-user-ID and set-group-ID bits are never kept. In a directory
//! that others can write to, a file of another user may have been put there on purpose: of its mode only what is narrower
//! than that of any new file counts, and its owner is not taken over.

use crate::directory::{Directory, OTHERS_WRITE, file_type};
use rustix::fs::{FileType, Gid, Mode, Stat, Uid, XattrFlags, fchmod, fchown, fsetxattr, fstat, getxattr};
use rustix::process::geteuid;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// The extended attribute that holds an access control list (acl(5)).
const ACL: &str = "system.posix_acl_access";
/// Bytes that an access control list may have: as many as an extended attribute (xattr(7)).
const ACL_MAX: usize = 1 << 16;
/// Mode of a new file, less the umask.
const NEW: u32 = 0o666;

/// The file that will be replaced.
#[derive(Debug)]
pub struct Replaced {
    stat: Stat,
    acl: Option<Vec<u8>>,
    /// Whether its mode and owner are those that its user wants.
    is_trusted: bool,
}

impl Replaced {
    /// The regular file `name` of a directory, if there is one.
    pub fn find(directory: &Directory, name: &OsStr) -> Option<Replaced> {
        let file = directory.open_any(name).ok()?;
        let stat = fstat(&file).ok().filter(|stat| file_type(stat) == FileType::RegularFile)?;
        let parent = directory.stat().ok()?;
        let is_trusted = stat.st_uid == geteuid().as_raw() || parent.st_mode & OTHERS_WRITE == 0;
        let mut acl = vec![0; ACL_MAX];
        // Of a descriptor without permission to read, extended attributes are to be had only so (open(2), O_PATH).
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let acl = getxattr(path, ACL, &mut acl[..]).ok().map(|size| acl[..size].to_vec());
        Some(Replaced { stat, acl, is_trusted })
    }

    /// The mode that the new file is created with: until it is complete nobody else may read it.
    pub fn mode_at_first(replaced: Option<&Replaced>) -> u32 {
        match replaced {
            None => NEW,
            Some(old) if old.is_trusted => 0o600,
            Some(old) => (old.stat.st_mode & NEW) | 0o600,
        }
    }

    /// Gives the new file what the old one had.
    ///
    /// # Errors
    ///
    /// Its mode cannot be changed.
    pub fn take_over(&self, file: &File) -> io::Result<()> {
        let new = fstat(file)?;
        let old = &self.stat;
        if !self.is_trusted {
            let narrowed = new.st_mode & (old.st_mode | 0o600) & 0o777;
            return set_mode(file, &new, narrowed);
        }
        let is_other = (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid);
        let (uid, gid) = (Uid::from_raw(old.st_uid), Gid::from_raw(old.st_gid));
        if is_other && fchown(file, Some(uid), Some(gid)).is_err() && old.st_gid != new.st_gid {
            // Whoever may not give a file away may give it a group of his own.
            let _ = fchown(file, None, Some(gid));
        }
        let new = fstat(file)?;
        let is_group_kept = new.st_gid == old.st_gid;
        // A list is kept before the mode, whose group bits are its mask.
        let is_list_kept = self.acl.as_ref().is_none_or(|acl| fsetxattr(file, ACL, acl, XattrFlags::empty()).is_ok());
        let mode = old.st_mode & 0o777;
        set_mode(file, &fstat(file)?, if is_group_kept && is_list_kept { mode } else { without_group(mode) })
    }
}

/// A mode whose group may do no more than all others may.
pub fn without_group(mode: u32) -> u32 {
    mode & !0o070 | mode & (mode & 0o007) << 3
}

fn set_mode(file: &File, stat: &Stat, mode: u32) -> io::Result<()> {
    // Some file systems have one mode for all files and refuse another.
    if stat.st_mode & 0o7777 == mode {
        return Ok(());
    }
    Ok(fchmod(file, Mode::from_raw_mode(mode))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_that_is_lost_may_do_what_all_may() {
        for (mode, expected) in [(0o660, 0o600), (0o664, 0o644), (0o640, 0o600), (0o666, 0o666), (0o604, 0o604)] {
            assert_eq!(without_group(mode), expected, "{mode:o}");
        }
    }
}
