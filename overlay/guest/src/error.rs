//! Defines the errors of a guest.

use rustix::io::Errno;
use std::io;
use std::path::Path;

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error inside a run; its text is all that reaches the outside.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Something cannot be done with a file.
    #[error(transparent)]
    Stage(#[from] layerstone_store::Error),
    /// Something cannot be done.
    #[error("cannot {action}: {source}")]
    Call {
        /// A verb phrase.
        action: &'static str,
        /// The system's answer.
        source: io::Error,
    },
    /// A layer cannot be read or written.
    #[error(transparent)]
    Tar(#[from] layerstone_tar::Error),
    /// The outside is gone, or does not speak as we do.
    #[error("cannot talk to the outside: {0}")]
    Channel(io::Error),
    /// A script ended with this status (wait(2)).
    #[error("it ended with the status {0}")]
    Script(i32),
    /// What was found is not what a run can go on with.
    #[error("{0}")]
    Found(String),
}

impl Error {
    /// Makes an error of what a file gave.
    pub fn io<E: Into<io::Error>>(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(E) -> Error {
        let path = path.as_ref().to_owned();
        move |source| layerstone_store::Error::Io { action, path, source: source.into() }.into()
    }

    /// The system's error number, if it is about a file.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Error::Stage(layerstone_store::Error::Io { source, .. }) => Errno::from_io_error(source),
            _ => None,
        }
    }

    /// Makes an error of what a call gave.
    pub fn call(action: &'static str) -> impl FnOnce(Errno) -> Error {
        move |errno| Error::Call { action, source: errno.into() }
    }
}
