//! What can go wrong with an image that is to equal nixpkgs'.

use std::path::PathBuf;

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error while a configuration or a base is read, or layers are laid out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Store paths, conf.json, or files in general.
    #[error(transparent)]
    Stage(#[from] layerstone_store::Error),
    /// Times.
    #[error(transparent)]
    Oci(#[from] layerstone_oci::Error),
    /// Layers.
    #[error(transparent)]
    Layer(#[from] layerstone_layer::Error),
    /// The base.
    #[error(transparent)]
    Image(#[from] layerstone_image::Error),
    /// The file beside the customisation layer that names it holds no sha256.
    #[error("{}: {source}", path.display())]
    Checksum {
        /// The file.
        path: PathBuf,
        /// What was found.
        source: layerstone_store::Error,
    },
}
