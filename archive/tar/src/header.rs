//! Writes header blocks of tar members, in the two dialects that an image of nixpkgs holds.
//!
//! Both share the 512-byte block of POSIX.1-2017 (pax, "ustar Interchange Format") and differ in what they do with what
//! does not fit: Python's tarfile puts a PAX extended header before it, GNU tar an entry named `././@LongLink`. Every
//! field is pinned byte for byte by what the real tools write, since layers made by us and by nixpkgs must have one
//! digest.

mod block;
mod gnu;
mod pax;
mod posix;

pub(crate) use pax::XATTR;
pub use pax::{Records, append_pax};

use crate::{Entry, Kind, Owner};

/// Size of a tar block in bytes; contents are padded to it.
pub const BLOCK: usize = 512;
/// A tar ends in two zero blocks and is padded to this size, in bytes: both Python's `RECORDSIZE` and GNU tar's default
/// blocking factor of 20.
pub const RECORD: u64 = 10_240;

/// How a member is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Python 3.8 and later, `tarfile` with its default `PAX_FORMAT` and utf-8: nixpkgs' store layers and stream archives.
    Pax,
    /// GNU tar 1.29 and later with its default `--format=gnu`: the layer of nixpkgs' `buildImage`. A member with extended
    /// attributes is written as with `--format=posix --xattrs`.
    Gnu,
    /// The same with `--numeric-owner`, no names of owners: nixpkgs' customisation layers.
    GnuNumeric,
}

/// The fields of a header that the members of a layer share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Common {
    /// How members are written.
    pub dialect: Dialect,
    /// Modification time in seconds since the epoch.
    pub mtime: i64,
    /// Owner of the members that name no other.
    pub owner: Owner,
}

/// All fields of a header, not yet fitted into a block.
#[derive(Clone, Copy, Debug)]
pub struct HeaderFields<'a> {
    /// Name, with the slash that directories end in.
    pub name: &'a [u8],
    /// Permission bits, 07777 at most.
    pub mode: u32,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Bytes of contents.
    pub size: u64,
    /// Modification time in seconds since the epoch.
    pub mtime: i64,
    /// Type flag.
    pub flag: u8,
    /// Text of a link.
    pub link: &'a [u8],
    /// User name.
    pub uname: &'a [u8],
    /// Group name.
    pub gname: &'a [u8],
    /// Major and minor number of a device.
    pub device: Option<(u32, u32)>,
}

impl Common {
    /// Appends the header blocks of a member, one or more, to `out`.
    pub fn append_header(&self, entry: &Entry, out: &mut Vec<u8>) {
        let owner = entry.owner.as_deref().unwrap_or(&self.owner);
        let fields = HeaderFields {
            name: &full_name(entry),
            mode: entry.mode,
            uid: owner.uid,
            gid: owner.gid,
            size: entry.kind.size(),
            mtime: self.mtime,
            flag: entry.kind.flag(),
            link: entry.kind.target(),
            uname: owner.uname.as_bytes(),
            gname: owner.gname.as_bytes(),
            device: entry.kind.device(),
        };
        match (self.dialect, entry.xattrs.as_deref()) {
            (Dialect::Pax, xattrs) => {
                let mut records = Records::default();
                xattrs.into_iter().for_each(|xattrs| records.set_xattrs(xattrs));
                append_pax(&fields, records, out);
            }
            (dialect, Some(xattrs)) => posix::append_posix(&fields, xattrs, dialect == Dialect::Gnu, out),
            (dialect, None) => gnu::append_gnu(&fields, dialect == Dialect::Gnu, out),
        }
    }
}

/// Name as written: directories end in a slash.
fn full_name(entry: &Entry) -> Vec<u8> {
    let mut name = entry.name.to_vec();
    if matches!(entry.kind, Kind::Directory) && !name.ends_with(b"/") {
        name.push(b'/');
    }
    name
}
