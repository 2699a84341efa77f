//! Puts layers into what keeps blobs: compresses them if they must be, several at once.
//!
//! If the digest of a blob is known, it is asked first, and only a missing blob is made or copied. Any other
//! layer is read, hashed and compressed in one pass.

use crate::annotation::{MadeLayer, is_mounted};
use crate::{BlobStore, Descriptor, PutOutcome, Result, STORE_PATHS};
use layerstone_layer::{
    Blob, CompressedBlob, CompressionParams, CompressorPool, Error as LayerError, Layer, Progress, Source,
    compress_cached, write_layer,
};
use layerstone_store::{Cancel, Digest, StorePath};
use std::cmp::Reverse;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// A layer where it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerOutcome {
    /// Its blob there.
    pub descriptor: Descriptor,
    /// sha256 of its tar; none for a blob that went as it was, if it was not known.
    pub diff_id: Option<Digest>,
    /// How it got there.
    pub put: PutOutcome,
}

/// Puts layers into what keeps blobs, tars compressed with these parameters, `at_once` at a time, the biggest first; the
/// outcomes in the order of the layers. `progress` counts [`Layer::size`].
///
/// # Errors
///
/// One cannot be read, is not what it must be, or cannot be put; the others are cancelled.
pub fn put_layers(
    layers: &[Layer],
    params: Option<CompressionParams>,
    store: &dyn BlobStore,
    at_once: usize,
    progress: &Progress,
) -> Result<Vec<LayerOutcome>> {
    let threads = rayon::current_num_threads();
    let job = |pool: Option<&CompressorPool>| Job { store, params, pool, progress }.run(layers, at_once);
    match params {
        None => job(None),
        Some(params) => CompressorPool::with(params, threads, |pool| job(Some(pool))),
    }
}

/// What describes a layer once it is put so, and its diff ID, if both are known before.
pub(crate) fn known(layer: &Layer, params: Option<CompressionParams>) -> Option<(Descriptor, Digest)> {
    let diff_id = layer.diff_id?;
    let mut descriptor = match (&layer.blob, params) {
        (Some(Blob::Stored(descriptor, _)), _) => descriptor.clone(),
        (_, Some(params)) => CompressedBlob::of(diff_id, layer.made(params)?).descriptor(Some(params)),
        (_, None) => Descriptor::layer(None, diff_id, layer.tar.as_ref()?.size()),
    };
    annotate(&mut descriptor, layer);
    Some((descriptor, diff_id))
}

/// Adds the annotations of a layer to what describes it.
fn annotate(descriptor: &mut Descriptor, layer: &Layer) {
    descriptor.annotations.extend(layer.annotations.clone());
    if !layer.store_paths.is_empty() && !is_mounted(&layer.annotations) {
        let paths: Vec<&str> = layer.store_paths.iter().map(StorePath::as_str).collect();
        descriptor.annotations.insert(STORE_PATHS.to_owned(), paths.join(" "));
    }
    if let (Some(key), Some(tar)) = (layer.key, &layer.tar) {
        MadeLayer { key, size: tar.size() }.annotate(descriptor);
    }
}

struct Job<'a> {
    store: &'a dyn BlobStore,
    params: Option<CompressionParams>,
    pool: Option<&'a CompressorPool>,
    progress: &'a Progress,
}

impl Job<'_> {
    fn run(&self, layers: &[Layer], at_once: usize) -> Result<Vec<LayerOutcome>> {
        let mut order: Vec<usize> = (0..layers.len()).collect();
        order.sort_by_key(|&index| (Reverse(layers[index].size()), index));
        let (next, cancel) = (AtomicUsize::new(0), Cancel::default());
        let results = Mutex::new(Vec::new());
        let work = || {
            while let Some(&index) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                if cancel.is_cancelled() {
                    break;
                }
                self.progress.begin_layer(index);
                let result = self.put(&layers[index]);
                if result.is_err() {
                    cancel.cancel();
                }
                self.progress.add_layer();
                results.lock().unwrap_or_else(PoisonError::into_inner).push((index, result));
            }
        };
        thread::scope(|scope| {
            for _ in 1..at_once.clamp(1, layers.len().max(1)) {
                // The others do what one does not that cannot be made.
                let _ = thread::Builder::new().spawn_scoped(scope, work);
            }
            work();
        });
        let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
        // Of several errors the first one by order, not by time.
        results.sort_by_key(|(index, result)| (result.is_ok(), *index));
        results.into_iter().map(|(_, result)| result).collect()
    }

    fn put(&self, layer: &Layer) -> Result<LayerOutcome> {
        self.progress.count(0).map_err(LayerError::from)?;
        let mut outcome = match &layer.blob {
            Some(Blob::Stored(descriptor, content)) => {
                let put = self.store.put(descriptor, content)?;
                self.progress.add_bytes(usize::try_from(descriptor.size).unwrap_or(usize::MAX));
                LayerOutcome { descriptor: descriptor.clone(), diff_id: layer.diff_id, put }
            }
            _ => self.put_tar(layer, layer.tar()?)?,
        };
        annotate(&mut outcome.descriptor, layer);
        Ok(outcome)
    }

    /// Asks for the blob of a tar, if its digest is known, and makes it if it is missing.
    fn put_tar(&self, layer: &Layer, tar: &Source) -> Result<LayerOutcome> {
        let made = self.params.and_then(|params| layer.made(params));
        let existing = match (self.params, made, layer.diff_id) {
            (params @ Some(_), Some(blob), Some(diff_id)) => {
                Some((diff_id, CompressedBlob::of(diff_id, blob).descriptor(params)))
            }
            (None, _, Some(diff_id)) => Some((diff_id, Descriptor::layer(None, diff_id, tar.size()))),
            (None, _, None) if !self.store.prefers_streaming() => {
                let diff_id = write_layer(tar, &mut std::io::sink(), Path::new("nowhere"), &Progress::default())?;
                Some((diff_id, Descriptor::layer(None, diff_id, tar.size())))
            }
            _ => None,
        };
        if let Some((diff_id, descriptor)) = existing {
            let put = self.store.put(&descriptor, &layer.content(self.params, descriptor.digest)?)?;
            self.progress.add_bytes(usize::try_from(tar.size()).unwrap_or(usize::MAX));
            return Ok(LayerOutcome { descriptor, diff_id: Some(diff_id), put });
        }
        let (packed, put) = self.store.put_streaming(&mut |out| self.write(layer, tar, out))?;
        let descriptor = packed.descriptor(self.params);
        Ok(LayerOutcome { descriptor, diff_id: Some(packed.diff_id), put })
    }

    fn write(&self, layer: &Layer, tar: &Source, out: &mut (dyn Write + Send)) -> Result<CompressedBlob> {
        let path = Path::new(LayerError::BLOB);
        let packed = match self.pool {
            Some(pool) => compress_cached(tar, pool, out, path, self.progress, layer.blobs.as_ref())?,
            None => {
                let diff_id = write_layer(tar, out, path, self.progress)?;
                CompressedBlob::without_table(diff_id, diff_id, tar.size())
            }
        };
        layer.check(packed.diff_id)?;
        Ok(packed)
    }
}
