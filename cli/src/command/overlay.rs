//! `layerstone overlay`: what is done with all layers of an image put over each other.

mod export;
mod probe;
pub mod run;

use crate::args::Common;
use anyhow::Result;
use clap::Subcommand;

/// Run a root script over an image, or export its files
#[derive(Subcommand)]
pub enum Command {
    Export(Box<export::Options>),
    Run(Box<run::Options>),
    Probe(probe::Options),
}

pub fn run(command: &Command, common: &Common) -> Result<()> {
    match command {
        Command::Export(options) => export::run(options, common),
        Command::Run(options) => run::run(options, common),
        Command::Probe(options) => probe::run(options),
    }
}
