//! Joins what the kernel and the owner table record about the files of a directory in which a fake root has worked.

use crate::fake::{Device, OwnerTable};
use crate::report::Reclaimed;
use std::collections::HashMap;

/// Facts about files, by device number of their file system and inode number; a file without any is root's, and as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ownership(HashMap<(u64, u64), FileFacts>);

/// The facts about a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileFacts {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Permission bits, where they are not those that the file has.
    pub mode: Option<u32>,
    /// The device that it is.
    pub device: Option<Device>,
    /// Its `security.capability`, of revision 2 (linux/capability.h, struct vfs_cap_data).
    pub capability: Option<Vec<u8>>,
}

impl Ownership {
    /// The table takes precedence over the files themselves.
    pub(crate) fn new(reclaimed: &[Reclaimed], table: &OwnerTable) -> Ownership {
        let mut facts: HashMap<(u64, u64), FileFacts> = HashMap::new();
        for file in reclaimed {
            let capability = file.capability.map(Vec::from);
            let Reclaimed { dev, ino, uid, gid, mode, .. } = *file;
            // A file of several names is met first as it was.
            facts.entry((dev, ino)).or_insert(FileFacts { uid, gid, mode: Some(mode), device: None, capability });
        }
        for (inode, record) in table.records() {
            let facts = facts.entry(inode).or_default();
            if let Some((uid, gid)) = record.owner {
                (facts.uid, facts.gid) = (uid, gid);
            }
            facts.device = record.device;
            if let Some(capability) = &record.capability {
                facts.capability = Some(capability.clone());
            }
        }
        Ownership(facts)
    }

    /// The facts about a file that differ from what it is on disk.
    pub fn get(&self, dev: u64, ino: u64) -> Option<&FileFacts> {
        self.0.get(&(dev, ino))
    }

    /// Whether there are no facts.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
