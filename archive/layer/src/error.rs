//! Errors of layers.

use std::io;
use std::path::{Path, PathBuf};

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error while a layer is laid out, read, hashed or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Store paths or stage files.
    #[error(transparent)]
    Stage(#[from] layerstone_store::Error),
    /// The layer's tar, or a file of it.
    #[error(transparent)]
    Tar(#[from] layerstone_tar::Error),
    /// A layer's bytes are not those that its file promises.
    #[error("wrong digest: {}: found {found}, expected {expected}", path.display())]
    Digest {
        /// The layer file or blob.
        path: PathBuf,
        /// Digest of the bytes.
        found: layerstone_store::Digest,
        /// Digest promised.
        expected: layerstone_store::Digest,
    },
    /// A layer is read as a tar of which only the blob exists.
    #[error("no tar: {}: only its blob exists", label.display())]
    NoTar {
        /// What the layer is called.
        label: PathBuf,
    },
    /// What a blob is read from fails: a registry.
    #[error(transparent)]
    Content(Box<dyn std::error::Error + Send + Sync>),
    /// The work was cancelled, by its caller or because of an error elsewhere.
    #[error(transparent)]
    Cancelled(#[from] layerstone_store::Cancelled),
}

impl Error {
    /// What errors call a blob whose path its receiver alone knows.
    pub const BLOB: &str = "blob";

    /// For `map_err` when reading.
    pub fn read(path: &Path) -> impl FnOnce(io::Error) -> Error {
        let error = layerstone_tar::Error::read(path);
        move |source| error(source).into()
    }

    /// For `map_err` when writing.
    pub fn write(path: &Path) -> impl FnOnce(io::Error) -> Error {
        let error = layerstone_tar::Error::write(path);
        move |source| error(source).into()
    }

    /// The same error about a blob whose receiver knows it by this path, if its bytes could not be written.
    pub fn of_blob(self, path: &Path) -> Error {
        match self {
            Error::Tar(layerstone_tar::Error::Write { path: named, source }) if named == Path::new(Error::BLOB) => {
                Error::write(path)(source)
            }
            other => other,
        }
    }

    /// An error of what a blob is read from.
    pub fn content(error: impl std::error::Error + Send + Sync + 'static) -> Error {
        Error::Content(Box::new(error))
    }

    /// A file is not what it was when the layer was laid out: `cause` says what was found and what was expected.
    pub(crate) fn changed(path: &Path, cause: String) -> Error {
        layerstone_tar::Error::Changed { path: path.to_owned(), cause }.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blobs_are_called_by_their_paths() {
        let full = || io::Error::from(io::ErrorKind::StorageFull);
        let named = Error::write(Path::new(Error::BLOB))(full()).of_blob(Path::new("x/blobs/sha256/1"));
        assert_eq!(named.to_string(), "cannot write: x/blobs/sha256/1: no storage space");
        let other = Error::write(Path::new("x.tar"))(full()).of_blob(Path::new("x/blobs/sha256/1"));
        assert_eq!(other.to_string(), "cannot write: x.tar: no storage space");
    }
}
