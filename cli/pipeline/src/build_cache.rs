//! What commands remember about layers from one run to the next: the flags of the cache, and the cache behind them.
//!
//! A cache that cannot be used is no reason to fail: the user is warned once, and all is computed anew.

use crate::error::{Differences, chain};
use crate::{Error, Report, Result};
use layerstone_image::ArchiveCache;
use layerstone_layer::{
    Blob, BlobCache, CompressedBlob, CompressionParams, Difference, Layer, LayerCache, LayerFile, LayerKeys,
    LayerLookup, Miss, Recipe, Source, Trust,
};
use layerstone_oci::{LayerOutcome, PutImage};
use layerstone_store::{Cache, Digest, NarHash, Store, StorePath};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Bytes that a cache may have unless the user says otherwise: what is cached of some thousand images.
pub const SIZE: u64 = 1 << 30;

/// The target of events.
const LOG: &str = "layerstone::cache";

/// What is remembered about layers of a store; by default nothing.
#[derive(Default)]
pub struct BuildCache<'a> {
    pub(crate) layers: Option<LayerCache>,
    /// The keys of layers, with a cache or without.
    keys: Option<Arc<LayerKeys>>,
    /// Where compressed layers are kept, if they are to be.
    pub(crate) blobs: Option<BlobCache>,
    /// The archives that were written; none of before count if what is cached is read all the same.
    pub(crate) archives: Option<ArchiveCache>,
    /// Whether what is cached is read all the same.
    pub(crate) verifies: bool,
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
        let trust = if self.trust_names { Trust::Names } else { Trust::Store };
        let keys = Arc::new(LayerKeys::new(store, trust));
        let Some(files) = self.files(report)? else {
            return Ok(BuildCache { keys: Some(keys), verifies: self.verify, ..BuildCache::default() });
        };
        Ok(BuildCache {
            blobs: self.blobs.then(|| BlobCache::new(&files)),
            archives: Some(ArchiveCache::new(&files, !self.verify)),
            layers: Some(LayerCache::new(files, store.clone(), Arc::clone(&keys))),
            keys: Some(keys),
            verifies: self.verify,
            limit: self.size.unwrap_or(SIZE),
            report: Some(report),
            has_warned: AtomicBool::default(),
        })
    }
}

impl CacheOptions {
    /// Opens the cache for layers of registries; none if there is no cache.
    ///
    /// # Errors
    ///
    /// The directory was named and is no cache.
    pub(crate) fn open_blobs(&self, report: &dyn Report) -> Result<Option<FetchCache>> {
        let files = self.files(report)?;
        Ok(files.map(|files| FetchCache { blobs: BlobCache::new(&files), files, limit: self.size.unwrap_or(SIZE) }))
    }

    fn files(&self, report: &dyn Report) -> Result<Option<Arc<Cache>>> {
        let Some(directory) = &self.directory else { return Ok(None) };
        match Cache::open(directory) {
            Ok(cache) => {
                tracing::debug!(target: LOG, "using {}", directory.display());
                Ok(Some(Arc::new(cache)))
            }
            Err(error @ layerstone_store::Error::NoCache { .. }) if self.is_named => Err(error.into()),
            Err(error) => {
                report.warn(format_args!("going on without a cache: {error}"));
                Ok(None)
            }
        }
    }
}

/// The layers of registries that the cache has.
pub(crate) struct FetchCache {
    files: Arc<Cache>,
    blobs: BlobCache,
    limit: u64,
}

impl FetchCache {
    pub(crate) fn blobs(&self) -> &BlobCache {
        &self.blobs
    }

    /// Makes room, if something was added; that there is none to be had is told by whoever needs it.
    pub(crate) fn finish(&self) {
        if self.files.grew() {
            let _ = self.files.prune(self.limit);
        }
    }
}

impl BuildCache<'_> {
    /// Sets the NAR hashes of paths.
    pub fn set_nar_hashes(&self, hashes: impl IntoIterator<Item = (StorePath, NarHash)>) {
        if let Some(keys) = &self.keys {
            keys.set_nar_hashes(hashes);
        }
    }

    /// What identifies a layer that is made and compressed so; none if the name of one of its paths is not trusted.
    pub(crate) fn made_key(&self, recipe: &Recipe, params: Option<CompressionParams>) -> Option<Digest> {
        self.keys.as_ref()?.made_key(recipe, params)
    }

    /// Remembers a layer that was made.
    pub fn put(&self, recipe: &Recipe, layer: &LayerFile, source: &Source) -> Result<()> {
        let Some(cached) = &self.layers else { return Ok(()) };
        if self.verifies {
            self.compare(cached, recipe, layer)?;
        }
        let layout = if let Source::Layout(layout) = source { Some(&**layout) } else { None };
        if let Err(error) = cached.put(recipe, layer, layout) {
            self.warn(&error);
        }
        Ok(())
    }

    /// Describes the compressed blobs of layers, as far as they are cached.
    pub(crate) fn describe_blobs(&self, layers: &mut [Layer], params: Option<CompressionParams>) {
        layers.iter_mut().for_each(|layer| layer.blobs = layer.blobs.take().or_else(|| self.blobs.clone()));
        let (Some(cached), Some(params)) = (self.read(), params) else { return };
        for layer in layers.iter_mut().filter(|layer| is_open(layer, params)) {
            let Some(diff_id) = layer.diff_id else { continue };
            match cached.compressed(&diff_id, params) {
                Some(blob) => {
                    tracing::debug!(target: LOG, "tar {diff_id}: known as {}", blob.digest);
                    layer.blob = Some(Blob::Made(params, blob.descriptor(Some(params))));
                }
                None => {
                    tracing::info!(target: LOG, why = Miss::Blob(diff_id, params).to_string(), "{} is compressed", layer.label.display())
                }
            }
        }
    }

    /// Stores the blobs that layers were compressed into on their way.
    pub(crate) fn put_blobs(&self, layers: &[Layer], image: &PutImage, params: Option<CompressionParams>) {
        let (Some(cached), Some(params)) = (self.read(), params) else { return };
        let of_outcome =
            |LayerOutcome { descriptor, diff_id, .. }: &LayerOutcome| Some(CompressedBlob::of((*diff_id)?, descriptor));
        let blobs: Vec<Option<CompressedBlob>> = match &image.manifest {
            Some((_, outcomes)) => outcomes.iter().map(of_outcome).collect(),
            None => image.blobs.clone(),
        };
        for (layer, blob) in layers.iter().zip(blobs) {
            if let (Some(blob), Some(tar), true) = (blob, &layer.tar, is_open(layer, params))
                && let Err(error) = cached.put_compressed(&blob, tar.size(), params)
            {
                self.warn(&error);
            }
        }
    }

    /// Tells the log whether a layer is known, and why not.
    pub(crate) fn log(&self, recipe: &Recipe, params: Option<CompressionParams>, known: Option<&LayerFile>) {
        if !tracing::enabled!(target: LOG, tracing::Level::INFO) {
            return;
        }
        let layer = recipe.paths.first().map_or("", StorePath::as_str);
        let paths = recipe.paths.len();
        if let Some(LayerFile { diff_id, .. }) = known {
            tracing::debug!(target: LOG, paths, "layer of {layer}: known, {diff_id}");
            return;
        }
        let why = match &self.layers {
            None => "there is no cache".to_owned(),
            Some(_) if self.verifies => "--verify-cache reads all".to_owned(),
            Some(cached) => match cached.look_up(recipe, params) {
                Ok(_) => "it has no tarsum, or no blob is kept of it".to_owned(),
                Err(miss) => miss.to_string(),
            },
        };
        tracing::info!(target: LOG, paths, why, "layer of {layer}: not known");
    }

    /// The cache, unless what it holds is made all the same.
    fn read(&self) -> Option<&LayerCache> {
        self.layers.as_ref().filter(|_| !self.verifies)
    }

    /// Compares a layer that was made with what is cached of it, which is forgotten if it is wrong.
    fn compare(&self, cached: &LayerCache, recipe: &Recipe, layer: &LayerFile) -> Result<()> {
        let Some(old) = cached.get(recipe, layer.compression) else { return Ok(()) };
        if old.diff_id == layer.diff_id && old.descriptor == layer.descriptor {
            return Ok(());
        }
        let (found, expected) = (layer.descriptor.digest, old.descriptor.digest);
        let path = recipe.paths.first().map_or("", StorePath::as_str);
        let error = invalid!("not what is remembered: layer of {path}: found {found}, expected {expected}");
        Err(self.with_differences(error, &[(recipe, old.diff_id)]))
    }

    /// Makes room, if something was added.
    pub fn finish(&self) {
        let Some(cached) = self.layers.as_ref().filter(|cached| cached.cache().grew()) else { return };
        if let Err(error) = cached.cache().prune(self.limit) {
            self.warn(&error);
        }
    }

    /// Tells which files are not what they were, if that may be why layers are not what they must be.
    pub(crate) fn explain(&self, error: Error, layers: &[Layer]) -> Error {
        if !is_of_bytes(&error) {
            return error;
        }
        let expected: Vec<(&Recipe, Digest)> =
            layers.iter().filter_map(|layer| layer.recipe.as_ref().zip(layer.diff_id)).collect();
        self.with_differences(error, &expected)
    }

    /// Forgets layers that may not have these diff IDs, and adds to an error which files are not what they were.
    pub fn with_differences(&self, error: Error, layers: &[(&Recipe, Digest)]) -> Error {
        let Some(cached) = &self.layers else { return error };
        cached.forget(&layers.iter().map(|(_, diff_id)| *diff_id).collect());
        // A store that cannot be read tells nothing more than the error does.
        let differences = layers.iter().flat_map(|(recipe, id)| cached.differences(recipe, id).unwrap_or_default());
        let differences: Vec<Difference> = differences.collect();
        if differences.is_empty() {
            return error;
        }
        Error::Differs { differences: Differences(differences), source: Box::new(error) }
    }

    fn warn(&self, error: &dyn std::fmt::Display) {
        if let Some(report) = self.report.filter(|_| !self.has_warned.swap(true, Ordering::Relaxed)) {
            report.warn(format_args!("going on without the cache: {error}"));
        }
    }
}

impl LayerLookup for BuildCache<'_> {
    fn get(&self, recipe: &Recipe, params: Option<CompressionParams>) -> Option<LayerFile> {
        self.read()?.get(recipe, params)
    }
}

/// Whether it is open what a layer is when it is compressed so.
fn is_open(layer: &Layer, params: CompressionParams) -> bool {
    !matches!(layer.blob, Some(Blob::Stored(..))) && layer.made(params).is_none()
}

/// Whether the bytes of a layer were others than they must be.
fn is_of_bytes(error: &Error) -> bool {
    use {
        layerstone_image::Error as Image, layerstone_layer::Error as Layer, layerstone_oci::Error as Oci,
        layerstone_tar::Error as Tar,
    };
    let is_layer = |error: &Layer| matches!(error, Layer::Digest { .. } | Layer::Tar(Tar::Changed { .. }));
    chain(error).any(|cause| {
        cause.downcast_ref().is_some_and(is_layer)
            || matches!(cause.downcast_ref(), Some(Image::Digest { .. }))
            || cause.downcast_ref().is_some_and(|error: &Oci| match error {
                Oci::Layer(error) => is_layer(error),
                error => matches!(error, Oci::Blob { .. }),
            })
    })
}
