//! Layers as the blobs that registries keep: compressed, with the digests of the tar and of the blob from one pass.

use crate::compress::BLOCK;
use crate::{BlockWriter, Error, Meter, Result, Source, Team, chain};
use layerstone_store::{Digest, Hasher};
use rayon::prelude::*;
use std::cmp::Reverse;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

/// A layer that was compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packed {
    /// sha256 of the tar.
    pub diff_id: Digest,
    /// sha256 of the compressed tar.
    pub digest: Digest,
    /// Size of the compressed tar in bytes.
    pub size: u64,
}

/// Compresses a layer into `out`, which `path` names in messages; reading, hashing, compressing and writing overlap.
/// `meter` counts the bytes of the tar.
///
/// # Errors
///
/// The layer cannot be read, or `out` cannot be written.
pub fn pack(source: &Source, team: &Team, out: &mut (dyn Write + Send), path: &Path, meter: &Meter) -> Result<Packed> {
    let stop = AtomicBool::new(false);
    pack_until(source, team, out, path, meter, &stop)
}

/// Compresses layers, the biggest first, as many at once as the current rayon pool has threads; each into what `output`
/// makes for its index. The results are in the order of the layers.
///
/// # Errors
///
/// As for [`pack`], and those of `output`; the rest is called off then.
pub fn pack_all<'a>(
    sources: &[&Source],
    team: &Team,
    output: &(dyn Fn(usize) -> (Box<dyn Write + Send + 'a>, &'a Path) + Sync),
    meter: &Meter,
) -> Result<Vec<Packed>> {
    let mut order: Vec<usize> = (0..sources.len()).collect();
    order.sort_by_key(|&i| (Reverse(sources[i].size()), i));
    let stop = AtomicBool::new(false);
    let pack = |index: usize| {
        let (mut out, path) = output(index);
        let result = pack_until(sources[index], team, &mut *out, path, meter, &stop);
        if result.is_err() {
            stop.store(true, Ordering::Relaxed);
        }
        meter.add_layer();
        (index, result)
    };
    let results: Vec<(usize, Result<Packed>)> = order.into_iter().par_bridge().map(pack).collect();
    crate::digest::in_order(results)
}

fn pack_until(
    source: &Source,
    team: &Team,
    out: &mut (dyn Write + Send),
    path: &Path,
    meter: &Meter,
    stop: &AtomicBool,
) -> Result<Packed> {
    let mut out = Counting::new(out);
    let diff_id = if source.size() <= BLOCK as u64 {
        let mut tar = Vec::new();
        source.reader()?.read_to_end(&mut tar).map_err(|e| told(e, path))?;
        meter.add_bytes(tar.len());
        let block = team.compress_small(&tar).and_then(|block| out.write_all(&block));
        block.map_err(Error::write(path))?;
        Digest::of(&tar)
    } else {
        let mut hasher = Hasher::default();
        let produce = |blocks: &mut BlockWriter| {
            let tap = |_, bytes: &[u8]| {
                meter.add_bytes(bytes.len());
                if stop.load(Ordering::Relaxed) { Err(Error::CalledOff) } else { Ok(()) }
            };
            chain::run(source, &tap, &mut |bytes| {
                hasher.update(bytes);
                blocks.write_all(bytes).map_err(Error::write(path))
            })
        };
        let (read, _) = team.compress(&mut out, produce).map_err(Error::write(path))?;
        read?;
        hasher.finish()
    };
    let (digest, size) = out.finish();
    Ok(Packed { diff_id, digest, size })
}

/// The reader's own error, which went through [`io::Error`].
fn told(error: io::Error, path: &Path) -> Error {
    error.downcast::<Error>().unwrap_or_else(Error::read(path))
}

/// Hashes and counts what goes through.
pub struct Counting<'a> {
    out: &'a mut (dyn Write + Send),
    hasher: Hasher,
    size: u64,
}

impl<'a> Counting<'a> {
    /// What goes through goes on to `out`.
    pub fn new(out: &'a mut (dyn Write + Send)) -> Counting<'a> {
        Counting { out, hasher: Hasher::default(), size: 0 }
    }

    /// The sha256 of all that went through, and how many bytes that were.
    pub fn finish(self) -> (Digest, u64) {
        (self.hasher.finish(), self.size)
    }
}

impl Write for Counting<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Codec, Layout, Packing};
    use layerstone_tar::{Owner, walk_tree};
    use std::sync::Mutex;

    fn layer(size: usize) -> (tempfile::TempDir, Source) {
        let dir = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..size).map(|i| (i * i / 7) as u8).collect();
        std::fs::write(dir.path().join("x"), bytes).unwrap();
        let layout = Layout::gnu_numeric(walk_tree(dir.path(), false).unwrap(), 1, &Owner::numeric_root());
        (dir, Source::from(layout))
    }

    fn tar(source: &Source) -> Vec<u8> {
        let mut tar = Vec::new();
        source.reader().unwrap().read_to_end(&mut tar).unwrap();
        tar
    }

    fn unpacked(codec: Codec, blob: &[u8]) -> Vec<u8> {
        match codec {
            Codec::Gzip => {
                let mut tar = Vec::new();
                flate2::read::MultiGzDecoder::new(blob).read_to_end(&mut tar).unwrap();
                tar
            }
            Codec::Zstd => zstd::decode_all(blob).unwrap(),
        }
    }

    /// Sizes around a block, at every level's ends; several teams give the same blobs.
    #[test]
    fn digests_of_both_from_one_pass() {
        let (_dirs, sources): (Vec<_>, Vec<_>) =
            [0, 100, BLOCK - 10_240, BLOCK, 3_000_000].into_iter().map(layer).unzip();
        let sources: Vec<&Source> = sources.iter().collect();
        for (codec, level) in
            [(Codec::Gzip, 1), (Codec::Gzip, 5), (Codec::Gzip, 12), (Codec::Zstd, 1), (Codec::Zstd, 19)]
        {
            let run = |threads: usize| {
                let blobs: Vec<Mutex<Vec<u8>>> = sources.iter().map(|_| Mutex::default()).collect();
                struct Into<'a>(&'a Mutex<Vec<u8>>);
                impl Write for Into<'_> {
                    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                        self.0.lock().unwrap().write(bytes)
                    }
                    fn flush(&mut self) -> io::Result<()> {
                        Ok(())
                    }
                }
                let meter = Meter::default();
                let packed = Team::with(Packing { codec, level }, threads, |team| {
                    pack_all(&sources, team, &|index| (Box::new(Into(&blobs[index])), Path::new("x")), &meter).unwrap()
                });
                assert_eq!(meter.bytes(), sources.iter().map(|source| source.size()).sum::<u64>());
                let blobs: Vec<Vec<u8>> = blobs.into_iter().map(|blob| blob.into_inner().unwrap()).collect();
                (packed, blobs)
            };
            let (packed, blobs) = run(1);
            assert_eq!((&packed, &blobs), (&run(8).0, &run(8).1));
            for ((packed, blob), source) in packed.iter().zip(&blobs).zip(&sources) {
                let tar = tar(source);
                assert!(unpacked(codec, blob) == tar);
                let expected = Packed { diff_id: Digest::of(&tar), digest: Digest::of(blob), size: blob.len() as u64 };
                assert_eq!(*packed, expected);
            }
        }
    }

    #[test]
    fn a_file_that_is_gone() {
        for size in [100, 3_000_000] {
            let (dir, source) = layer(size);
            std::fs::remove_file(dir.path().join("x")).unwrap();
            let pack = |team: &Team| pack(&source, team, &mut io::sink(), Path::new("out"), &Meter::default());
            let error = Team::with(Codec::Gzip.into(), 2, pack).unwrap_err();
            assert!(matches!(error, Error::Tar(layerstone_tar::Error::Read { .. })), "{error}");
        }
    }
}
