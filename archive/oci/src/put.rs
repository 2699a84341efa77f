//! Layers on their way to a destination: compressed if they must be, several at once.
//!
//! What is known of a layer decides what is done: a blob that is described is asked for first and made only if it is
//! missing; any other is made, and known then.

use crate::{Content, Descriptor, Destination, Error, Packable, Put, Result};
use layerstone_layer::{Blobs, Error as LayerError, Meter, Packed, Packing, Source, Team, pack_kept, write_layer};
use layerstone_store::Digest;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// A layer to be put somewhere.
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
    /// What it is when it is compressed, if that is known.
    pub packed: Option<Descriptor>,
    /// What its descriptor is to say besides.
    pub annotations: BTreeMap<String, String>,
    /// What messages call it.
    pub label: String,
    /// Where it is kept when it is compressed, so that it need not be again.
    pub blobs: Option<Blobs>,
}

/// A layer that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placed {
    /// What it is there.
    pub descriptor: Descriptor,
    /// sha256 of its tar; none for a blob that went as it was.
    pub diff_id: Option<Digest>,
    /// How it got there.
    pub put: Put,
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

/// Puts layers, compressed by this packing where they are tars, `at_once` at a time, the biggest first; what they are
/// there, in the order of the layers. `meter` counts [`Layer::size`].
///
/// # Errors
///
/// One cannot be read, is not what it must be, or cannot be put; the others are called off.
pub fn put_layers(
    layers: &[Layer],
    packing: Option<Packing>,
    destination: &dyn Destination,
    at_once: usize,
    meter: &Meter,
) -> Result<Vec<Placed>> {
    let threads = rayon::current_num_threads();
    let job = |team: Option<&Team>| Job { destination, packing, team, meter }.run(layers, at_once);
    match packing {
        None => job(None),
        Some(packing) => Team::with(packing, threads, |team| job(Some(team))),
    }
}

struct Job<'a> {
    destination: &'a dyn Destination,
    packing: Option<Packing>,
    team: Option<&'a Team>,
    meter: &'a Meter,
}

impl Job<'_> {
    fn run(&self, layers: &[Layer], at_once: usize) -> Result<Vec<Placed>> {
        let mut order: Vec<usize> = (0..layers.len()).collect();
        order.sort_by_key(|&index| (Reverse(layers[index].size()), index));
        let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
        let results = Mutex::new(Vec::new());
        let work = || {
            while let Some(&index) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                let result = self.put(&layers[index]);
                if result.is_err() {
                    stop.store(true, Ordering::Relaxed);
                }
                self.meter.add_layer();
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

    fn put(&self, layer: &Layer) -> Result<Placed> {
        let tar = match layer {
            Layer::Tar(tar) => tar,
            Layer::Blob(descriptor, content) => {
                let put = self.destination.put(descriptor, content)?;
                self.meter.add_bytes(usize::try_from(descriptor.size).unwrap_or(usize::MAX));
                return Ok(Placed { descriptor: descriptor.clone(), diff_id: None, put });
            }
        };
        let known = match (self.packing, &tar.packed, tar.diff_id) {
            (Some(packing), Some(packed), Some(diff_id)) => {
                let codec = Some(packing.codec);
                Some((diff_id, Descriptor::layer(codec, packed.digest, packed.size)))
            }
            (None, _, Some(diff_id)) => Some((diff_id, Descriptor::layer(None, diff_id, tar.source.size()))),
            (None, _, None) if !self.destination.is_near() => {
                let diff_id = write_layer(&tar.source, &mut std::io::sink(), Path::new("nowhere"), &Meter::default())?;
                Some((diff_id, Descriptor::layer(None, diff_id, tar.source.size())))
            }
            _ => None,
        };
        let (diff_id, descriptor, put) = match known {
            Some((diff_id, descriptor)) => {
                let kept = tar.blobs.clone().filter(|_| self.packing.is_some()).map(|blobs| (blobs, descriptor.digest));
                let content: Arc<dyn Content> =
                    Arc::new(Packable { source: tar.source.clone(), packing: self.packing, kept });
                let put = self.destination.put(&descriptor, &content)?;
                self.meter.add_bytes(usize::try_from(tar.source.size()).unwrap_or(usize::MAX));
                (diff_id, descriptor, put)
            }
            None => {
                let (packed, put) = self.destination.put_given(&mut |out| self.give(tar, out))?;
                let codec = self.packing.map(|packing| packing.codec);
                (packed.diff_id, Descriptor::layer(codec, packed.digest, packed.size), put)
            }
        };
        let descriptor = Descriptor { annotations: tar.annotations.clone(), ..descriptor };
        Ok(Placed { descriptor, diff_id: Some(diff_id), put })
    }

    fn give(&self, tar: &Tar, out: &mut (dyn std::io::Write + Send)) -> Result<Packed> {
        let path = Path::new("blob");
        let packed = match self.team {
            Some(team) => pack_kept(&tar.source, team, out, path, self.meter, tar.blobs.as_ref())?,
            None => {
                let diff_id = write_layer(&tar.source, out, path, self.meter)?;
                Packed { diff_id, digest: diff_id, size: tar.source.size() }
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
