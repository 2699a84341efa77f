//! What can go wrong with a layer.

use std::io;
use std::path::{Path, PathBuf};

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error while a layer is laid out, read, hashed or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Store paths or stage files.
    #[error(transparent)]
    Stage(#[from] layerstone_stage::Error),
    /// A file of the layer cannot be read.
    #[error("cannot read: {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The layer's bytes cannot be written.
    #[error("cannot write: {}: {source}", path.display())]
    Write {
        /// The output.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A file that a tar cannot hold.
    #[error("cannot archive: {}: found a socket, expected a file, folder, link, pipe or device", path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
    },
    /// A file is not what it was when the layer was laid out.
    #[error("changed while it was read: {}: {cause}", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// What was found and what was expected.
        cause: String,
    },
    /// A layer's bytes are not those that its file promises.
    #[error("wrong digest: {}: found {found}, expected {expected}", path.display())]
    Digest {
        /// The layer file or blob.
        path: PathBuf,
        /// Digest of the bytes.
        found: layerstone_stage::Digest,
        /// Digest promised.
        expected: layerstone_stage::Digest,
    },
    /// The work was called off because of an error elsewhere.
    #[error("called off")]
    CalledOff,
}

impl Error {
    /// For `map_err` when reading.
    pub fn read(path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_owned();
        move |source| Error::Read { path, source }
    }

    /// For `map_err` when writing.
    pub fn write(path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_owned();
        move |source| Error::Write { path, source }
    }
}
