//! layerstone: layered container images from closures of store paths, one stage at a time.
//!
//! One file per subcommand in `command`; this crate is the only one that prints. Data goes to stdout, everything else to
//! stderr. Exit status: 0 done, 1 failed, 2 bad usage.

#![forbid(unsafe_code)]

mod answer;
mod args;
mod base_args;
mod bytes;
mod cache_args;
mod check_args;
mod cli;
mod closure_source;
mod code;
mod color;
mod command;
mod command_line;
mod compression_args;
mod config;
mod demo;
mod difference;
mod environment;
mod examples;
mod failure;
mod file_kind;
mod foreign_flag;
mod foreign_word;
mod groups;
mod hint;
mod interrupt;
mod itself;
mod layer_output_args;
mod layer_table;
mod legacy_args;
mod limit_args;
mod log;
mod missing;
mod near;
mod out;
mod overwrite;
mod path_word;
mod plan_args;
mod platform_args;
mod progress;
mod published;
mod read_args;
mod registry_args;
mod report;
mod result_args;
mod root_args;
mod sandbox_args;
mod screen;
mod script_args;
mod slip;
mod source_args;
mod stamp_args;
mod step_args;
mod store_args;
mod strategy;
mod summary;
mod table;
mod time;
mod timings;
mod transfer_args;
mod usage_error;

use clap::CommandFactory;
use std::io;
use std::process::ExitCode;
use usage_error::UsageError;

fn main() -> ExitCode {
    become_inside();
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
        Err(error) if is_broken_pipe(&error) => ExitCode::FAILURE,
        Err(ref error) if let Some(usage) = error.downcast_ref::<UsageError>() => failure::of_usage(&usage.shown()),
        Err(error) => failure::of_work(&error, cli.common.errors),
    }
}

fn print_version() -> ExitCode {
    match out::print(cli::Cli::command().render_version()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
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

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let is_pipe = |e: &io::Error| e.kind() == io::ErrorKind::BrokenPipe;
    error.chain().any(|cause| cause.downcast_ref::<io::Error>().is_some_and(is_pipe))
}
