//! Command lines that clap takes and a command does not.

use crate::cli::Cli;
use clap::CommandFactory;
use clap::error::ErrorKind;
use std::fmt::Display;

/// The error for flags that contradict each other, or that lack another one.
pub fn conflict(command: &str, message: impl Display) -> anyhow::Error {
    usage_error(command, ErrorKind::ArgumentConflict, message)
}

/// The error for a command line that clap takes and the command does not, as clap shows it, with the usage of the
/// subcommand; none if its name is empty. Exit status 2.
pub fn usage_error(command: &str, kind: ErrorKind, message: impl Display) -> anyhow::Error {
    let mut cli = Cli::command();
    // Names the subcommands as the usage shows them.
    cli.build();
    match cli.find_subcommand_mut(command) {
        Some(command) => command.error(kind, message),
        None => cli.error(kind, message),
    }
    .into()
}
