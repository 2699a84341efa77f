//! `layerstone completions`: completions for a shell.

use crate::out::print;
use anyhow::Result;
use clap::Args;
use clap_complete::{Shell, generate};

/// Print completions for a shell
#[derive(Args)]
pub struct Options {
    /// The shell
    shell: Shell,
}

pub fn run(options: &Options, mut cli: clap::Command) -> Result<()> {
    let mut text = Vec::new();
    generate(options.shell, &mut cli, "layerstone", &mut text);
    print(String::from_utf8(text)?)
}
