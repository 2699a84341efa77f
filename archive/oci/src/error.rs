//! Errors while blobs are written or manifests are read.

use layerstone_store::Digest;
use std::path::PathBuf;

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error while blobs are written or manifests are read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Files of the output.
    #[error(transparent)]
    Stage(#[from] layerstone_store::Error),
    /// A layer cannot be read or written.
    #[error(transparent)]
    Layer(#[from] layerstone_layer::Error),
    /// A blob's bytes are not those that name it.
    #[error("wrong blob: {label}: found {found_size} bytes of {found}, expected {size} bytes of {expected}")]
    Blob {
        /// What it is called.
        label: String,
        /// Digest of the bytes.
        found: Digest,
        /// How many there are.
        found_size: u64,
        /// Digest that they must have.
        expected: Digest,
        /// How many there must be.
        size: u64,
    },
    /// A text that docker would not take for a reference.
    #[error(transparent)]
    Reference(#[from] crate::InvalidReference),
    /// A text that is not a time.
    #[error("not a time: {text:?}: {cause}")]
    Time {
        /// The text.
        text: String,
        /// What was expected.
        cause: String,
    },
    /// A machine's name that no architecture of Go belongs to.
    #[error("unknown architecture: {text:?}: expected one of {expected}")]
    Architecture {
        /// The text.
        text: String,
        /// Go's names, separated by commas.
        expected: String,
    },
    /// A directory that cannot be taken for an OCI layout.
    #[error("not an OCI layout: {}: {cause}", path.display())]
    NotALayout {
        /// The directory.
        path: PathBuf,
        /// What was found and what was expected.
        cause: String,
    },
    /// A directory that holds other files, and no OCI layout.
    #[error("not an OCI layout: {}: found other files, expected oci-layout or an empty directory", path.display())]
    OtherFiles {
        /// The directory.
        path: PathBuf,
    },
    /// A manifest or an index that cannot be understood.
    #[error("not a manifest: {name}: {cause}")]
    Manifest {
        /// What it is called.
        name: String,
        /// What was found and what was expected.
        cause: String,
    },
    /// What keeps the blobs says no.
    #[error(transparent)]
    BlobStore(Box<dyn std::error::Error + Send + Sync>),
}

impl Error {
    /// An error of what keeps the blobs.
    pub fn blob_store(error: impl std::error::Error + Send + Sync + 'static) -> Error {
        Error::BlobStore(Box::new(error))
    }
}
