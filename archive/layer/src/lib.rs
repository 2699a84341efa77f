//! Layers: tar dialects, digests, tarsum.

mod entry;
mod file;

pub use entry::{Entry, Kind, Owner};
pub use file::{Descriptor, FORMAT, LayerFile, MEDIA_TYPE_TAR, Recipe, VERSION};
