//! Layers of an image: laid out from files, read, hashed and written as tars.
//!
//! A [`Layout`] knows every member of a layer and the layer's size from metadata alone; a [`Source`] is a layout or a tar
//! that is there; [`digest_all`] reads and hashes many at once. A [`LayerFile`] is what the stage hands on.
//! A [`Tree`] is what a stack of layers shows, whoever made them: put together from one [`LayerTree`] each.
//!
//! This crate does not know why paths share a layer, nor what an image is.

mod append;
mod blobs;
mod chain;
mod compress;
mod digest;
mod entry;
mod error;
mod file;
mod flat;
mod front;
mod header;
mod index;
mod layout;
mod learned;
mod limits;
mod member;
mod meter;
mod pack;
mod part;
mod shown;
mod source;
mod tarsum;
mod tree;
mod walk;

pub use blobs::{Blobs, pack_kept};
pub use compress::{BlockWriter, Codec, Packing, Team};
pub use digest::{Sink, digest_all, write_layer};
pub use entry::{Entry, Kind, Owner, Xattrs};
pub use error::{Error, FollowError, Result};
pub use file::{Descriptor, FORMAT, LayerFile, Recipe, VERSION, media_type};
pub use flat::write_flat;
pub use front::Front;
pub use header::{BLOCK, Common, Dialect, Fields, Records, append_pax};
pub use index::{Difference, Index};
pub use layout::{Layout, Placed, store_layout};
pub use learned::{Learned, Trust};
pub use limits::Allowance;
pub use member::{Member, Members};
pub use meter::Meter;
pub use pack::{Counting, Packed, pack, pack_all};
pub use part::{Part, PartReader};
pub use shown::{Details, Shown};
pub use source::{LayoutReader, Reader, Source};
pub use tarsum::tarsum;
pub use tree::{LayerTree, Node, Resolved, Tree};
pub use walk::{kind_of, read_xattrs, read_xattrs_if, walk_tree};
