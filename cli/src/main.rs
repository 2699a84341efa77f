//! layerstone: layered container images from closures of store paths, one stage at a time.
//!
//! One file per subcommand in `command`; this crate is the only one that prints. Data goes to stdout, everything else to
//! stderr. Exit status: 0 done, 1 failed, 2 bad usage.

#![forbid(unsafe_code)]

mod args;
mod cli;
mod closure_source;
mod command;
mod config;
mod demo;
mod itself;
mod manual;
mod message;
mod overwrite;
mod screen;

use clap::CommandFactory;
use message::usage_error::UsageError;
use message::{command_line, failure, foreign_word, interrupt};
use screen::{color, log, out};
use std::process::ExitCode;

fn main() -> ExitCode {
    become_inside();
    if let Err(error) = out::refuse_closed() {
        return failure::of_work(&error, failure::wanted_form());
    }
    color::obey_command_line();
    interrupt::install();
    let config = config::Config::load();
    let cli = match command_line::parse(config.as_ref().ok()) {
        Ok(cli) => cli,
        Err(error) if foreign_word::is_version(&error) => return print_version(),
        Err(error) => return failure::of_usage(&error),
    };
    let done = config.and_then(|config| cli.run(&config)).and_then(|()| out::finish());
    if cli.common.timings {
        cli.common.taken.tell(cli.common.errors);
    }
    if let Err(error) = &done {
        tracing::error!(target: log::TOLD, "{}", layerstone_pipeline::chain_text(&**error));
    }
    if let (Err(_), Some(signal)) = (&done, interrupt::came()) {
        // It is why the work did not come to its end, and all that was half done is put away.
        interrupt::end(signal);
    }
    match done {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read our output has enough of it.
        Err(error) if failure::is_broken_pipe(&error) => ExitCode::FAILURE,
        Err(ref error) if let Some(usage) = error.downcast_ref::<UsageError>() => failure::of_usage(&usage.shown()),
        Err(error) => failure::of_work(&error, cli.common.errors),
    }
}

fn print_version() -> ExitCode {
    failure::of_output(out::print(cli::Cli::command().render_version()))
}

/// As the first program of a virtual machine, or asked for by ourselves, this program is the inside of a root script's run.
fn become_inside() {
    if layerstone_guest::machine::is_init() {
        layerstone_guest::machine::main();
    }
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|argument| argument == layerstone_overlay::INSIDE) {
        let users = layerstone_guest::namespace::USERS;
        layerstone_guest::namespace::main(arguments.next().is_some_and(|argument| argument == users));
    }
}
