//! The errors of a run.

use crate::Unavailable;
use layerstone_guest::Phase;
use std::fmt;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of a run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A script failed.
    #[error("script failed: {what}: {}{}{}", Ending(status), Note(note), LastLines(last_lines))]
    Script {
        /// What it is called.
        what: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// What is known about why.
        note: Option<String>,
        /// The last lines that it printed.
        last_lines: Vec<String>,
    },
    /// The inside could not do what it must.
    #[error("root script not run to its end: {phase}: {text}{}", Note(note))]
    Inside {
        /// Where it was.
        phase: Phase,
        /// What it said.
        text: String,
        /// What is known about why.
        note: Option<String>,
    },
    /// Nothing came back for too long.
    #[error("no sign of life for {} s: {phase}{}", after.as_secs(), LastLines(console))]
    Silent {
        /// Where it was.
        phase: Phase,
        /// For how long.
        after: Duration,
        /// The console's last lines.
        console: Vec<String>,
    },
    /// It took longer than it may.
    #[error("timed out after {} s: {phase}{}", after.as_secs(), LastLines(last_lines))]
    Timeout {
        /// Where it was.
        phase: Phase,
        /// What was allowed.
        after: Duration,
        /// The last lines that the script printed.
        last_lines: Vec<String>,
    },
    /// The inside ended without a word.
    #[error("{what} ended before the run did: {phase}: {}{}{}", Ending(status), Note(note), LastLines(console))]
    Lost {
        /// What ended.
        what: &'static str,
        /// Where it was.
        phase: Phase,
        /// How it ended.
        status: ExitStatus,
        /// What is known about why.
        note: Option<String>,
        /// The console's last lines.
        console: Vec<String>,
    },
    /// The layer that came back is larger than one of the run's disk can be.
    #[error("layer of the root script: found more than {limit} bytes, which its disk cannot hold")]
    LayerTooLarge {
        /// Bytes that it may have.
        limit: u64,
    },
    /// The base's files have more extended attributes than may be kept in memory.
    #[error("extended attributes of the base's files: found more than {limit} bytes")]
    Attributes {
        /// Bytes that they may have together.
        limit: usize,
    },
    /// What came back is not what a run sends.
    #[error("cannot understand what came back: {0}")]
    Garbled(String),
    /// A backend is not to be had here.
    #[error("{0}")]
    Unavailable(String),
    /// No backend is to be had.
    #[error("no way to run a root script here{}", Reasons(.0))]
    NoBackend(Vec<Unavailable>),
    /// A signal asked us to end.
    #[error("interrupted by signal {0}")]
    Interrupted(i32),
    /// The image is for another kind of machine.
    #[error("wrong architecture: found an image for {image}, expected {machine}, this machine's")]
    Architecture {
        /// The image's.
        image: String,
        /// This machine's.
        machine: &'static str,
    },
    /// A file cannot be used.
    #[error("cannot {action}: {}: {source}", path.display())]
    Io {
        /// A verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// A layer of the base.
    #[error(transparent)]
    Tar(#[from] layerstone_tar::Error),
    /// Store paths or outputs.
    #[error(transparent)]
    Stage(#[from] layerstone_store::Error),
}

impl Error {
    /// Makes an error of what a file gave.
    pub(crate) fn io(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Error {
        let path = path.as_ref().to_owned();
        move |source| Error::Io { action, path, source }
    }

    /// Whether another backend may do what this one could not: the script has not run.
    pub(crate) fn is_of_backend(&self) -> bool {
        match self {
            Error::Unavailable(_) => true,
            Error::Inside { phase, .. } | Error::Silent { phase, .. } | Error::Lost { phase, .. } => {
                *phase < Phase::Contents
            }
            _ => false,
        }
    }
}

/// How something ended.
struct Ending<'a>(&'a ExitStatus);

impl fmt::Display for Ending<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.code(), self.0.signal()) {
            (Some(code), _) => write!(f, "exit status {code}"),
            (None, Some(signal)) => write!(f, "killed by signal {signal}"),
            (None, None) => write!(f, "{}", self.0),
        }
    }
}

/// A remark behind a message.
struct Note<'a>(&'a Option<String>);

impl fmt::Display for Note<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(note) => write!(f, ": {note}"),
            None => Ok(()),
        }
    }
}

/// The last lines of a log, below a message.
struct LastLines<'a>(&'a [String]);

impl fmt::Display for LastLines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|line| write!(f, "\n  | {line}"))
    }
}

/// Why each backend is not to be had.
struct Reasons<'a>(&'a [Unavailable]);

impl fmt::Display for Reasons<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|unavailable| write!(f, "\n  {}: {}", unavailable.backend, unavailable.reason))
    }
}
