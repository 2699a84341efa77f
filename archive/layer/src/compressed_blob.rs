//! Compresses layers into blobs, and computes the digests of tar and blob in the same pass.

use crate::chunked::ChunkedWriter;
use crate::compressor_pool::PendingTable;
use crate::digest::biggest_first;
use crate::{
    BlockWriter, CompressionParams, CompressorPool, Descriptor, Error, Progress, Result, Source, TablePosition, chain,
};
use layerstone_store::{Cancel, Digest, Hasher};
use std::io::{self, Write};
use std::path::Path;

/// A layer that was compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompressedBlob {
    /// sha256 of the tar.
    pub diff_id: Digest,
    /// sha256 of the compressed tar.
    pub digest: Digest,
    /// Size of the compressed tar in bytes.
    pub size: u64,
    /// Where its table is, if it has one.
    pub table: Option<TablePosition>,
}

impl CompressedBlob {
    /// What is not compressed, or has no table.
    pub fn without_table(diff_id: Digest, digest: Digest, size: u64) -> CompressedBlob {
        CompressedBlob { diff_id, digest, size, table: None }
    }

    /// What a descriptor says of a layer of this diff ID.
    pub fn of(diff_id: Digest, descriptor: &Descriptor) -> CompressedBlob {
        let Descriptor { digest, size, annotations, .. } = descriptor;
        CompressedBlob { diff_id, digest: *digest, size: *size, table: TablePosition::of(annotations) }
    }

    /// What describes it if it was compressed so, or not at all.
    pub fn descriptor(&self, params: Option<CompressionParams>) -> Descriptor {
        let annotations = self.table.map(|table| table.annotations()).unwrap_or_default();
        Descriptor { annotations, ..Descriptor::layer(params, self.digest, self.size) }
    }
}

/// Compresses a layer into `out`, which `path` names in messages; reading, hashing, compressing and writing overlap.
/// `progress` counts the bytes of the tar.
///
/// # Errors
///
/// The layer cannot be read, or `out` cannot be written.
pub fn compress_layer(
    source: &Source,
    pool: &CompressorPool,
    out: &mut (dyn Write + Send),
    path: &Path,
    progress: &Progress,
) -> Result<CompressedBlob> {
    compress_until(source, pool, out, path, progress, &Cancel::default())
}

/// Compresses layers, the biggest first, as many at once as the current rayon pool has threads; each into what `output`
/// makes for its index. The results are in the order of the layers.
///
/// # Errors
///
/// As for [`compress_layer`], and those of `output`; the rest is cancelled then.
pub fn compress_all<'a>(
    sources: &[&Source],
    pool: &CompressorPool,
    output: &(dyn Fn(usize) -> (Box<dyn Write + Send + 'a>, &'a Path) + Sync),
    progress: &Progress,
) -> Result<Vec<CompressedBlob>> {
    biggest_first(sources, progress, |index, cancel| {
        let (mut out, path) = output(index);
        let blob = compress_until(sources[index], pool, &mut *out, path, progress, cancel);
        progress.add_layer();
        blob
    })
}

fn compress_until(
    source: &Source,
    pool: &CompressorPool,
    out: &mut (dyn Write + Send),
    path: &Path,
    progress: &Progress,
    cancel: &Cancel,
) -> Result<CompressedBlob> {
    let mut out = DigestWriter::new(out);
    let is_chunked = matches!(pool.params(), CompressionParams::ZstdChunked { .. });
    let (diff_id, table) = if source.size() <= pool.params().block() as u64 && !is_chunked {
        let mut tar = vec![0; source.size() as usize];
        source.reader()?.fill(&mut tar)?;
        progress.count(tar.len())?;
        let block = pool.compress_small(&tar).and_then(|block| out.write_all(&block));
        block.map_err(Error::write(path))?;
        (Digest::of(&tar), None)
    } else {
        let mut hasher = Hasher::default();
        let produce = |blocks: &mut BlockWriter| {
            let tap = |_, bytes: &[u8]| {
                progress.count(bytes.len())?;
                Ok(cancel.check()?)
            };
            if !is_chunked {
                let consume = &mut |bytes: &[u8]| {
                    hasher.update(bytes);
                    blocks.write_all(bytes).map_err(Error::write(path))
                };
                return chain::run(source, &tap, consume).map(|()| None);
            }
            let mut frames = ChunkedWriter::new(blocks, path);
            chain::run(source, &tap, &mut |bytes| {
                hasher.update(bytes);
                frames.write(bytes)
            })?;
            frames.finish().map(Some)
        };
        let (read, _) = pool.compress(&mut out, produce).map_err(Error::write(path))?;
        let table = read?;
        (hasher.finish(), table.and_then(PendingTable::wait))
    };
    let (digest, size) = out.finish();
    Ok(CompressedBlob { diff_id, digest, size, table })
}

/// Passes bytes on to another writer, and hashes and counts them.
pub struct DigestWriter<'a> {
    out: &'a mut (dyn Write + Send),
    hasher: Hasher,
    size: u64,
}

impl<'a> DigestWriter<'a> {
    /// Writes to `out`.
    pub fn new(out: &'a mut (dyn Write + Send)) -> DigestWriter<'a> {
        DigestWriter { out, hasher: Hasher::default(), size: 0 }
    }

    /// The sha256 and the number of the bytes that were written.
    pub fn finish(self) -> (Digest, u64) {
        (self.hasher.finish(), self.size)
    }
}

impl Write for DigestWriter<'_> {
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
    use crate::{CompressionParams, Layout};
    use layerstone_tar::{Owner, walk_tree};
    use std::io::Read;
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

    fn unpacked(params: CompressionParams, blob: &[u8]) -> Vec<u8> {
        match params {
            CompressionParams::Gzip { .. } => {
                let mut tar = Vec::new();
                flate2::read::MultiGzDecoder::new(blob).read_to_end(&mut tar).unwrap();
                tar
            }
            CompressionParams::Zstd { .. } | CompressionParams::ZstdChunked { .. } => zstd::decode_all(blob).unwrap(),
        }
    }

    /// Sizes around a block, at every level's ends; several teams give the same blobs.
    #[test]
    fn digests_of_both_from_one_pass() {
        let (_dirs, sources): (Vec<_>, Vec<_>) =
            [0, 100, (1 << 20) - 10_240, 1 << 20, (4 << 20) - 10_240, 4 << 20, 9_000_000]
                .into_iter()
                .map(layer)
                .unzip();
        let sources: Vec<&Source> = sources.iter().collect();
        let gzip = [1, 5, 12].map(|level| CompressionParams::Gzip { level });
        let zstd = [1, 19].map(|level| CompressionParams::Zstd { level });
        let chunked = [1, 19].map(|level| CompressionParams::ZstdChunked { level });
        for params in gzip.into_iter().chain(zstd).chain(chunked) {
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
                let progress = Progress::default();
                let packed = CompressorPool::with(params, threads, |pool| {
                    compress_all(&sources, pool, &|index| (Box::new(Into(&blobs[index])), Path::new("x")), &progress)
                        .unwrap()
                });
                assert_eq!(progress.bytes(), sources.iter().map(|source| source.size()).sum::<u64>());
                let blobs: Vec<Vec<u8>> = blobs.into_iter().map(|blob| blob.into_inner().unwrap()).collect();
                (packed, blobs)
            };
            let (packed, blobs) = run(1);
            assert_eq!((&packed, &blobs), (&run(8).0, &run(8).1));
            for ((packed, blob), source) in packed.iter().zip(&blobs).zip(&sources) {
                let tar = tar(source);
                assert!(unpacked(params, blob) == tar);
                let expected = CompressedBlob::without_table(Digest::of(&tar), Digest::of(blob), blob.len() as u64);
                assert_eq!(CompressedBlob { table: None, ..*packed }, expected);
                let is_chunked = matches!(params, CompressionParams::ZstdChunked { .. });
                assert_eq!(packed.table.is_some(), is_chunked);
            }
        }
    }

    #[test]
    fn a_file_that_is_gone() {
        for size in [100, 3_000_000] {
            let (dir, source) = layer(size);
            std::fs::remove_file(dir.path().join("x")).unwrap();
            let compress = |pool: &CompressorPool| {
                compress_layer(&source, pool, &mut io::sink(), Path::new("out"), &Progress::default())
            };
            let error = CompressorPool::with(CompressionParams::GZIP, 2, compress).unwrap_err();
            assert!(matches!(error, Error::Tar(layerstone_tar::Error::Read { .. })), "{error}");
        }
    }
}
