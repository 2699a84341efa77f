//! Reads layer files as layers of an image.

use crate::error::Context;
use crate::prior_layers::layer_files;
use crate::{BuildCache, Result};
use layerstone_image::unpack_blob;
use layerstone_layer::{Blob, Layer, LayerFile, Source, store_layout};
use layerstone_store::{Limits, Store};
use layerstone_tar::Part;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The files themselves, instead of the directories that they are in.
pub fn layer_files_of(named: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let files = named.iter().map(|path| if path.is_dir() { layer_files(path) } else { Ok(vec![path.clone()]) });
    Ok(files.collect::<Result<Vec<_>>>()?.concat())
}

/// Reads one.
pub fn read_layer(path: &Path, store: &Store, cache: &BuildCache<'_>, limits: Limits) -> Result<Layer> {
    let layer = LayerFile::read(path)?;
    let descriptor = layer.descriptor.clone();
    let (source, blob) = match (&layer.recipe, layer.blob_path(path)) {
        (Some(recipe), _) => {
            let store = Store::new(&recipe.store, store.root())?;
            let made = layer.compression.map(|params| Blob::Made(params, descriptor));
            (Source::from(store_layout(&store, recipe)?), made)
        }
        (None, Some(blob)) if layer.is_plain() => (Source::blob(&blob)?, None),
        (None, Some(blob)) => {
            let size = blob.metadata().with_context(|| format!("cannot read: {}", blob.display()))?.len();
            let file = File::open(&blob).with_context(|| format!("cannot read: {}", blob.display()))?;
            let part = Part::new(Arc::new(file), blob, 0, size);
            let tar = unpack_blob(&part, descriptor.digest, layer.diff_id, limits)?;
            (Source::Part(tar), Some(Blob::Stored(descriptor, Arc::new(part))))
        }
        (None, None) => bail!("no blob and no recipe: {}", path.display()),
    };
    if source.size() != layer.size {
        let (found, expected) = (source.size(), layer.size);
        let error = invalid!("wrong size: {}: found a layer of {found} bytes, expected {expected}", path.display());
        let recipe: Vec<_> = layer.recipe.iter().map(|recipe| (recipe, layer.diff_id)).collect();
        return Err(cache.with_differences(error, &recipe));
    }
    let LayerFile { diff_id, store_paths, comment, recipe, .. } = layer;
    let blobs = cache.blobs.clone().filter(|_| recipe.is_some());
    Ok(Layer { store_paths, comment, blob, recipe, blobs, ..Layer::of_tar(source, Some(diff_id), path) })
}
