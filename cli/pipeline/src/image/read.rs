//! Reads layer files as layers of an image.

use crate::error::Context;
use crate::prior_layers::{layer_names, read_layer_file};
use crate::{BuildCache, Result};
use layerstone_image::unpack_blob;
use layerstone_layer::{Blob, Layer, LayerFile, Source, store_layout};
use layerstone_store::{Directory, Limits, Store, open_regular};
use layerstone_tar::Part;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A layer file of an image.
pub struct FoundLayer {
    /// The path that leads there.
    pub path: PathBuf,
    /// The directory in which it was found, if that was named and not the file.
    directory: Option<Arc<Directory>>,
}

impl AsRef<Path> for FoundLayer {
    fn as_ref(&self) -> &Path {
        &self.path
    }
}

/// The files themselves, instead of the directories that they are in.
pub fn layer_files_of(named: &[PathBuf]) -> Result<Vec<FoundLayer>> {
    let mut files = Vec::new();
    for path in named {
        match Directory::open(path) {
            Ok(directory) => {
                let directory = Arc::new(directory);
                for name in layer_names(&directory, path)? {
                    files.push(FoundLayer { path: path.join(name), directory: Some(Arc::clone(&directory)) });
                }
            }
            // What is wrong with it, its reader says.
            Err(_) => files.push(FoundLayer { path: path.clone(), directory: None }),
        }
    }
    Ok(files)
}

/// Opens the blob beside a layer file.
fn open_blob(found: &FoundLayer, layer: &LayerFile, path: &Path) -> Result<File> {
    let name = layer.blob.as_deref().map(Path::new).filter(|name| name.components().count() == 1);
    let opened = match (&found.directory, name) {
        (Some(directory), Some(name)) => directory.open_file_below(name),
        _ => open_regular(path),
    };
    opened.with_context(|| format!("cannot read: {}", path.display()))
}

impl FoundLayer {
    /// Reads the layer file.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is none.
    pub fn read(&self) -> Result<LayerFile> {
        match &self.directory {
            Some(directory) => read_layer_file(directory, self.path.file_name().unwrap_or_default(), &self.path),
            None => Ok(LayerFile::read(&self.path)?),
        }
    }
}

/// The layer of a layer file that was read.
pub fn read_layer(
    found: &FoundLayer,
    layer: LayerFile,
    store: &Store,
    cache: &BuildCache<'_>,
    limits: Limits,
) -> Result<Layer> {
    let path = &*found.path;
    let descriptor = layer.descriptor.clone();
    let annotations = descriptor.annotations.clone();
    let (source, blob) = match (&layer.recipe, layer.blob_path(path)) {
        (Some(recipe), _) => {
            let store = Store::new(&recipe.store, store.root())?;
            let made = layer.compression.map(|params| Blob::Made(params, descriptor));
            (Source::from(store_layout(&store, recipe)?), made)
        }
        (None, Some(blob)) if layer.is_plain() => (Source::open_blob(open_blob(found, &layer, &blob)?, &blob)?, None),
        (None, Some(blob)) => {
            let file = open_blob(found, &layer, &blob)?;
            let size = file.metadata().with_context(|| format!("cannot read: {}", blob.display()))?.len();
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
    let LayerFile { diff_id, store_paths, history, recipe, .. } = layer;
    let blobs = cache.blobs.clone().filter(|_| recipe.is_some());
    Ok(Layer { store_paths, history, blob, recipe, blobs, annotations, ..Layer::of_tar(source, Some(diff_id), path) })
}
