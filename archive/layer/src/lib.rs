//! Layers of an image: laid out from files, read, hashed, compressed and remembered.
//!
//! A [`Layout`] knows every member of a layer and the layer's size from metadata alone; a [`Source`] is a layout or a tar
//! that is there; [`digest_all`] reads and hashes many at once. A [`LayerFile`] is what the stage hands on.
//!
//! This crate does not know why paths share a layer, nor what an image is.

mod append;
mod blobs;
mod chain;
mod compress;
mod digest;
mod error;
mod file;
mod front;
mod index;
mod layout;
mod learned;
mod meter;
mod pack;
mod source;

pub use blobs::{Blobs, pack_kept};
pub use compress::{BlockWriter, Codec, Packing, Team};
pub use digest::{Sink, digest_all, write_layer};
pub use error::{Error, Result};
pub use file::{Descriptor, FORMAT, LayerFile, Recipe, VERSION, media_type};
pub use front::Front;
pub use index::{Difference, Index};
pub use layout::{Layout, store_layout};
pub use learned::{Learned, Trust};
pub use meter::Meter;
pub use pack::{Counting, Packed, pack, pack_all};
pub use source::{LayoutReader, Reader, Source};
