//! What somebody has who is to receive an image: the layers of another one.

use super::image::names;
use crate::screen::layer_table::LayerState;
use anyhow::Result;
use layerstone_image::ImageSummary;
use layerstone_oci::{Place, Wanted};
use layerstone_pipeline::{Opener, chain_text, referrers, remote_image};
use layerstone_store::Digest;
use std::collections::HashSet;

/// An image that is there already.
pub struct OldImage {
    /// What it is called.
    pub name: String,
    layers: HashSet<Digest>,
}

impl OldImage {
    /// The image of a place.
    pub fn open(place: &Place, wanted: &Wanted, opener: &Opener<'_>) -> Result<OldImage> {
        let image = summary(place, wanted, opener)?;
        let layers = image.layers.iter().map(|layer| layer.diff_id).collect();
        Ok(OldImage { name: if image.repo_tags.is_empty() { place.to_string() } else { names(&image) }, layers })
    }

    /// Which layers of an image it has; what an image has twice is sent once.
    pub fn states(&self, image: &ImageSummary) -> Vec<LayerState> {
        let mut present = self.layers.clone();
        let state = |is_new| if is_new { LayerState::Sent } else { LayerState::There };
        image.layers.iter().map(|layer| state(present.insert(layer.diff_id))).collect()
    }
}

/// An image in short, with what refers to it, or to the index that it is in.
pub fn with_referrers(place: &Place, wanted: &Wanted, opener: &Opener<'_>) -> Result<ImageSummary> {
    let summary = summary(place, wanted, opener)?;
    let referrers = match summary.digest {
        Some(digest) => referrers(place, &digest, opener).unwrap_or_else(|error| {
            opener.report.warn(format!("cannot tell what refers to the image: {}", chain_text(&error)));
            Vec::new()
        }),
        None => Vec::new(),
    };
    Ok(ImageSummary { referrers, ..summary })
}

/// An image in short; of a registry only its manifest and its config are fetched.
pub fn summary(place: &Place, wanted: &Wanted, opener: &Opener<'_>) -> Result<ImageSummary> {
    if let Place::Registry(reference) = place {
        let remote = remote_image(reference, wanted, opener.registries)?;
        let name = remote.name().to_string();
        return Ok(ImageSummary::of_manifest(&remote.manifest, &remote.config, &name)?);
    }
    Ok(ImageSummary::of(&opener.open(place, wanted)?.image()?)?)
}
