//! Records the owners, devices and capabilities that a fake root gave files, where the files have others.

use rustix::fs::{AtFlags, Stat, statat};
use rustix::io::Errno;
use std::collections::HashMap;
use std::os::fd::OwnedFd;

/// The record of a file; what it does not set is as the file has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// User and group.
    pub owner: Option<(u32, u32)>,
    /// The device that it is; the file is an empty regular one.
    pub device: Option<Device>,
    /// Its `security.capability` (linux/capability.h, struct vfs_cap_data, revision 2).
    pub capability: Option<Vec<u8>>,
}

/// A device node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Device {
    /// Whether it is a block device; a character device otherwise.
    pub is_block: bool,
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
}

/// Records of files by device number of their file system and inode number.
///
/// Every file with a record stays open, so that no other one gets its inode number when it is removed.
#[derive(Debug, Default)]
pub struct OwnerTable(HashMap<(u64, u64), (Record, OwnedFd)>);

impl OwnerTable {
    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The record of a file.
    pub fn get(&self, dev: u64, ino: u64) -> Option<&Record> {
        self.0.get(&(dev, ino)).map(|(record, _)| record)
    }

    /// All records, in no order.
    pub fn records(&self) -> impl Iterator<Item = ((u64, u64), &Record)> {
        self.0.iter().map(|(inode, (record, _))| (*inode, record))
    }

    /// Changes the record of a file.
    pub fn change(&mut self, file: OwnedFd, change: impl FnOnce(&mut Record)) -> Result<(), Errno> {
        let Stat { st_dev, st_ino, .. } = statat(&file, c"", AtFlags::EMPTY_PATH)?;
        let (record, _) = self.0.entry((st_dev, st_ino)).or_insert_with(|| (Record::default(), file));
        change(record);
        if *record == Record::default() {
            self.0.remove(&(st_dev, st_ino));
        }
        Ok(())
    }
}
