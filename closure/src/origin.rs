//! Holds what the database of a store says of where a path comes from.

use layerstone_store::{NarHash, StorePath};

/// Where a store path comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// sha256 of its NAR.
    pub nar_hash: Option<NarHash>,
    /// Size of its NAR in bytes.
    pub nar_size: Option<u64>,
    /// The derivation that made it.
    pub deriver: Option<StorePath>,
    /// Nix's signatures, `KEY-NAME:BASE64`.
    pub signatures: Vec<String>,
}
