//! What the files of a folder are, in which a fake root has worked: the kernel's word and the ledger's.

use crate::fake::{Device, Ledger};
use crate::report::Settled;
use std::collections::HashMap;

/// What is to be known of files, by device number of their file system and inode number; a file that is not there is
/// root's, and as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ownership(HashMap<(u64, u64), Facts>);

/// What is to be known of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
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
    /// The ledger counts before the files themselves.
    pub(crate) fn new(settled: &[Settled], ledger: &Ledger) -> Ownership {
        let mut facts: HashMap<(u64, u64), Facts> = HashMap::new();
        for file in settled {
            let capability = file.capability.map(Vec::from);
            let Settled { dev, ino, uid, gid, mode, .. } = *file;
            // A file of several names is met first as it was.
            facts.entry((dev, ino)).or_insert(Facts { uid, gid, mode: Some(mode), device: None, capability });
        }
        for (inode, record) in ledger.records() {
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

    /// What is to be known of a file beyond what it is.
    pub fn get(&self, dev: u64, ino: u64) -> Option<&Facts> {
        self.0.get(&(dev, ino))
    }

    /// Whether there is nothing to be known.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
