//! Describes a file, and encodes its record (`struct erofs_inode_extended`).

use crate::layout::Extent;

/// Bytes of the record.
pub const RECORD: u64 = 64;
/// Bytes before the first extended attribute (`struct erofs_xattr_ibody_header`).
const XATTR_HEADER: u64 = 12;
/// Bytes of all attributes at most: a record counts them in words, in two bytes (`i_xattr_icount`).
const MAX_XATTRS: usize = (u16::MAX as usize - 1) * 4;
/// Prefixes of attributes' names that are numbers in the file system (`EROFS_XATTR_INDEX_*`).
const PREFIXES: [(&[u8], u8); 3] = [(b"user.", 1), (b"trusted.", 4), (b"security.", 6)];
/// Attributes that have a number for their full name.
const FULL_NAMES: [(&[u8], u8); 2] = [(b"system.posix_acl_access", 2), (b"system.posix_acl_default", 3)];

/// A file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inode {
    /// What it is.
    pub kind: InodeKind,
    /// Permission bits, 07777 at most.
    pub mode: u32,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Modification time: seconds since the epoch and nanoseconds.
    pub mtime: (i64, u32),
    /// Extended attributes by full name. Names of a prefix that the file system does not have, values of 64 KiB and
    /// more, and what goes beyond 256 KiB together are left out.
    pub xattrs: Vec<Xattr>,
}

/// An extended attribute: full name and value.
pub type Xattr = (Box<[u8]>, Box<[u8]>);

/// The kind of a file, with what only this kind has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InodeKind {
    /// A regular file of so many bytes.
    File(u64),
    /// A directory: names in any order, and the numbers of the files in the list of inodes.
    Directory(Vec<(Box<[u8]>, usize)>),
    /// A symbolic link with its text.
    Symlink(Box<[u8]>),
    /// A named pipe.
    Fifo,
    /// A character device of this major and minor number.
    CharDevice(u32, u32),
    /// A block device of this major and minor number.
    BlockDevice(u32, u32),
}

impl Inode {
    /// Bytes of its contents; 0 for a directory.
    pub(crate) fn plain_size(&self) -> u64 {
        match &self.kind {
            InodeKind::File(size) => *size,
            InodeKind::Symlink(text) => text.len() as u64,
            _ => 0,
        }
    }

    /// File type bits of stat(2).
    fn type_bits(&self) -> u16 {
        match self.kind {
            InodeKind::Fifo => 0o010_000,
            InodeKind::CharDevice(..) => 0o020_000,
            InodeKind::Directory(_) => 0o040_000,
            InodeKind::BlockDevice(..) => 0o060_000,
            InodeKind::File(_) => 0o100_000,
            InodeKind::Symlink(_) => 0o120_000,
        }
    }

    /// The file type of a directory's entry (`EROFS_FT_*`, which are those of dirent.h's generic table).
    pub(crate) fn entry_type(&self) -> u8 {
        match self.kind {
            InodeKind::File(_) => 1,
            InodeKind::Directory(_) => 2,
            InodeKind::CharDevice(..) => 3,
            InodeKind::BlockDevice(..) => 4,
            InodeKind::Fifo => 5,
            InodeKind::Symlink(_) => 7,
        }
    }

    /// Bytes of the attributes, header and padding included; 0 without any.
    pub(crate) fn xattr_size(&self) -> u64 {
        match self.xattrs_with_index().map(|(_, name, value)| xattr_entry_size(name, value) as u64).sum() {
            0 => 0,
            size => XATTR_HEADER + size,
        }
    }

    fn xattrs_with_index(&self) -> impl Iterator<Item = (u8, &[u8], &[u8])> {
        let mut left = MAX_XATTRS;
        self.xattrs.iter().filter_map(move |(name, value)| {
            let (index, rest) = split_name(name)?;
            left = left.checked_sub(xattr_entry_size(rest, value)).filter(|_| value.len() <= usize::from(u16::MAX))?;
            Some((index, rest, &**value))
        })
    }

    /// The record, for contents of this size whose first block is this one, or which follow the record.
    pub(crate) fn record(&self, number: usize, Extent { size, block, links, .. }: Extent) -> Vec<u8> {
        // Bit 0: extended; bits 1 to 3: plain (0) or behind the inode (2).
        let format: u16 = if block.is_none() { 1 | 2 << 1 } else { 1 };
        let xattr_count = match self.xattr_size() {
            0 => 0,
            size => (size - XATTR_HEADER) / 4 + 1,
        };
        let device = match self.kind {
            InodeKind::CharDevice(major, minor) | InodeKind::BlockDevice(major, minor) => encode_device(major, minor),
            _ => block.unwrap_or(u32::MAX),
        };
        let mut record = Vec::with_capacity(64);
        record.extend(format.to_le_bytes());
        record.extend(u16::try_from(xattr_count).unwrap_or(u16::MAX).to_le_bytes());
        record.extend((self.type_bits() | (self.mode & 0o7777) as u16).to_le_bytes());
        record.extend([0; 2]);
        record.extend(size.to_le_bytes());
        record.extend(device.to_le_bytes());
        record.extend(u32::try_from(number + 1).unwrap_or(u32::MAX).to_le_bytes());
        record.extend(self.uid.to_le_bytes());
        record.extend(self.gid.to_le_bytes());
        record.extend(self.mtime.0.to_le_bytes());
        record.extend(self.mtime.1.to_le_bytes());
        record.extend(links.to_le_bytes());
        record.extend([0; 16]);
        record
    }

    /// The attributes as they follow the record; nothing without any.
    pub(crate) fn xattr_bytes(&self) -> Vec<u8> {
        if self.xattr_size() == 0 {
            return Vec::new();
        }
        let mut bytes = vec![0; 12];
        for (index, name, value) in self.xattrs_with_index() {
            // Linux limits a name to 255 bytes and a value to 64 KiB (limits.h, XATTR_NAME_MAX and XATTR_SIZE_MAX).
            bytes.extend([u8::try_from(name.len()).unwrap_or(u8::MAX), index]);
            bytes.extend(u16::try_from(value.len()).unwrap_or(u16::MAX).to_le_bytes());
            bytes.extend(name);
            bytes.extend(value);
            bytes.resize(bytes.len().next_multiple_of(4), 0);
        }
        bytes
    }
}

/// Bytes of an attribute, padding included.
fn xattr_entry_size(name: &[u8], value: &[u8]) -> usize {
    (4 + name.len() + value.len()).next_multiple_of(4)
}

/// The number of a name's prefix, and the rest of the name.
fn split_name(name: &[u8]) -> Option<(u8, &[u8])> {
    if name.len() > 255 {
        return None;
    }
    let full = FULL_NAMES.iter().find(|(full, _)| *full == name).map(|(_, index)| (*index, &name[name.len()..]));
    full.or_else(|| PREFIXES.iter().find_map(|(prefix, index)| Some((*index, name.strip_prefix(*prefix)?))))
}

/// A device number as Linux encodes it in 32 bits (linux/kdev_t.h, `new_encode_dev`).
fn encode_device(major: u32, minor: u32) -> u32 {
    minor & 0xff | major << 8 | (minor & !0xff) << 12
}
