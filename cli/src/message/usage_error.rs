//! Command lines that clap takes and a command does not.

use crate::message::command_line::{program, running};
use clap::error::ErrorKind;
use std::fmt::{self, Display, Formatter};

/// A command line that the command named cannot take; the one that runs if the name is empty. Exit status 2.
#[derive(Debug)]
pub struct UsageError {
    command: String,
    kind: ErrorKind,
    message: String,
}

/// The error for flags that contradict each other, or that lack another one.
pub fn conflict(command: &str, message: impl Display) -> anyhow::Error {
    usage_error(command, ErrorKind::ArgumentConflict, message)
}

/// The error for a command line that clap takes and the command does not.
pub fn usage_error(command: &str, kind: ErrorKind, message: impl Display) -> anyhow::Error {
    UsageError { command: command.to_owned(), kind, message: message.to_string() }.into()
}

impl Display for UsageError {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for UsageError {}

impl UsageError {
    /// The error as clap shows it, with the usage of the subcommand.
    pub fn shown(&self) -> clap::Error {
        let mut program = program();
        // Names the subcommands as the usage shows them.
        program.build();
        match program.find_subcommand_mut(&self.command) {
            Some(command) => command.error(self.kind, &self.message),
            None => running().error(self.kind, &self.message),
        }
    }
}
