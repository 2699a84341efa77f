//! Defines the errors of a run.

use crate::Unavailable;
use layerstone_guest::Phase;
use layerstone_sandbox::{describe_exit, quote};
use layerstone_store::Exceeded;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of a run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A script failed.
    #[error("script failed: {what}: {}{}{}", describe_exit(*status), remark(note.as_ref()), quote(last_lines))]
    Script {
        /// What it is called.
        what: &'static str,
        /// How it ended.
        status: ExitStatus,
        /// A remark about the reason, if there is one.
        note: Option<String>,
        /// The last lines that it printed.
        last_lines: Vec<String>,
    },
    /// The inside could not do what it must.
    #[error("root script not run to its end: {phase}: {text}{}", remark(note.as_ref()))]
    Inside {
        /// Where it was.
        phase: Phase,
        /// What it said.
        text: String,
        /// A remark about the reason, if there is one.
        note: Option<String>,
    },
    /// Nothing came back for too long.
    #[error("no sign of life for {} s: {phase}{}", after.as_secs(), quote(console))]
    Silent {
        /// Where it was.
        phase: Phase,
        /// For how long.
        after: Duration,
        /// The console's last lines.
        console: Vec<String>,
    },
    /// It took longer than it may.
    #[error("timed out after {} s: {phase}{}", after.as_secs(), quote(last_lines))]
    Timeout {
        /// Where it was.
        phase: Phase,
        /// What was allowed.
        after: Duration,
        /// The last lines that the script printed.
        last_lines: Vec<String>,
    },
    /// The inside ended without a word.
    #[error("{what} ended before the run did: {phase}: {}{}{}", describe_exit(*status), remark(note.as_ref()), quote(console))]
    Lost {
        /// What ended.
        what: &'static str,
        /// Where it was.
        phase: Phase,
        /// How it ended.
        status: ExitStatus,
        /// A remark about the reason, if there is one.
        note: Option<String>,
        /// The console's last lines.
        console: Vec<String>,
    },
    /// The layer that came back is larger than one of the run's disk can be.
    #[error("layer of the root script: found more than {limit} bytes, which its disk cannot hold (limit script-layer)")]
    LayerTooLarge {
        /// Bytes that it may have.
        limit: u64,
    },
    /// The base's files have more extended attributes than may be kept in memory.
    #[error("the base's files: {0}")]
    Attributes(Exceeded),
    /// A layer that cannot be a file system of its own: it needs files of lower layers, or has more than one holds.
    #[error("{0}")]
    NotAlone(String),
    /// The files of a layer have more bytes of holes than it may have when it is unpacked.
    #[error("files with holes: {}: found {found} bytes of zeros that no layer holds, expected at most {limit} (limit unpacked)", name.display())]
    Holes {
        /// What the layer is called.
        name: PathBuf,
        /// Bytes of holes.
        found: u64,
        /// Bytes that it may have.
        limit: u64,
    },
    /// What came back is not what a run sends.
    #[error("cannot understand what came back: {0}")]
    Garbled(String),
    /// A backend is unavailable here.
    #[error("{0}")]
    Unavailable(String),
    /// All backends are unavailable.
    #[error("no way to run a root script here{}", reasons(.0))]
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
    /// A layer of the base.
    #[error(transparent)]
    Tar(#[from] layerstone_tar::Error),
    /// A file cannot be used.
    #[error(transparent)]
    Stage(#[from] layerstone_store::Error),
}

impl Error {
    /// Makes an error of what a file gave.
    pub(crate) fn io(action: &'static str, path: impl AsRef<Path>) -> impl FnOnce(io::Error) -> Error {
        let path = path.as_ref().to_owned();
        move |source| layerstone_store::Error::Io { action, path, source }.into()
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

/// A remark behind a message.
fn remark(note: Option<&String>) -> String {
    note.map(|note| format!(": {note}")).unwrap_or_default()
}

/// Why each backend is unavailable.
fn reasons(backends: &[Unavailable]) -> String {
    backends.iter().map(|Unavailable { backend, reason, .. }| format!("\n  {backend}: {reason}")).collect()
}
