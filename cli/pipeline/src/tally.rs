//! What became of the layers of an image that was written: where each came from, and whether the target had it.

use layerstone_image::Archive;
use layerstone_layer::{Layer, Source};
use layerstone_oci::{LayerOutcome, PutImage, PutOutcome, media_type};
use layerstone_registry::PushStats;

/// The layers of an image, or of several.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// All layers, bottom first.
    pub layers: Vec<TalliedLayer>,
    /// What a registry was sent, config and manifests included.
    pub pushed: Option<PushStats>,
    /// Whether the target was the image already, and stays the file that it was.
    pub untouched: bool,
}

/// A layer where it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TalliedLayer {
    /// Bytes that it has there; in an archive those of its tar.
    pub size: u64,
    /// Where it came from.
    pub origin: Origin,
    /// Whether the target had it, where that is asked.
    pub put: Option<PutOutcome>,
}

/// Where a layer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It was made now.
    New,
    /// An earlier build made it, so that its files were not looked at.
    Known,
    /// The base image has it.
    Base,
    /// It was there before: in a layer file, or in an image that was copied.
    Given,
}

/// So many layers of so many bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// How many.
    pub count: usize,
    /// Bytes of all together.
    pub bytes: u64,
}

impl Tally {
    /// The layers of an image that was put.
    pub(crate) fn of(layers: &[Layer], put: &PutImage) -> Tally {
        let outcomes = put.manifest.as_ref().map(|(_, outcomes)| outcomes);
        let of_tar = |layer: &Layer| TalliedLayer { size: tar_size(layer), origin: Origin::Given, put: None };
        let layers = match outcomes {
            Some(outcomes) => outcomes.iter().map(TalliedLayer::of).collect(),
            None => layers.iter().map(of_tar).collect(),
        };
        Tally { layers, pushed: None, untouched: put.untouched }
    }

    /// The layers among blobs that were put.
    pub(crate) fn of_blobs(outcomes: &[LayerOutcome]) -> Tally {
        let layers = outcomes.iter().filter(|outcome| !media_type::is_config(&outcome.descriptor.media_type));
        Tally { layers: layers.map(TalliedLayer::of).collect(), ..Tally::default() }
    }

    /// The layers of an archive.
    pub fn of_archive(archive: &Archive<'_>) -> Tally {
        let layer = |size| TalliedLayer { size, origin: Origin::Given, put: None };
        Tally { layers: archive.layers.iter().map(|member| layer(member.source.size())).collect(), ..Tally::default() }
    }

    /// The same of an image that was built of these layers over some of a base.
    pub(crate) fn built(mut self, base: usize, own: &[Origin]) -> Tally {
        let origins = std::iter::repeat_n(Origin::Base, base).chain(own.iter().copied());
        for (layer, origin) in self.layers.iter_mut().zip(origins) {
            layer.origin = origin;
        }
        self
    }

    /// The layers of this tally and of another.
    pub(crate) fn and(mut self, other: Tally) -> Tally {
        self.layers.extend(other.layers);
        Tally { pushed: self.pushed.or(other.pushed), untouched: false, ..self }
    }

    /// All layers for which something is so.
    pub fn sum(&self, is_counted: impl Fn(&TalliedLayer) -> bool) -> Sum {
        let counted = || self.layers.iter().filter(|layer| is_counted(layer));
        let bytes = counted().map(|layer| layer.size).fold(0, u64::saturating_add);
        Sum { count: counted().count(), bytes }
    }

    /// All layers from there.
    pub fn from(&self, origin: Origin) -> Sum {
        self.sum(|layer| layer.origin == origin)
    }
}

impl TalliedLayer {
    fn of(outcome: &LayerOutcome) -> TalliedLayer {
        TalliedLayer { size: outcome.descriptor.size, origin: Origin::Given, put: Some(outcome.put) }
    }
}

impl Origin {
    /// Where a layer came from that is about to be written: what is cached has a digest before it is read.
    pub(crate) fn of_own(layer: &Layer) -> Origin {
        if layer.recipe.is_some() && layer.diff_id.is_some() { Origin::Known } else { Origin::New }
    }
}

fn tar_size(layer: &Layer) -> u64 {
    layer.tar.as_ref().map_or(0, Source::size)
}
