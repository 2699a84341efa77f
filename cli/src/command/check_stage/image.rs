//! Whether an image has the layers that it was made of, as their diff IDs say.

use super::Options;
use crate::args::Common;
use anyhow::{Context, Result, bail};
use layerstone_layer::{LayerFile, Progress};
use layerstone_oci::{Location, Wanted};
use layerstone_pipeline::ImageTarget;
use layerstone_store::{Digest, counted};

impl Options {
    /// An image that ends in the layers, whose bytes are those of their diff IDs.
    pub fn image(&self, common: &Common) -> Result<()> {
        let target = self.target.as_deref().map(ImageTarget::parse).transpose()?;
        let path = target.as_ref().and_then(ImageTarget::path);
        let path = path.context("no place: expected --place FILE, oci:DIR or the like")?;
        let image = self
            .read
            .opener(&self.read.registries(common), common)
            .open_plain(&Location::of(path).into(), &Wanted::any())?;
        image.check(&Progress::default())?;
        let wanted = self.layer.iter().map(|file| Ok(LayerFile::read(file)?.diff_id));
        let wanted: Vec<Digest> = wanted.collect::<Result<_>>()?;
        let found: Vec<Digest> = image.layers.iter().map(|layer| layer.diff_id).collect();
        if found.ends_with(&wanted) {
            return Ok(());
        }
        let (found, expected) = (counted(found.len(), "layer"), wanted.len());
        bail!("wrong image: {}: found {found}, expected the {expected} that it was given", path.display())
    }
}
