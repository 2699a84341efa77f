//! Tars as the layers of images have them: headers in three dialects, a reader with Go's rules, and what a stack of layers
//! shows.
//!
//! An [`Entry`] is a member before it is written, [`walk_tree`] finds the entries of a directory, [`Members`] reads those
//! of a tar. A [`Tree`] is what a stack of layers shows, whoever made them: put together from one [`LayerTree`] each.
//!
//! This crate does not know digests of layers, compression, or what an image is.

#![forbid(unsafe_code)]

mod allowance;
mod entry;
mod error;
mod flat;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod header;
mod member;
mod part;
mod placed;
mod splitter;
mod tarsum;
mod tree;
mod union_reader;
mod walk;
mod whiteout;

pub use allowance::Allowance;
pub use entry::{Entry, Kind, Owner, Xattrs};
pub use error::{Error, FollowError, Result};
pub use flat::write_flat;
pub use header::{BLOCK, Common, Dialect, HeaderFields, RECORD, Records, append_pax};
pub use member::{ArchiveMember, Member, Members};
pub use part::{Part, PartReader};
pub use placed::Placed;
pub use splitter::{RawHeader, Split, Splitter, Timestamp};
pub use tarsum::{clean_name, tarsum};
pub use tree::{LayerTree, Node, Resolved, Tree};
pub use union_reader::{FileMeta, UnionReader};
pub use walk::{kind_of, read_xattrs, read_xattrs_if, walk_real_tree, walk_store_path, walk_tree};
pub use whiteout::Whiteout;
