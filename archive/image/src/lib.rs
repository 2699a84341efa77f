//! x
mod archive;
mod compress;

pub use archive::{Archive, Copied, LayerMember, Target, Trailer, layer_name};
pub use compress::Compression;
