//! Whether a layer file has its blob and the store paths that it must have.

use super::{Options, is_written};
use anyhow::{Result, bail};
use layerstone_layer::LayerFile;
use layerstone_store::StorePath;
use std::collections::BTreeSet;
use std::path::Path;

impl Options {
    pub fn layer(&self, output: &Path) -> Result<()> {
        let layer = self.layer_file(output)?;
        let found: BTreeSet<&StorePath> = layer.store_paths.iter().collect();
        let wanted: BTreeSet<&StorePath> = self.path.iter().collect();
        if wanted.is_empty() || found.is_empty() {
            // A layer file need not list them.
            return Ok(());
        }
        match (wanted.difference(&found).next(), found.difference(&wanted).next()) {
            (Some(path), _) => bail!("wrong layer: {}: found no {path}, expected it there", output.display()),
            (_, Some(path)) => bail!("wrong layer: {}: found {path}, expected it elsewhere", output.display()),
            _ if found.len() < layer.store_paths.len() => {
                bail!("wrong layer: {}: found a path twice, expected each once", output.display())
            }
            _ => Ok(()),
        }
    }

    /// A layer file whose blob exists. Its bytes are compared with its digest by whoever reads them.
    pub fn layer_file(&self, output: &Path) -> Result<LayerFile> {
        let layer = LayerFile::read(output)?;
        if let Some(blob) = layer.blob_path(output) {
            is_written(&blob)?;
            let (found, expected) = (blob.metadata().map(|it| it.len()).unwrap_or(0), layer.descriptor.size);
            if found != expected {
                bail!("wrong size: {}: found {found} bytes, expected {expected}", blob.display());
            }
        }
        Ok(layer)
    }
}
