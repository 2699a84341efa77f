//! What can go wrong with an image that is read, merged or assembled.

use layerstone_store::Digest;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error while an image is described, read or assembled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The work was cancelled.
    #[error(transparent)]
    Cancelled(#[from] layerstone_store::Cancelled),
    /// Store paths, stage files, or files in general.
    #[error(transparent)]
    Stage(#[from] layerstone_store::Error),
    /// A layer that is read again.
    #[error(transparent)]
    Tar(#[from] layerstone_tar::Error),
    /// A file or directory is neither a docker archive nor an OCI layout, or is damaged.
    #[error("not an image: {}: {cause}", path.display())]
    NotAnImage {
        /// The file or directory.
        path: PathBuf,
        /// What was found and what was expected.
        cause: String,
    },
    /// No image is called as the one that is meant.
    #[error("no such image: {wanted}: found {}", list(known))]
    NoSuchImage {
        /// The file and what the image was to be called.
        wanted: String,
        /// What those that are there are called.
        known: Vec<String>,
    },
    /// Which of several images is meant is not stated.
    #[error("several images: {0}: expected {0}#NAME:TAG, found {1}", path.display(), list(known))]
    SeveralImages {
        /// The file.
        path: PathBuf,
        /// What they are called.
        known: Vec<String>,
    },
    /// Two images cannot have one tag.
    #[error("two images of one tag: {tag}: {first}, {second}")]
    TagTwice {
        /// The tag, `NAME:TAG`.
        tag: String,
        /// Who came first.
        first: Box<Claim>,
        /// Who came then.
        second: Box<Claim>,
    },
    /// An image is called what no image in a docker archive can be called.
    #[error("no tag for a docker archive: {text:?}: {}: {cause}", path.display())]
    NoTag {
        /// What it is called.
        text: String,
        /// The file or directory.
        path: PathBuf,
        /// What was expected.
        cause: String,
    },
    /// A layer of an image is no tar, or damaged.
    #[error("not a good layer: {}: {cause}", name.display())]
    Layer {
        /// The layer: the file, and its name there.
        name: PathBuf,
        /// What was found and what was expected.
        cause: String,
    },
    /// Bytes of an image are not those that something else in it promises.
    #[error("wrong digest: {}: found {found}, expected {expected}", path.display())]
    Digest {
        /// The file and the name there.
        path: PathBuf,
        /// Digest of the bytes.
        found: Digest,
        /// Digest promised.
        expected: Digest,
    },
    /// Something compressed has more bytes than it may have.
    #[error("unpacks to more than {limit} bytes: {}", path.display())]
    TooLarge {
        /// The file, or the layer in it.
        path: PathBuf,
        /// Bytes that it may have.
        limit: u64,
    },
    /// The compressed layers of an image together have more bytes than they may have.
    #[error("layers unpack to more than {limit} bytes together: {}", path.display())]
    TooLargeTogether {
        /// The layer that was being unpacked.
        path: PathBuf,
        /// Bytes that they may have.
        limit: u64,
    },
    /// Files that are to be written have more holes than they may have.
    #[error("files with holes: {name}: found {found} bytes of zeros that no layer holds, expected at most {limit}")]
    Holes {
        /// What the image is called.
        name: String,
        /// Bytes of the holes.
        found: u64,
        /// Bytes that they may have.
        limit: u64,
    },
}

/// An image that has a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Where the image is.
    pub file: PathBuf,
    /// Its ID.
    pub image_id: Digest,
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} has {}", self.file.display(), self.image_id)
    }
}

impl Error {
    /// For `map_err` on reading an archive: damaged data and the system's errors are told apart.
    pub(crate) fn archive(path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput => {
                Error::NotAnImage { path, cause: source.to_string() }
            }
            _ => layerstone_store::Error::Io { action: "read", path, source }.into(),
        }
    }

    /// For `map_err` on reading a layer: the same.
    pub(crate) fn layer(name: &Path) -> impl FnOnce(io::Error) -> Error {
        let name = name.to_owned();
        move |source| match source.raw_os_error() {
            Some(_) => layerstone_store::Error::Io { action: "read", path: name, source }.into(),
            None => Error::Layer { name, cause: source.to_string() },
        }
    }
}

/// Names with commas between.
fn list(names: &[String]) -> String {
    if names.is_empty() { "no image".to_owned() } else { names.join(", ") }
}
