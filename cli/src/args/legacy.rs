//! The flag with which `root` and `overlay run` write what docker said of a layer before there was a manifest.json.

use anyhow::{Context, Result};
use clap::Args;
use layerstone_nixpkgs::{LAYER_VERSION, legacy_layer_json};
use layerstone_store::write_whole;
use layerstone_tar::tarsum;
use serde_json::{Map, Value};
use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

/// Whether there is to be such metadata, and of which image.
#[derive(Args)]
pub struct LegacyArgs {
    /// Also write, beside the tar, what docker said of a layer before there was a manifest.json: VERSION, and json, which
    /// is this file with the tar's tarsum, as dockerTools' mkPureLayer does
    #[arg(id = "legacy", long = "legacy", value_name = "BASE.JSON")]
    pub file: Option<PathBuf>,
}

impl LegacyArgs {
    /// What is written for the tar at `blob`.
    pub fn outputs(&self, blob: &Path) -> Vec<PathBuf> {
        self.file.iter().flat_map(|_| ["json", "VERSION"]).map(|name| blob.with_file_name(name)).collect()
    }

    /// Reads the file, so that one that is no good is an error before there is any work.
    pub fn read(&self) -> Result<Option<Legacy>> {
        let Some(path) = &self.file else { return Ok(None) };
        let bytes = fs::read(path).with_context(|| format!("cannot read: {}", path.display()))?;
        let base = serde_json::from_slice(&bytes).with_context(|| format!("not a JSON object: {}", path.display()))?;
        Ok(Some(Legacy { base }))
    }
}

/// What docker is to be told of a layer.
pub struct Legacy {
    base: Map<String, Value>,
}

impl Legacy {
    /// Writes it for the tar at `blob`.
    pub fn write(self, blob: &Path) -> Result<()> {
        let tar = File::open(blob).with_context(|| format!("cannot read: {}", blob.display()))?;
        let sum = tarsum(BufReader::new(tar)).with_context(|| blob.display().to_string())?;
        write_whole(&blob.with_file_name("json"), &legacy_layer_json(self.base, &sum))?;
        Ok(write_whole(&blob.with_file_name("VERSION"), LAYER_VERSION.as_bytes())?)
    }
}
