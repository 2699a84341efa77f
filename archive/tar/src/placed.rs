//! Describes a member that is laid out: its entry, and where its contents are on this machine.

use crate::Entry;
use std::path::Path;

/// An entry and, for a regular file, where its contents are on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// What stands in the header.
    pub entry: Entry,
    /// The file; none where there are no contents, and for a file of the store that is found by its name.
    pub file: Option<Box<Path>>,
    /// When the file was last modified as it was laid out, in seconds and nanoseconds: another time when it is read is an
    /// error.
    pub modified: (i64, i64),
}

impl Placed {
    /// An entry without contents, which is nowhere on this machine.
    pub fn bare(entry: Entry) -> Placed {
        Placed { entry, file: None, modified: (0, 0) }
    }

    /// Whether it says where its contents are, if it has any.
    pub fn is_complete(&self) -> bool {
        self.entry.kind.size() == 0 || self.file.is_some()
    }
}
