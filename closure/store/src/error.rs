//! Defines what can go wrong with stage files and store paths.

use std::io;
use std::path::{Path, PathBuf};

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the ground: an I/O failure with what was tried on which file, or a file or value of a wrong form.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An operating system call failed.
    #[error("cannot {action}: {}: {source}", path.display())]
    Io {
        /// What was tried, as a verb phrase ("read", "rename").
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The directory that should hold an output is not there.
    #[error("cannot write: {}: its directory {} does not exist", path.display(), parent.display())]
    NoParent {
        /// The output.
        path: PathBuf,
        /// The directory that is missing.
        parent: PathBuf,
    },
    /// A directory that was named as a cache and holds other things.
    #[error("not a cache: {}: found other files, expected an empty directory or {tag} of a cache of layerstone", path.display())]
    NoCache {
        /// The directory.
        path: PathBuf,
        /// The file that marks a cache.
        tag: &'static str,
    },
    /// A file is not JSON.
    #[error("not JSON: {name}: {source}")]
    Json {
        /// The file's name, `-` for standard input.
        name: String,
        /// Where and why parsing stopped.
        source: serde_json::Error,
    },
    /// A file is JSON but not of the expected form.
    #[error("malformed {format}: {name}: {cause}")]
    Malformed {
        /// The expected format, such as `layerstone/closure`.
        format: &'static str,
        /// The file's name.
        name: String,
        /// What was found and what was expected.
        cause: String,
    },
    /// A file of ours, but of another format or version.
    #[error("wrong format: {name}: found {found}, expected {expected}")]
    WrongFormat {
        /// The file's name.
        name: String,
        /// Format and version found.
        found: String,
        /// Format and version expected.
        expected: String,
        /// The command whose rerun writes the expected one.
        rerun: &'static str,
    },
    /// A text that should be a store path is not one.
    #[error("not a store path: {text:?}: {cause}")]
    StorePath {
        /// The text.
        text: String,
        /// What was expected.
        cause: String,
    },
    /// A text that should be a digest is not one.
    #[error("not a sha256 digest: {text:?}")]
    Digest {
        /// The text.
        text: String,
    },
    /// A text that should be a NAR hash is not one.
    #[error("not a sha256 NAR hash: {text:?}")]
    NarHash {
        /// The text.
        text: String,
    },
}

impl Error {
    /// For `map_err` on I/O: `Error::io("read", path)`.
    pub fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_owned();
        move |source| Error::Io { action, path, source }
    }
}
