//! What can go wrong with an image: its spec, its name, its base.

use std::io;
use std::path::{Path, PathBuf};

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error while an image is described, read or assembled.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Store paths, stage files, or files in general.
    #[error(transparent)]
    Stage(#[from] layerstone_stage::Error),
    /// A name or tag that docker would refuse.
    #[error("not an image reference: {text:?}: {cause}")]
    Reference {
        /// The name or tag.
        text: String,
        /// What was expected.
        cause: String,
    },
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
    /// The layers that an image needs besides those of store paths use up all that it may have.
    #[error(
        "no layer left for store paths: maxLayers {max_layers} - 1 customisation layer - {base_layers} layers of the \
         base image = {}, expected at least 1",
        *max_layers as i128 - 1 - *base_layers as i128
    )]
    MaxLayers {
        /// Layers that the image may have.
        max_layers: usize,
        /// Layers that its base has.
        base_layers: usize,
    },
    /// A file is not what `docker save` and its likes write, or is damaged.
    #[error("not a docker archive: {}: {cause}", path.display())]
    NotDockerArchive {
        /// The file.
        path: PathBuf,
        /// What was found and what was expected.
        cause: String,
    },
}

impl Error {
    /// For `map_err` on reading an archive: damaged data and the system's errors are told apart.
    pub(crate) fn archive(path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_owned();
        move |source| match source.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput => {
                Error::NotDockerArchive { path, cause: source.to_string() }
            }
            _ => layerstone_stage::Error::Io { action: "read", path, source }.into(),
        }
    }
}
