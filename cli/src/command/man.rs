//! `layerstone man`: man pages of all commands, for `cargo xtask man` and packagers.

use anyhow::{Context, Result};
use clap::Args;
use std::path::PathBuf;

/// Write man pages
#[derive(Args)]
#[command(hide = true)]
pub struct Options {
    /// Folder to write them to
    folder: PathBuf,
}

pub fn run(options: &Options, cli: clap::Command) -> Result<()> {
    let context = || format!("cannot write man pages: {}", options.folder.display());
    clap_mangen::generate_to(cli, &options.folder).with_context(context)
}
