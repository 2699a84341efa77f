//! Tells whether a file is still the very file that it was, from what the kernel says of it. Does not read it.
//!
//! The change time is what makes this safe: every write, and every change of a name, an owner or a mode, sets it to the
//! kernel's clock, and nobody but who sets that clock can set it back (inode(7)). Clocks tick: two changes within a tick may have
//! one time, so a file counts as known only once its change time lies behind the clock.

use rustix::fs::{FileType, fstat};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use std::io;
use std::os::fd::AsFd;
use std::thread;
use std::time::Duration;

/// How often it is looked whether the clock went on, a millisecond each: no kernel's tick takes longer than 10 ms.
const TRIES: usize = 25;

/// What the kernel says of a regular file: as long as it is the same, so are the file's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileIdentity {
    device: u64,
    inode: u64,
    size: u64,
    /// Seconds and nanoseconds.
    modified: (i64, u64),
    changed: (i64, u64),
}

impl FileIdentity {
    /// That of an open file; none of a device or a pipe.
    ///
    /// # Errors
    ///
    /// The kernel does not tell.
    pub fn of(file: impl AsFd) -> io::Result<Option<FileIdentity>> {
        let stat = fstat(file)?;
        let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
        Ok(is_file.then_some(FileIdentity {
            device: stat.st_dev,
            inode: stat.st_ino,
            size: stat.st_size as u64,
            modified: (stat.st_mtime, stat.st_mtime_nsec),
            changed: (stat.st_ctime, stat.st_ctime_nsec),
        }))
    }

    /// That of an open file which nobody writes any more, once a later change is sure to have a later time. None if the clock does
    /// not get there soon, which that of another machine's file system may not.
    ///
    /// # Errors
    ///
    /// The kernel does not tell.
    pub fn settled(file: impl AsFd) -> io::Result<Option<FileIdentity>> {
        for _ in 0..TRIES {
            let Some(identity) = FileIdentity::of(&file)? else { return Ok(None) };
            if identity.changed < now() {
                return Ok(Some(identity));
            }
            thread::sleep(Duration::from_millis(1));
        }
        Ok(None)
    }

    /// The number of the device that the file is on.
    pub fn device(&self) -> u64 {
        self.device
    }

    /// The size of the file in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether this is what the other file became by a rename: all is the same but the change time.
    pub fn is_renamed(&self, before: &FileIdentity) -> bool {
        FileIdentity { changed: before.changed, ..*self } == *before
    }
}

/// The clock that the kernel takes the times of files from.
fn now() -> (i64, u64) {
    let now = clock_gettime(ClockId::RealtimeCoarse);
    (now.tv_sec, now.tv_nsec as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::os::unix::fs::{FileExt, PermissionsExt};
    use std::path::Path;

    /// Whether a file counts as another one after something was done to it.
    #[track_caller]
    fn check_change(change: impl Fn(&Path)) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        fs::write(&path, "old").unwrap();
        let before = FileIdentity::settled(File::open(&path).unwrap()).unwrap().unwrap();
        assert_eq!(FileIdentity::of(File::open(&path).unwrap()).unwrap(), Some(before));
        change(&path);
        assert_ne!(FileIdentity::of(File::open(&path).unwrap()).unwrap(), Some(before));
    }

    #[test]
    fn every_change_is_seen() {
        check_change(|path| fs::write(path, "new").unwrap());
        check_change(|path| fs::write(path, "ne").unwrap());
        check_change(|path| fs::hard_link(path, path.with_file_name("y")).unwrap());
        check_change(|path| fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap());
        // The same bytes in another file, and a write whose traces somebody tries to hide.
        check_change(|path| {
            fs::write(path.with_file_name("y"), "old").unwrap();
            fs::rename(path.with_file_name("y"), path).unwrap();
        });
        check_change(|path| {
            let file = File::options().write(true).open(path).unwrap();
            let modified = file.metadata().unwrap().modified().unwrap();
            file.write_all_at(b"new", 0).unwrap();
            file.set_modified(modified).unwrap();
        });
    }

    #[test]
    fn a_rename_is_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        fs::write(&path, "old").unwrap();
        let file = File::open(&path).unwrap();
        let before = FileIdentity::settled(&file).unwrap().unwrap();
        fs::rename(&path, dir.path().join("y")).unwrap();
        let after = FileIdentity::of(&file).unwrap().unwrap();
        assert!(after.is_renamed(&before) && after != before);
        fs::write(dir.path().join("y"), "older").unwrap();
        assert!(!FileIdentity::of(&file).unwrap().unwrap().is_renamed(&before));
    }

    #[test]
    fn what_is_no_file_has_none() {
        assert_eq!(FileIdentity::of(File::open("/dev/null").unwrap()).unwrap(), None);
    }
}
