//! Holds what the database of a store says of where a path comes from.

use layerstone_store::StorePath;

/// Where a store path comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The derivation that made it.
    pub deriver: Option<StorePath>,
    /// Nix's signatures, `KEY-NAME:BASE64`.
    pub signatures: Vec<String>,
}
