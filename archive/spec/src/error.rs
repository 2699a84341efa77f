//! Defines the errors of a spec.

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error in an image.json, or in what is asked of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file: that it cannot be read, or what is wrong with one of its keys.
    #[error(transparent)]
    Stage(#[from] layerstone_store::Error),
    /// A name, time or architecture.
    #[error(transparent)]
    Oci(#[from] layerstone_oci::Error),
    /// The layers that an image needs besides those of store paths use up all that it may have.
    #[error(
        "too few layers: found maxLayers {max_layers}, expected {} or more: {base_layers} of the base image, {}{}{}1 for the \
         customisation layer, 1 for store paths",
        least(*nix_db, copied + made, *base_layers),
        if *made > 0 { format!("{made} of layers, ") } else { String::new() },
        if *copied > 0 { format!("{copied} of copy and tarLayers, ") } else { String::new() },
        if *nix_db { "1 for the Nix database, " } else { "" },
    )]
    MaxLayers {
        /// Layers that the image may have.
        max_layers: usize,
        /// Whether one of them is that of the Nix database.
        nix_db: bool,
        /// Layers that only hold what is copied, or that are tars.
        copied: usize,
        /// Layers that are made already.
        made: usize,
        /// Layers that its base has.
        base_layers: usize,
    },
}

/// As many layers an image must have at least: one for store paths besides all others.
fn least(nix_db: bool, copied: usize, base_layers: usize) -> usize {
    2 + usize::from(nix_db) + copied + base_layers
}

impl Error {
    /// The least number of layers with which an image could be made, if this one had too few.
    pub fn least_layers(&self) -> Option<usize> {
        match self {
            Error::MaxLayers { nix_db, copied, made, base_layers, .. } => {
                Some(least(*nix_db, copied + made, *base_layers))
            }
            _ => None,
        }
    }
}
