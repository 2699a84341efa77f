//! `layerstone man`: man pages of all commands, for `cargo xtask man` and packagers.

use anyhow::{Context, Result};
use clap::Args;
use std::path::PathBuf;

/// Write man pages
#[derive(Args)]
#[command(hide = true)]
pub struct Options {
    /// Folder to write them to
    #[arg(id = "folder", value_name = "FOLDER")]
    directory: PathBuf,
}

pub fn run(options: &Options, cli: clap::Command) -> Result<()> {
    let context = || format!("cannot write man pages: {}", options.directory.display());
    clap_mangen::generate_to(cli, &options.directory).with_context(context)
}
