//! `layerstone completions`: completions for a shell.

use crate::args::Cli;
use crate::out::print;
use anyhow::Result;
use clap::{Args, CommandFactory};
use clap_complete::{Shell, generate};

/// Print completions for a shell
#[derive(Args)]
pub struct Options {
    /// The shell
    shell: Shell,
}

pub fn run(options: &Options) -> Result<()> {
    let mut text = Vec::new();
    generate(options.shell, &mut Cli::command(), "layerstone", &mut text);
    print(String::from_utf8(text)?)
}
