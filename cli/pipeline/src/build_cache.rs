//! What commands remember about layers from one run to the next: the flags of the cache, and the cache behind them.
//!
//! A cache that cannot be used is no reason to fail: the user is told once, and all is learned anew.

use crate::error::Differences;
use crate::image_layer::{ImageLayer, LayerBlob};
use crate::{Error, Report, Result};
use layerstone_layer::{
    BlobCache, CompressedBlob, CompressionParams, Difference, LayerCache, LayerFile, Recipe, Source, Trust,
};
use layerstone_oci::{Descriptor, LayerOutcome};
use layerstone_store::{Cache, Digest, NarHash, Store, StorePath};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Bytes that a cache may have unless the user says otherwise: what is known of some thousand images.
pub const SIZE: u64 = 1 << 30;
/// What is remembered about layers of a store, or nothing.
pub struct BuildCache<'a> {
    learned: Option<LayerCache>,
    blobs: Option<BlobCache>,
    verifies: bool,
    limit: u64,
    report: Option<&'a dyn Report>,
    has_warned: AtomicBool,
}

/// Where the cache is, and how it is used.
#[derive(Clone, Debug, Default)]
pub struct CacheOptions {
    /// Its directory; none for no cache.
    pub directory: Option<PathBuf>,
    /// Whether somebody asked for this directory, so that one which cannot be used is an error.
    pub is_named: bool,
    /// Bytes that it may have; none for [`SIZE`].
    pub size: Option<u64>,
    /// Whether compressed layers are kept too.
    pub blobs: bool,
    /// Whether store paths without a NAR hash are cached by their names even in a store that can be written to.
    pub trust_names: bool,
    /// Whether cached layers are read all the same, and compared.
    pub verify: bool,
}

impl CacheOptions {
    /// Opens the cache for the layers of a store. One that cannot be used, and that nobody named, is done without.
    ///
    /// # Errors
    ///
    /// The directory was named and is no cache.
    pub fn open<'a>(&self, store: &Store, report: &'a dyn Report) -> Result<BuildCache<'a>> {
        let mut cache = BuildCache::none();
        let Some(files) = self.files(report)? else { return Ok(cache) };
        let files = Arc::new(files);
        cache.blobs = self.blobs.then(|| BlobCache::new(&files));
        let trust = if self.trust_names { Trust::Names } else { Trust::Store };
        cache.learned = Some(LayerCache::new(files, store.clone(), trust));
        cache.verifies = self.verify;
        cache.limit = self.size.unwrap_or(SIZE);
        cache.report = Some(report);
        Ok(cache)
    }

    fn files(&self, report: &dyn Report) -> Result<Option<Cache>> {
        let Some(directory) = &self.directory else { return Ok(None) };
        match Cache::open(directory) {
            Ok(cache) => Ok(Some(cache)),
            Err(error @ layerstone_store::Error::NoCache { .. }) if self.is_named => Err(error.into()),
            Err(error) => {
                report.warn(format_args!("going on without a cache: {error}"));
                Ok(None)
            }
        }
    }
}

/// A layer of store paths that is being written.
pub(crate) struct StoreLayer {
    pub recipe: Recipe,
    pub source: Source,
    /// The diff ID that it must have.
    pub expected: Option<Digest>,
}

impl StoreLayer {
    /// The layers of store paths among those of an image.
    pub fn among(layers: &[ImageLayer]) -> Vec<StoreLayer> {
        let layer = |layer: &ImageLayer| {
            Some(StoreLayer { recipe: layer.recipe.clone()?, source: layer.source.clone(), expected: layer.expected })
        };
        layers.iter().filter_map(layer).collect()
    }
}

impl<'a> BuildCache<'a> {
    /// Nothing is remembered.
    pub fn none() -> BuildCache<'a> {
        BuildCache {
            learned: None,
            blobs: None,
            verifies: false,
            limit: 0,
            report: None,
            has_warned: AtomicBool::new(false),
        }
    }

    /// Whether anything is remembered.
    pub fn is_there(&self) -> bool {
        self.learned.is_some()
    }

    /// Whether what is known is read all the same.
    pub fn verifies(&self) -> bool {
        self.verifies
    }

    /// Where compressed layers are kept, if they are to be.
    pub fn blobs(&self) -> Option<BlobCache> {
        self.blobs.clone()
    }

    /// Tells the NAR hashes of paths.
    pub fn tell_hashes(&self, hashes: impl IntoIterator<Item = (StorePath, NarHash)>) {
        if let Some(learned) = &self.learned {
            learned.set_nar_hashes(hashes);
        }
    }

    /// What is known of a layer that is made and compressed so, if it is to be believed.
    pub fn get(&self, recipe: &Recipe, packing: Option<CompressionParams>) -> Option<LayerFile> {
        self.learned.as_ref().filter(|_| !self.verifies)?.get(recipe, packing)
    }

    /// Remembers a layer that was made.
    pub fn put(&self, recipe: &Recipe, layer: &LayerFile, source: &Source) -> Result<()> {
        let Some(learned) = &self.learned else { return Ok(()) };
        if self.verifies {
            self.compare(learned, recipe, layer)?;
        }
        let layout = if let Source::Layout(layout) = source { Some(&**layout) } else { None };
        if let Err(error) = learned.put(recipe, layer, layout) {
            self.warn(&error);
        }
        Ok(())
    }

    /// Tells layers what they are when they are compressed so, as far as that is known of them.
    pub fn tell_packed(&self, layers: &mut [ImageLayer], packing: Option<CompressionParams>) {
        let (Some(learned), Some(packing)) = (self.learned.as_ref().filter(|_| !self.verifies), packing) else {
            return;
        };
        for layer in layers {
            if let Some(diff_id) = layer.expected.filter(|_| !layer.is_packed(packing))
                && let Some(packed) = learned.compressed(&diff_id, packing)
            {
                let descriptor = Descriptor::layer(Some(packing), packed.digest, packed.size);
                layer.blob = Some(LayerBlob::Packed(packing, descriptor));
            }
        }
    }

    /// Remembers what layers became that were compressed so on their way.
    pub fn put_packed(&self, layers: &[ImageLayer], placed: &[LayerOutcome], packing: Option<CompressionParams>) {
        let (Some(learned), Some(packing)) = (self.learned.as_ref().filter(|_| !self.verifies), packing) else {
            return;
        };
        for (layer, placed) in layers.iter().zip(placed) {
            let Some(diff_id) = placed.diff_id.filter(|_| !layer.is_packed(packing)) else { continue };
            let packed = CompressedBlob { diff_id, digest: placed.descriptor.digest, size: placed.descriptor.size };
            if let Err(error) = learned.put_compressed(&packed, layer.source.size(), packing) {
                self.warn(&error);
            }
        }
    }

    /// Compares a layer that was made with what is known of it, which is forgotten if it is wrong.
    fn compare(&self, learned: &LayerCache, recipe: &Recipe, layer: &LayerFile) -> Result<()> {
        let Some(known) = learned.get(recipe, layer.compression) else { return Ok(()) };
        if known.diff_id == layer.diff_id && known.descriptor == layer.descriptor {
            return Ok(());
        }
        let (found, expected) = (layer.descriptor.digest, known.descriptor.digest);
        let path = recipe.paths.first().map_or("", StorePath::as_str);
        let error = invalid!("not what is remembered: layer of {path}: found {found}, expected {expected}");
        Err(self.with_differences(error, &[(recipe, known.diff_id)]))
    }

    /// Makes room, if something was added.
    pub fn finish(&self) {
        let Some(learned) = self.learned.as_ref().filter(|learned| learned.cache().grew()) else { return };
        if let Err(error) = learned.cache().prune(self.limit) {
            self.warn(&error);
        }
    }

    /// Tells which files are not what they were, if that may be why layers are not what they must be.
    pub(crate) fn explain(&self, error: Error, layers: &[StoreLayer]) -> Error {
        if !is_of_bytes(&error) {
            return error;
        }
        let expected: Vec<(&Recipe, Digest)> =
            layers.iter().filter_map(|layer| Some((&layer.recipe, layer.expected?))).collect();
        self.with_differences(error, &expected)
    }

    /// Forgets layers that may not have these diff IDs, and adds to an error which files are not what they were.
    pub fn with_differences(&self, error: Error, layers: &[(&Recipe, Digest)]) -> Error {
        let Some(learned) = &self.learned else { return error };
        learned.forget(&layers.iter().map(|(_, diff_id)| *diff_id).collect());
        // A store that cannot be read tells nothing more than the error does.
        let differences = layers.iter().flat_map(|(recipe, id)| learned.differences(recipe, id).unwrap_or_default());
        let differences: Vec<Difference> = differences.collect();
        match differences.is_empty() {
            true => error,
            false => Error::Differs { differences: Differences(differences), source: Box::new(error) },
        }
    }

    fn warn(&self, error: &dyn std::fmt::Display) {
        if let Some(report) = self.report.filter(|_| !self.has_warned.swap(true, Ordering::Relaxed)) {
            report.warn(format_args!("going on without the cache: {error}"));
        }
    }
}

/// Whether the bytes of a layer were others than they must be.
fn is_of_bytes(error: &Error) -> bool {
    use {
        layerstone_image::Error as Image, layerstone_layer::Error as Layer, layerstone_oci::Error as Oci,
        layerstone_tar::Error as Tar,
    };
    let is_layer = |error: &Layer| matches!(error, Layer::Digest { .. } | Layer::Tar(Tar::Changed { .. }));
    let mut chain = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    chain.any(|cause| {
        cause.downcast_ref().is_some_and(is_layer)
            || matches!(cause.downcast_ref(), Some(Image::Digest { .. }))
            || cause.downcast_ref().is_some_and(|error: &Oci| match error {
                Oci::Layer(error) => is_layer(error),
                error => matches!(error, Oci::Blob { .. }),
            })
    })
}
