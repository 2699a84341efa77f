//! Defines what can go wrong with a tar: its headers, the files that it is made of, what a stack of layers shows.

use layerstone_store::MAX_SYMLINKS;
use std::io;
use std::path::{Path, PathBuf};

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error while a tar is laid out, read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
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
    #[error("cannot archive: {}: found a socket, expected a file, directory, link, pipe or device", path.display())]
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
    /// A hard link that names no file.
    #[error("cannot link: {}: found the target {}, {cause}", name.escape_ascii(), target.escape_ascii())]
    HardLink {
        /// The link's name below the root of the image.
        name: Vec<u8>,
        /// The name of the file.
        target: Vec<u8>,
        /// What is wrong with it.
        cause: String,
    },
    /// A name in an image that leads to nothing that can be used.
    #[error("cannot follow: {}: {cause}", name.escape_ascii())]
    Follow {
        /// The name that was asked for.
        name: Vec<u8>,
        /// Why.
        cause: FollowError,
    },
}

/// Why a name in an image cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FollowError {
    /// More links than Linux follows.
    #[error("found more than {MAX_SYMLINKS} symbolic links")]
    TooManyLinks,
    /// A link that climbs above the root of the image.
    #[error("found the link {} -> {}, which leads out of the image", link.escape_ascii(), target.escape_ascii())]
    LinkLeadsOut {
        /// Where the link is.
        link: Vec<u8>,
        /// Its text.
        target: Vec<u8>,
    },
    /// The name itself climbs above the root of the image.
    #[error("found a name that leads out of the image")]
    NameLeadsOut,
    /// A component that has others below it.
    #[error("found {} at {}, expected a directory", what, component.escape_ascii())]
    NoDirectory {
        /// Where it is.
        component: Vec<u8>,
        /// What is there instead of a directory.
        what: &'static str,
    },
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
