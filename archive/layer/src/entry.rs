//! A member of a tar, before it is written: its fields, and where its contents come from.

use serde::{Deserialize, Serialize};

/// Who owns a member: numbers and names (POSIX.1-2017, pax, "ustar Interchange Format": uid, gid, uname, gname).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// User name; empty for none.
    pub uname: String,
    /// Group name; empty for none.
    pub gname: String,
}

impl Owner {
    /// 0:0, `root:root`: the owner of store paths unless told otherwise.
    pub fn root() -> Owner {
        Owner { uid: 0, gid: 0, uname: "root".to_owned(), gname: "root".to_owned() }
    }

    /// 0:0 without names, as `tar --owner=0 --group=0 --numeric-owner` writes it.
    pub fn numeric_root() -> Owner {
        Owner { uid: 0, gid: 0, uname: String::new(), gname: String::new() }
    }
}

/// What kind of file a member is, with the fields that only this kind has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file of so many bytes.
    File {
        /// Size in bytes.
        size: u64,
    },
    /// A folder; its name is written with a slash at the end.
    Directory,
    /// A symbolic link.
    Symlink {
        /// Its text.
        target: Vec<u8>,
    },
    /// A named pipe.
    Fifo,
    /// A character device.
    CharDevice {
        /// Major and minor number.
        device: (u32, u32),
    },
    /// A block device.
    BlockDevice {
        /// Major and minor number.
        device: (u32, u32),
    },
}

/// A member's fields. Names are bytes: a store may hold any name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Name in the archive, without the slash that folders get at their end.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Permission bits, 07777 at most.
    pub mode: u32,
}
