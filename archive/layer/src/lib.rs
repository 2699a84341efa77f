//! Layers of an image: lays out files as a tar, reads, hashes, compresses and caches it.
//!
//! A [`Layout`] knows every member of a layer and the layer's size from metadata alone; a [`Source`] is a layout or an
//! existing tar; [`digest_all`] reads and hashes many at once. A [`LayerFile`] is what the stage hands on.
//!
//! This crate does not know why paths share a layer, nor what an image is.

#![forbid(unsafe_code)]

mod append;
mod blob_cache;
mod chain;
mod chunked;
mod compressed_blob;
mod compression;
mod compressor;
mod compressor_pool;
mod content;
mod descriptor;
mod digest;
mod error;
mod file;
mod file_index;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod history;
mod layer;
mod layer_cache;
mod layer_key;
mod layout;
pub mod media_type;
mod member_file;
mod platform;
mod prefix;
mod progress;
mod recipe;
mod source;

pub use blob_cache::{BlobCache, compress_cached};
pub use chunked::{Chunk, ChunkTable, ChunkedFile, Fetch, KnownContents, Span, TableError, TablePosition};
pub use compressed_blob::{CompressedBlob, DigestWriter, compress_all, compress_layer};
pub use compression::{Compression, CompressionParams};
pub use compressor_pool::{BlockWriter, CompressorPool, PendingBlob, Positions};
pub use content::Content;
pub use descriptor::{Descriptor, or_null};
pub use digest::{Sink, digest_all, digest_others, digest_unknown, write_layer};
pub use error::{Error, Result};
pub use file::{LAYER_FORMAT, LAYER_FORMAT_VERSION, LAYER_SCHEMA, LayerFile};
pub use file_index::{Difference, FileIndex};
pub use history::History;
pub use layer::{Blob, Layer};
pub use layer_cache::{LayerCache, LayerLookup, Miss};
pub use layer_key::{LayerKeys, Trust};
pub use layout::{Layout, store_layout};
pub use platform::Platform;
pub use prefix::Prefix;
pub use progress::Progress;
pub use recipe::Recipe;
pub use source::{LayoutReader, Reader, Source};
