//! Diff IDs: hashing layers, each a chain of a reader and a hasher, several layers at once, the biggest first.
//!
//! sha256 goes through a layer front to back, and one layer may hold most of an image's bytes: the biggest layer's time
//! is the time of the whole, unless its reading overlaps its hashing and the others are done beside it.

use crate::{Error, Meter, Result, Source, chain};
use layerstone_stage::{Digest, Hasher};
use rayon::prelude::*;
use std::cmp::Reverse;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// Takes a piece of a layer: the layer's index, the piece's offset in the layer, its bytes. The pieces of one layer come
/// in order, those of several layers at the same time.
pub type Sink<'a> = dyn Fn(usize, u64, &[u8]) -> Result<()> + Sync + 'a;

/// Reads and hashes layers, handing every piece to `sink` on the way; the diff IDs in the order of the layers.
///
/// Runs in the current rayon pool, as many layers at once as it has threads. `meter` counts what is done. After an
/// error the rest is called off.
pub fn digest_all(sources: &[&Source], sink: &Sink<'_>, meter: &Meter) -> Result<Vec<Digest>> {
    let mut order: Vec<usize> = (0..sources.len()).collect();
    order.sort_by_key(|&i| (Reverse(sources[i].size()), i));
    let stop = AtomicBool::new(false);
    let digest = |index: usize| {
        let tap = |offset, bytes: &[u8]| {
            if stop.load(Ordering::Relaxed) {
                return Err(Error::CalledOff);
            }
            meter.add_bytes(bytes.len());
            sink(index, offset, bytes)
        };
        let mut hasher = Hasher::default();
        let result = chain::run(sources[index], &tap, &mut |bytes| {
            hasher.update(bytes);
            Ok(())
        });
        if result.is_err() {
            stop.store(true, Ordering::Relaxed);
        }
        meter.add_layer();
        (index, result.map(|()| hasher.finish()))
    };
    // A bridge hands out the layers in this order, one at a time, to whichever thread is free.
    let results: Vec<(usize, Result<Digest>)> = order.into_iter().par_bridge().map(digest).collect();
    in_order(results)
}

/// The digests by index, or the error that made the others be called off.
fn in_order(mut results: Vec<(usize, Result<Digest>)>) -> Result<Vec<Digest>> {
    results.sort_by_key(|(index, result)| (!matches!(result, Err(e) if !matches!(e, Error::CalledOff)), *index));
    results.into_iter().map(|(_, result)| result).collect()
}

/// Writes a layer's bytes and returns its diff ID; `path` names the output in messages, `meter` counts what is done.
///
/// Reading overlaps with hashing and writing.
pub fn write_layer(source: &Source, out: &mut dyn Write, path: &Path, meter: &Meter) -> Result<Digest> {
    let mut hasher = Hasher::default();
    chain::run(source, &|_, _| Ok(()), &mut |bytes| {
        hasher.update(bytes);
        meter.add_bytes(bytes.len());
        out.write_all(bytes).map_err(Error::write(path))
    })?;
    meter.add_layer();
    Ok(hasher.finish())
}
