//! The recipe of a store layer: what makes the same bytes from the store again.

use layerstone_store::StorePath;
use layerstone_tar::Owner;
use serde::{Deserialize, Serialize};

/// All that decides the bytes of a store layer, besides the contents of its paths.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipe {
    /// The store directory.
    pub store: String,
    /// The store paths, in the order of the tar.
    pub paths: Vec<StorePath>,
    /// Modification time of every entry, in seconds since the epoch.
    pub mtime: i64,
    /// Owner of every entry.
    #[serde(flatten)]
    pub owner: Owner,
    /// Whether extended attributes are kept.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub xattrs: bool,
}
