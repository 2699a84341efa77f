//! The flag of layers as file systems.

use crate::overwrite::Files;
use anyhow::Result;
use clap::Args;
use layerstone_pipeline::ErofsCache;
use layerstone_store::Limits;
use std::path::PathBuf;

/// Layers as EROFS file systems.
#[derive(Args)]
pub struct ErofsArgs {
    /// Directory to keep each layer in as an EROFS file system, sha256/XX/DIFFID.erofs, for containerd's
    /// `layer_content_caches`; experimental
    #[arg(id = "erofs_cache", long = "erofs-cache", value_name = "DIR")]
    pub directory: Option<PathBuf>,
}

impl ErofsArgs {
    /// Opens the directory, if there is one.
    pub fn open(&self, limits: Limits) -> Result<Option<ErofsCache>> {
        Ok(self.directory.as_deref().map(|directory| ErofsCache::open(directory, limits)).transpose()?)
    }

    /// Adds what is written there.
    pub fn noted(&self, files: Files) -> Files {
        match &self.directory {
            Some(directory) => files.adds_to(directory, ["sha256"]),
            None => files,
        }
    }
}
