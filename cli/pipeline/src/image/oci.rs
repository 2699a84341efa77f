//! An image of layers, on its way to what keeps OCI images.

use super::{Built, facts};
use crate::image_layer::{ImageLayer, LayerBlob};
use crate::open_target::{Arrived, OpenTarget, Unfinished, put};
use crate::{BaseImage, BuildCache, CompressionChoice, Report, Result};
use layerstone_image::LayerFacts;
use layerstone_layer::CompressionParams;
use layerstone_oci::{Content, Destination, Layer, STORE_PATHS, Tar};
use layerstone_spec::Spec;
use layerstone_store::{Digest, StorePath};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Puts an image where it is kept, under its name.
pub fn write(
    spec: &Spec,
    base: Option<&BaseImage>,
    layers: Vec<ImageLayer>,
    target: &OpenTarget,
    how: (CompressionChoice, usize),
    cache: &BuildCache<'_>,
    report: &dyn Report,
) -> Result<Built> {
    let reference = spec.reference()?;
    let arrived = put_layers_of(spec, base, layers, target.destination(), how, cache, report)?;
    let name = reference.for_image(&arrived.image_id);
    target.destination().finish(&arrived.manifest, &arrived.bytes, Some(&name))?;
    Ok(Built::of(target.called(&name), &arrived, base))
}

/// Puts all of an image but its manifest, its layers compressed as chosen, so many at a time.
pub fn put_layers_of(
    spec: &Spec,
    base: Option<&BaseImage>,
    layers: Vec<ImageLayer>,
    destination: &dyn Destination,
    (compression, uploads): (CompressionChoice, usize),
    cache: &BuildCache<'_>,
    report: &dyn Report,
) -> Result<Arrived> {
    let (facts, warnings) = facts(spec, base, layers.len())?;
    warnings.into_iter().for_each(|warning| report.warn(warning));
    let mut layers: Vec<ImageLayer> = base.map_or_else(Vec::new, BaseImage::layers).into_iter().chain(layers).collect();
    let packing = compression.of_layers(packing_of(&layers));
    cache.tell_packed(&mut layers, packing);
    let config = |diff_ids: &[Digest]| {
        let facts_of = |(layer, diff_id): (&ImageLayer, &Digest)| layer.facts(*diff_id);
        let layers: Vec<LayerFacts> = layers.iter().zip(diff_ids).map(facts_of).collect();
        facts.finish(&layers).config
    };
    let image = Unfinished {
        layers: layers.iter().map(|layer| as_layer(layer, packing)).collect(),
        diff_ids: layers.iter().map(|layer| layer.expected).collect(),
        config: &config,
        annotations: spec.annotations.clone(),
    };
    let arrived = put(&image, packing, destination, uploads, report)?;
    cache.put_packed(&layers, &arrived.layers, packing);
    Ok(arrived)
}

/// How layer files say that their layers are compressed.
fn packing_of(layers: &[ImageLayer]) -> Option<CompressionParams> {
    layers.iter().find_map(|layer| match &layer.blob {
        Some(LayerBlob::Packed(packing, _)) => Some(*packing),
        _ => None,
    })
}

/// A layer as it goes: a blob that is there as it is, unless a layer file's own compression is not the one that is wanted.
fn as_layer(layer: &ImageLayer, packing: Option<CompressionParams>) -> Layer {
    let paths: Vec<&str> = layer.store_paths.iter().map(StorePath::as_str).collect();
    let mut annotations = BTreeMap::new();
    if !paths.is_empty() {
        annotations.insert(STORE_PATHS.to_owned(), paths.join(" "));
    }
    let packed = match &layer.blob {
        Some(LayerBlob::Stored(descriptor, part)) => {
            let content: Arc<dyn Content> = Arc::new(part.clone());
            let mut descriptor = descriptor.clone();
            descriptor.annotations.extend(annotations);
            return Layer::Blob(descriptor, content);
        }
        Some(LayerBlob::Packed(known, descriptor)) if Some(*known) == packing => Some(descriptor.clone()),
        _ => None,
    };
    Layer::Tar(Tar {
        source: layer.source.clone(),
        diff_id: layer.expected,
        compressed: packed,
        annotations,
        label: layer.label.display().to_string(),
        blobs: layer.blobs.clone(),
    })
}
