//! Defines the errors of a spec.

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error in an image.json, or in what is asked of it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file: that it cannot be read, or what is wrong with one of its keys.
    #[error(transparent)]
    Stage(#[from] layerstone_store::Error),
    /// A name, time or architecture.
    #[error(transparent)]
    Oci(#[from] layerstone_oci::Error),
    /// The layers that an image needs besides those of store paths use up all that it may have.
    #[error(
        "no layer left for store paths: maxLayers {max_layers} - 1 customisation layer - {}{}{base_layers} layers of \
         the base image = {}, expected at least 1",
        if *nix_db { "1 layer of the Nix database - " } else { "" },
        if *copied > 0 { format!("{copied} layers of copy and tarLayers - ") } else { String::new() },
        *max_layers as i128 - 1 - i128::from(*nix_db) - *copied as i128 - *base_layers as i128
    )]
    MaxLayers {
        /// Layers that the image may have.
        max_layers: usize,
        /// Whether one of them is that of the Nix database.
        nix_db: bool,
        /// Layers that only hold what is copied, or that are tars.
        copied: usize,
        /// Layers that its base has.
        base_layers: usize,
    },
}
