//! Puts layers into a destination: compresses them if they must be, several at once.
//!
//! If the digest of a blob is known, the destination is asked first, and only a missing blob is made or copied. Any other
//! layer is read, hashed and compressed in one pass.

use crate::{Content, Descriptor, Destination, Error, LayerContent, PutOutcome, Result};
use layerstone_layer::{
    BlobCache, CompressedBlob, CompressionParams, CompressorPool, Error as LayerError, Progress, Source,
    compress_cached, write_layer,
};
use layerstone_store::{Cancel, Digest};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// A layer to be put into a destination.
#[derive(Clone, Debug)]
pub enum Layer {
    /// A tar, which is compressed on the way.
    Tar(Tar),
    /// A blob that goes as it is.
    Blob(Descriptor, Arc<dyn Content>),
}

/// A tar.
#[derive(Clone, Debug)]
pub struct Tar {
    /// Where its bytes come from.
    pub source: Source,
    /// sha256 that it must have, if that is known.
    pub diff_id: Option<Digest>,
    /// Its compressed blob, if that is known.
    pub compressed: Option<Descriptor>,
    /// Annotations of its descriptor.
    pub annotations: BTreeMap<String, String>,
    /// What messages call it.
    pub label: String,
    /// A cache for its compressed blob.
    pub blobs: Option<BlobCache>,
}

/// A layer in its destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerOutcome {
    /// Its blob there.
    pub descriptor: Descriptor,
    /// sha256 of its tar; none for a blob that went as it was.
    pub diff_id: Option<Digest>,
    /// How it got there.
    pub put: PutOutcome,
}

impl Layer {
    /// Bytes that have to be read for it.
    pub fn size(&self) -> u64 {
        match self {
            Layer::Tar(tar) => tar.source.size(),
            Layer::Blob(descriptor, _) => descriptor.size,
        }
    }
}

/// Puts layers into a destination, tars compressed with these parameters, `at_once` at a time, the biggest first; the
/// outcomes in the order of the layers. `progress` counts [`Layer::size`].
///
/// # Errors
///
/// One cannot be read, is not what it must be, or cannot be put; the others are cancelled.
pub fn put_layers(
    layers: &[Layer],
    params: Option<CompressionParams>,
    destination: &dyn Destination,
    at_once: usize,
    progress: &Progress,
) -> Result<Vec<LayerOutcome>> {
    let threads = rayon::current_num_threads();
    let job = |pool: Option<&CompressorPool>| Job { destination, params, pool, progress }.run(layers, at_once);
    match params {
        None => job(None),
        Some(params) => CompressorPool::with(params, threads, |pool| job(Some(pool))),
    }
}

struct Job<'a> {
    destination: &'a dyn Destination,
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
                let result = self.put(&layers[index]);
                if result.is_err() {
                    cancel.cancel();
                }
                self.progress.add_layer();
                results.lock().unwrap_or_else(PoisonError::into_inner).push((index, result));
            }
        };
        thread::scope(|scope| {
            for _ in 0..at_once.clamp(1, layers.len().max(1)) {
                scope.spawn(work);
            }
        });
        let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
        // Of several errors the first one by order, not by time.
        results.sort_by_key(|(index, result)| (result.is_ok(), *index));
        results.into_iter().map(|(_, result)| result).collect()
    }

    fn put(&self, layer: &Layer) -> Result<LayerOutcome> {
        let tar = match layer {
            Layer::Tar(tar) => tar,
            Layer::Blob(descriptor, content) => {
                let put = self.destination.put(descriptor, content)?;
                self.progress.add_bytes(usize::try_from(descriptor.size).unwrap_or(usize::MAX));
                return Ok(LayerOutcome { descriptor: descriptor.clone(), diff_id: None, put });
            }
        };
        let known = match (self.params, &tar.compressed, tar.diff_id) {
            (params @ Some(_), Some(blob), Some(diff_id)) => {
                Some((diff_id, Descriptor::layer(params, blob.digest, blob.size)))
            }
            (None, _, Some(diff_id)) => Some((diff_id, Descriptor::layer(None, diff_id, tar.source.size()))),
            (None, _, None) if !self.destination.prefers_streaming() => {
                let diff_id =
                    write_layer(&tar.source, &mut std::io::sink(), Path::new("nowhere"), &Progress::default())?;
                Some((diff_id, Descriptor::layer(None, diff_id, tar.source.size())))
            }
            _ => None,
        };
        let (diff_id, descriptor, put) = match known {
            Some((diff_id, descriptor)) => {
                let cached =
                    tar.blobs.clone().filter(|_| self.params.is_some()).map(|blobs| (blobs, descriptor.digest));
                let content: Arc<dyn Content> =
                    Arc::new(LayerContent { source: tar.source.clone(), params: self.params, cached });
                let put = self.destination.put(&descriptor, &content)?;
                self.progress.add_bytes(usize::try_from(tar.source.size()).unwrap_or(usize::MAX));
                (diff_id, descriptor, put)
            }
            None => {
                let (packed, put) = self.destination.put_streaming(&mut |out| self.write(tar, out))?;
                (packed.diff_id, Descriptor::layer(self.params, packed.digest, packed.size), put)
            }
        };
        let descriptor = Descriptor { annotations: tar.annotations.clone(), ..descriptor };
        Ok(LayerOutcome { descriptor, diff_id: Some(diff_id), put })
    }

    fn write(&self, tar: &Tar, out: &mut (dyn std::io::Write + Send)) -> Result<CompressedBlob> {
        let path = Path::new("blob");
        let packed = match self.pool {
            Some(pool) => compress_cached(&tar.source, pool, out, path, self.progress, tar.blobs.as_ref())?,
            None => {
                let diff_id = write_layer(&tar.source, out, path, self.progress)?;
                CompressedBlob { diff_id, digest: diff_id, size: tar.source.size() }
            }
        };
        match tar.diff_id {
            Some(expected) if expected != packed.diff_id => {
                let (path, found) = (tar.label.clone().into(), packed.diff_id);
                Err(Error::Layer(LayerError::Digest { path, found, expected }))
            }
            _ => Ok(packed),
        }
    }
}
