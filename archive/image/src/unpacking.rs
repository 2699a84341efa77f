//! Unpacks the compressed layers of an image into temporary files, several at once.

use crate::decompression::{Trailing, decompress};
use crate::hashing::Hashing;
use crate::unpacked::copy;
use crate::{Compression, Error, Result, StoredLayer};
use layerstone_layer::Progress;
use layerstone_store::{Digest, Error as StageError, Hasher, Limits};
use layerstone_tar::Part;
use rayon::prelude::*;
use std::collections::BTreeMap;
use std::io::{BufReader, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes to which the layers of an image may be unpacked together, and how many have been.
struct Budget {
    limit: u64,
    used: AtomicU64,
}

impl Budget {
    /// Takes some bytes for a layer.
    fn take(&self, bytes: usize, layer: &Path) -> Result<()> {
        let bytes = bytes as u64;
        let used = self.used.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        match used > self.limit {
            true => Err(Error::TooLargeTogether { path: layer.to_owned(), limit: self.limit }),
            false => Ok(()),
        }
    }
}

/// Unpacks those of some layers that are compressed, as [`StoredImage::unpack`](crate::StoredImage::unpack) does; of several errors the first one by
/// order is returned, not by time.
pub(crate) fn unpack_all(layers: &mut [StoredLayer], limits: Limits, progress: &Progress) -> Result<()> {
    // A layer that stands twice is unpacked once.
    let mut first: BTreeMap<(&str, Digest), usize> = BTreeMap::new();
    let packed = layers.iter().enumerate().filter(|(_, layer)| layer.compression != Compression::None);
    let same: Vec<(usize, usize)> =
        packed.map(|(at, layer)| (at, *first.entry((&layer.name, layer.diff_id)).or_insert(at))).collect();
    let sizes = same.iter().filter(|(at, first)| at == first).map(|(at, _)| layers[*at].part.size());
    let budget = Budget { limit: limits.unpacked(Some(sizes.fold(0, u64::saturating_add))), used: AtomicU64::new(0) };
    let unpack = |&(at, first): &(usize, usize)| (at == first).then(|| layers[at].unpack(limits, &budget, progress));
    let unpacked: Vec<Option<Result<Part>>> = same.par_iter().map(unpack).collect();
    for ((at, first), part) in same.into_iter().zip(unpacked) {
        layers[at].part = part.unwrap_or_else(|| Ok(layers[first].part.clone()))?;
        (layers[at].compression, layers[at].is_checked) = (Compression::None, true);
    }
    Ok(())
}

impl StoredLayer {
    fn unpack(&self, limits: Limits, budget: &Budget, progress: &Progress) -> Result<Part> {
        let limit = limits.unpacked(Some(self.part.size()));
        let count = |bytes: usize| {
            progress.count(bytes)?;
            budget.take(bytes, self.part.name())
        };
        unpack(&self.part, self.compression, self.blob, self.diff_id, limit, &count)
    }
}

/// Unpacks a blob into a temporary file, whatever compressed it; its bytes and its tar are compared with their digests.
///
/// # Errors
///
/// It cannot be read or unpacked, is not what it must be, or has more bytes than it may.
pub fn unpack_blob(blob: &Part, digest: Digest, diff_id: Digest, limits: Limits) -> Result<Part> {
    let compression = Compression::peek(blob.reader()).map_err(StageError::io("read", blob.name()))?;
    unpack(blob, compression, Some(digest), diff_id, limits.unpacked(Some(blob.size())), &|_| Ok(()))
}

/// A tar that may have been compressed, and what it was.
#[derive(Debug)]
pub struct FoundTar {
    /// The tar itself.
    pub tar: Part,
    /// sha256 of the tar.
    pub diff_id: Digest,
    /// How it was compressed.
    pub compression: Compression,
    /// sha256 of the bytes that were found.
    pub digest: Digest,
}

/// Unpacks a tar of which nothing is known, as one layer must be: with nothing behind its compressed data.
///
/// # Errors
///
/// It cannot be read or unpacked, or has more bytes than it may.
pub fn unpack_tar(blob: &Part, limits: Limits) -> Result<FoundTar> {
    let compression = Compression::peek(blob.reader()).map_err(StageError::io("read", blob.name()))?;
    if compression == Compression::None {
        let digest = Hashing::new(blob.reader()).finish().map_err(StageError::io("read", blob.name()))?;
        return Ok(FoundTar { tar: blob.clone(), diff_id: digest, compression, digest });
    }
    let (tar, digest, diff_id) = unpacked(blob, compression, true, limits.unpacked(Some(blob.size())), &|_| Ok(()))?;
    Ok(FoundTar { tar, diff_id, compression, digest: digest.expect("it was asked for") })
}

fn unpack(
    part: &Part,
    compression: Compression,
    blob: Option<Digest>,
    diff_id: Digest,
    limit: u64,
    count: &dyn Fn(usize) -> Result<()>,
) -> Result<Part> {
    let (tar, digest, found) = unpacked(part, compression, blob.is_some(), limit, count)?;
    let wrong = |found, expected| Error::Digest { path: part.name().to_owned(), found, expected };
    match (digest.zip(blob), found) {
        (Some((found, expected)), _) if found != expected => Err(wrong(found, expected)),
        (_, found) if found != diff_id => Err(wrong(found, diff_id)),
        _ => Ok(tar),
    }
}

/// The tar of a blob in a temporary file, the digest of the blob if that is wanted, and that of the tar.
fn unpacked(
    part: &Part,
    compression: Compression,
    is_hashed: bool,
    limit: u64,
    count: &dyn Fn(usize) -> Result<()>,
) -> Result<(Part, Option<Digest>, Digest)> {
    let name = part.name();
    let unpacking = || StageError::io("unpack", name);
    let mut file = tempfile::tempfile().map_err(unpacking())?;
    let mut compressed = Hashing::new(part.reader());
    let mut hasher = Hasher::default();
    let buffered = BufReader::with_capacity(1 << 17, &mut compressed);
    let mut reader = decompress(compression, buffered, Trailing::Refused).map_err(unpacking())?;
    let size = copy(&mut reader, name, limit, |bytes| {
        count(bytes.len())?;
        hasher.update(bytes);
        Ok(file.write_all(bytes).map_err(unpacking())?)
    })?;
    drop(reader);
    let digest = if is_hashed { Some(compressed.finish().map_err(unpacking())?) } else { None };
    Ok((Part::new(Arc::new(file), name, 0, size), digest, hasher.finish()))
}
