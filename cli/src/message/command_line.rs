//! The words that the program was called with, and the command that they name.

use crate::cli::Cli;
use crate::config::Config;
use crate::manual::examples::with_examples;
use crate::manual::groups::grouped;
use crate::message::argument;
use clap::{Command, CommandFactory, FromArgMatches};
use std::path::Path;
use std::sync::OnceLock;

/// The program's flags and commands.
pub fn program() -> Command {
    grouped(with_examples(with_numbers(Cli::command())))
}

/// Lets every flag take a word such as `-1` as its value, so that what is wrong with it is told.
fn with_numbers(command: Command) -> Command {
    command
        .mut_args(|arg| {
            if arg.get_action().takes_values() && !arg.is_positional() { arg.allow_negative_numbers(true) } else { arg }
        })
        .mut_subcommands(with_numbers)
}

/// Reads the command line; flags that it does not have are as the configuration says.
pub fn parse(config: Option<&Config>) -> Result<Cli, clap::Error> {
    let command = config.map_or_else(program, |config| config.apply(program()));
    let matches = command.try_get_matches()?;
    argument::note(&matches);
    let cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut running()))?;
    cli.common.color.obey();
    Ok(cli)
}

/// The command that runs, as its usage is shown: `layerstone cache prune`.
pub fn running() -> Command {
    static RUNNING: OnceLock<Command> = OnceLock::new();
    RUNNING.get_or_init(find_running).clone()
}

fn find_running() -> Command {
    let mut program = program();
    // Names the commands as their usage shows them.
    program.build();
    let words = words();
    let mut command = &program;
    for word in words.iter().filter(|word| *word != "help") {
        command = command.find_subcommand(word).unwrap_or(command);
    }
    command.clone()
}

/// The words behind the program's name.
pub fn words() -> Vec<String> {
    std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect()
}

/// Those of them that name something on this machine.
pub fn files() -> Vec<String> {
    words().into_iter().filter(|word| !word.is_empty() && Path::new(word).symlink_metadata().is_ok()).collect()
}

/// Whether the command that runs has a flag of this name.
pub fn takes(flag: &str) -> bool {
    has(&running(), flag)
}

/// Whether a command has a flag of this name.
pub fn has(command: &Command, flag: &str) -> bool {
    command.get_arguments().any(|argument| argument.get_long() == Some(flag))
}

/// What the command that runs is called behind the program's name: `cache prune`.
pub fn running_name() -> String {
    let running = running();
    let name = running.get_bin_name().unwrap_or_default();
    name.split_once(' ').map(|(_, name)| name.to_owned()).unwrap_or_default()
}
