//! Defines what a command is given of the machine, and how much of it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// What a command is given of the machine, and how much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SandboxOptions {
    /// Whether there is to be a sandbox.
    pub mode: SandboxMode,
    /// Whether the command sees the machine's network.
    pub network: bool,
    /// What the command may use.
    pub bounds: Bounds,
}

/// Whether there is to be a sandbox.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SandboxMode {
    /// As much of one as the machine allows; what it lacks is a [`Weakness`](crate::Weakness).
    #[default]
    Auto,
    /// All of it, or the command is not run.
    Require,
    /// None: the command is a process like any other of its caller.
    None,
}

/// What a command may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// How long it may take.
    pub time: Option<Duration>,
    /// Bytes of address space that each of its processes may have (getrlimit(2), RLIMIT_AS).
    pub memory: Option<u64>,
    /// Processes that there may be of it at once.
    pub processes: Option<u32>,
}

/// A bound that a command did not keep to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exceeded {
    /// It took longer.
    Time(Duration),
    /// There were more processes.
    Processes(u32),
}

impl FromStr for SandboxMode {
    type Err = String;

    fn from_str(text: &str) -> Result<SandboxMode, String> {
        match text {
            "auto" => Ok(SandboxMode::Auto),
            "require" => Ok(SandboxMode::Require),
            "none" => Ok(SandboxMode::None),
            _ => Err(format!("found {text:?}, expected auto, require or none")),
        }
    }
}

impl fmt::Display for Exceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Exceeded::Time(after) => write!(f, "timed out after {} s", after.as_secs()),
            Exceeded::Processes(most) => write!(f, "found more than {most} processes at once"),
        }
    }
}
