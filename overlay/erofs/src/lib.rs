//! Writes EROFS, a read-only file system of Linux, uncompressed: a virtual machine mounts it instead of unpacking a tar.
//!
//! The format is that of the kernel's Documentation/filesystems/erofs.rst and fs/erofs/erofs_fs.h, of which every kernel
//! since 5.4 reads what is written here: blocks of 4 KiB, extended inodes, contents plain or behind their inode.
//! Metadata comes first, then contents in the order of the inodes, so an image is written front to back.
//!
//! This crate does not know where files come from.

#![forbid(unsafe_code)]

mod directory;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod inode;
mod layout;
mod write;

pub use inode::{Inode, InodeKind, Xattr};
pub use layout::SmallFiles;
pub use write::{FileContents, write};

/// Bytes of a block.
const BLOCK: u64 = 4096;
