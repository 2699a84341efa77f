//! Command lines that clap takes and a command does not.

use clap::error::ErrorKind;
use std::fmt::{self, Display};

/// A command line that clap takes and the command does not; exit status 2.
#[derive(Debug)]
pub struct UsageError {
    /// The subcommand; empty for none.
    pub command: String,
    pub kind: ErrorKind,
    pub message: String,
}

impl Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for UsageError {}

/// The error for flags that contradict each other, or that lack another one.
pub fn conflict(command: &str, message: impl Display) -> anyhow::Error {
    usage_error(command, ErrorKind::ArgumentConflict, message)
}

/// The error for a command line that clap takes and the command does not.
pub fn usage_error(command: &str, kind: ErrorKind, message: impl Display) -> anyhow::Error {
    UsageError { command: command.to_owned(), kind, message: message.to_string() }.into()
}
