//! Lays out the file system: computes where every inode and block goes before anything is written.

use crate::inode::RECORD;
use crate::{BLOCK, Inode, InodeKind, directory};

/// Where the first record is: behind the block of the superblock.
const FIRST: u64 = BLOCK;
/// Records begin at multiples of this, by which they are numbered.
pub const SLOT: u64 = 32;
/// Contents of at most so many bytes follow their record, so that one block read brings both.
const SMALL: u64 = 2048;

/// Where the contents of small regular files go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SmallFiles {
    /// Behind their inodes: takes the least room, and one read brings both.
    BehindInode,
    /// Into blocks of their own, as other files': `mkfs.erofs` merges the trees of several such file systems into one that
    /// refers to their blocks (erofs-utils, lib/rebuild.c), which it does not do for contents behind inodes.
    InBlocks,
}

/// Where a file's parts are, and which names it has.
#[derive(Clone, Copy, Debug)]
pub struct Extent {
    /// The record, in bytes from the beginning.
    pub record: u64,
    /// Bytes of the contents, a directory's too.
    pub size: u64,
    /// The first block of the contents; none if they follow the record.
    pub block: Option<u32>,
    /// How many names it has; for a directory, two and one for each directory in it.
    pub links: u32,
    /// Number of the directory that has a directory; the root's is its own.
    pub parent: usize,
}

impl Extent {
    /// The file's number in the file system.
    pub fn nid(&self) -> u64 {
        self.record / SLOT
    }
}

/// Where all files are, and how many blocks there are.
#[derive(Debug)]
pub struct Layout {
    /// In the order of the inodes.
    pub extents: Vec<Extent>,
    /// Blocks altogether.
    pub blocks: u64,
}

impl Layout {
    /// Places the files. None if there are more bytes than block numbers for them.
    pub fn new(inodes: &[Inode], small_files: SmallFiles) -> Option<Layout> {
        let mut at = FIRST;
        let mut extents = Vec::with_capacity(inodes.len());
        for inode in inodes {
            let size = match &inode.kind {
                InodeKind::Directory(entries) => directory::size(sorted_names(entries).into_iter()),
                _ => inode.plain_size(),
            };
            let fixed = RECORD + inode.xattr_size();
            let goes_behind = small_files == SmallFiles::BehindInode || !matches!(inode.kind, InodeKind::File(_));
            let is_small = goes_behind && size > 0 && size <= SMALL && fixed + size <= BLOCK;
            let length = if is_small { fixed + size } else { fixed };
            // What is read as one must not cross a block's end (fs/erofs/data.c).
            let unit = if is_small { length } else { RECORD };
            if at % BLOCK + unit > BLOCK {
                at = at.next_multiple_of(BLOCK);
            }
            extents.push(Extent { record: at, size, block: (!is_small).then_some(0), links: 0, parent: 0 });
            at = (at + length).next_multiple_of(SLOT);
        }
        let mut blocks = at.div_ceil(BLOCK);
        for extent in &mut extents {
            if let Some(block) = &mut extent.block {
                *block = u32::try_from(blocks).ok()?;
                blocks += extent.size.div_ceil(BLOCK);
            }
        }
        u32::try_from(blocks).ok()?;
        count_links(inodes, &mut extents);
        Some(Layout { extents, blocks })
    }
}

fn count_links(inodes: &[Inode], extents: &mut [Extent]) {
    for (number, inode) in inodes.iter().enumerate() {
        let InodeKind::Directory(entries) = &inode.kind else { continue };
        extents[number].links += 2;
        for &(_, child) in entries {
            match inodes[child].kind {
                InodeKind::Directory(_) => {
                    extents[number].links += 1;
                    extents[child].parent = number;
                }
                _ => extents[child].links += 1,
            }
        }
    }
}

/// A directory's names in the order of their bytes, `.` and `..` among them.
pub fn sorted_names(entries: &[(Box<[u8]>, usize)]) -> Vec<&[u8]> {
    let mut names: Vec<&[u8]> = entries.iter().map(|(name, _)| &**name).chain([&b"."[..], b".."]).collect();
    names.sort_unstable();
    names
}
