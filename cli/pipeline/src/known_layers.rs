//! Layers of an image that is there already, by how they were made, as annotations of its manifest tell: what a build makes
//! the same way is neither read nor compressed.
//!
//! The key is that of the cache and of how the layer is compressed, so that a name without a NAR hash is trusted where the
//! cache trusts it. What an annotation says is believed as far as the image is: whoever can write that one decides which
//! bytes its layers have. Of images that others wrote, nothing is known.

use layerstone_layer::{CompressedBlob, CompressionParams, LayerFile, Recipe, media_type};
use layerstone_oci::{Descriptor, MadeLayer, Manifest};
use layerstone_store::{Digest, Store};
use serde_json::Value;
use std::collections::BTreeMap;

/// Layers of an image, by their keys.
#[derive(Default)]
pub(crate) struct KnownLayers {
    layers: BTreeMap<Digest, (Digest, u64, Descriptor)>,
}

impl KnownLayers {
    /// Those of an image with this manifest and config.
    pub fn of(manifest: &Manifest, config: &[u8]) -> KnownLayers {
        let config: Value = serde_json::from_slice(config).unwrap_or_default();
        let diff_ids = config.pointer("/rootfs/diff_ids").cloned().unwrap_or_default();
        let diff_ids: Vec<Digest> = serde_json::from_value(diff_ids).unwrap_or_default();
        if diff_ids.len() != manifest.layers.len() {
            return KnownLayers::default();
        }
        let layers = manifest.layers.iter().zip(diff_ids).filter_map(|(descriptor, diff_id)| {
            let MadeLayer { key, size } = MadeLayer::of(descriptor)?;
            Some((key, (diff_id, size, descriptor.clone())))
        });
        KnownLayers { layers: layers.collect() }
    }

    /// The layer with this key, which is of that recipe and compressed so; none if a path of it is gone.
    pub fn get(
        &self,
        key: &Digest,
        recipe: &Recipe,
        params: Option<CompressionParams>,
        store: &Store,
    ) -> Option<LayerFile> {
        let (diff_id, size, descriptor) = self.layers.get(key)?;
        let exists = recipe.paths.iter().all(|path| store.locate(path.as_str()).symlink_metadata().is_ok());
        let layer = match params {
            Some(params) => LayerFile::compressed(&CompressedBlob::of(*diff_id, descriptor), *size, params),
            None => LayerFile::new(*diff_id, *size),
        };
        // A plain layer is its own blob.
        let is_same = (layer.descriptor.digest, layer.descriptor.size) == (descriptor.digest, descriptor.size);
        let is_so = is_same && descriptor.media_type == media_type::layer(params);
        let (store_paths, recipe) = (recipe.paths.clone(), Some(recipe.clone()));
        Some(LayerFile { recipe, store_paths, ..layer }).filter(|_| exists && is_so)
    }
}
