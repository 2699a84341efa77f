//! The flags that say where `root`, `overlay run` and `nix-db` write a layer.

use anyhow::Result;
use clap::Args;
use layerstone_store::Output;
use std::path::{Path, PathBuf};

/// A layer file and its tar.
#[derive(Args)]
pub struct LayerOutputArgs {
    /// Layer file to write
    #[arg(id = "output", short = 'o', long = "output", value_name = "LAYER.JSON")]
    pub file: PathBuf,
    /// Tar to write
    #[arg(long, value_name = "TAR")]
    pub blob: PathBuf,
}

impl LayerOutputArgs {
    /// Both files.
    pub fn files(&self) -> [&PathBuf; 2] {
        [&self.file, &self.blob]
    }

    /// Fails if the layer file cannot be written where it is to be, before there is any work.
    pub fn probe(&self) -> Result<()> {
        if self.file != Path::new("-") {
            Output::create(&self.file)?;
        }
        Ok(())
    }
}
