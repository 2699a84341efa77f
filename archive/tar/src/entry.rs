//! Describes a member of a tar before it is written: its fields, independent of any tar dialect.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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
    /// 0:0, `root:root`: the default owner of store paths.
    pub fn root() -> Owner {
        Owner { uid: 0, gid: 0, uname: "root".to_owned(), gname: "root".to_owned() }
    }

    /// 0:0 without names, as `tar --owner=0 --group=0 --numeric-owner` writes it.
    pub fn numeric_root() -> Owner {
        Owner { uid: 0, gid: 0, uname: String::new(), gname: String::new() }
    }

    /// The names that go with numbers on a machine that knows nobody but root: `root` for 0, none for others.
    pub fn numbered(uid: u32, gid: u32) -> Owner {
        let name = |id: u32| if id == 0 { "root".to_owned() } else { String::new() };
        Owner { uid, gid, uname: name(uid), gname: name(gid) }
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
    /// A directory; its name is written with a slash at the end.
    Directory,
    /// A symbolic link.
    Symlink {
        /// Its text.
        target: Box<[u8]>,
    },
    /// A hard link: one more name of another member's file.
    HardLink {
        /// Name of the other member.
        target: Box<[u8]>,
    },
    /// A named pipe.
    Fifo,
    /// A character device.
    CharDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
}

impl Kind {
    /// The type flag (POSIX.1-2017, pax, "ustar Interchange Format": typeflag).
    pub fn flag(&self) -> u8 {
        match self {
            Kind::File { .. } => b'0',
            Kind::HardLink { .. } => b'1',
            Kind::Symlink { .. } => b'2',
            Kind::CharDevice { .. } => b'3',
            Kind::BlockDevice { .. } => b'4',
            Kind::Directory => b'5',
            Kind::Fifo => b'6',
        }
    }

    /// Bytes of contents that follow the header.
    pub fn size(&self) -> u64 {
        if let Kind::File { size } = self { *size } else { 0 }
    }

    /// Major and minor number of a device.
    pub fn device(&self) -> Option<(u32, u32)> {
        match self {
            Kind::CharDevice { major, minor } | Kind::BlockDevice { major, minor } => Some((*major, *minor)),
            _ => None,
        }
    }

    /// Text of a symbolic link or name of the file that a hard link names, empty for everything else.
    pub fn target(&self) -> &[u8] {
        if let Kind::Symlink { target } | Kind::HardLink { target } = self { target } else { b"" }
    }
}

/// A member's fields. Names are bytes: a store may hold any name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Name in the archive, without the slash that directories get at their end.
    pub name: Box<[u8]>,
    /// What it is.
    pub kind: Kind,
    /// Permission bits, 07777 at most.
    pub mode: u32,
    /// Whose it is; none for whoever owns what is around it ([`Common::owner`](crate::Common::owner)).
    pub owner: Option<Box<Owner>>,
    /// Its extended attributes (xattr(7)); none if it has none.
    pub xattrs: Option<Box<Xattrs>>,
}

/// Extended attributes: values by full name, such as `user.x`.
pub type Xattrs = BTreeMap<Box<[u8]>, Box<[u8]>>;

impl Entry {
    /// An entry of the common owner.
    pub fn new(name: &[u8], kind: Kind, mode: u32) -> Entry {
        Entry { name: name.into(), kind, mode, owner: None, xattrs: None }
    }

    /// A directory.
    pub fn directory(name: &[u8], mode: u32) -> Entry {
        Entry::new(name, Kind::Directory, mode)
    }

    /// A regular file of so many bytes.
    pub fn file(name: &[u8], mode: u32, size: u64) -> Entry {
        Entry::new(name, Kind::File { size }, mode)
    }

    /// A symbolic link with this text, and the mode that Linux gives every link (symlink(7)).
    pub fn symlink(name: &[u8], target: &[u8]) -> Entry {
        Entry::new(name, Kind::Symlink { target: target.into() }, 0o777)
    }
}
