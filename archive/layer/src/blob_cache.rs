//! Keeps compressed layers in a cache, by their digests, so that they need not be compressed again.
//!
//! A blob is read and hashed whole before it is used: a damaged one is removed, and compressed again.

use crate::{CompressedBlob, CompressorPool, Content, Progress, Result, Source, compress_layer, write_layer};
use layerstone_store::{Cache, CacheKind, Digest, Output};
use layerstone_tar::Part;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

/// The blobs of a cache.
#[derive(Clone, Debug)]
pub struct BlobCache {
    cache: Arc<Cache>,
}

impl BlobCache {
    /// The blobs of this cache.
    pub fn new(cache: &Arc<Cache>) -> BlobCache {
        BlobCache { cache: Arc::clone(cache) }
    }

    /// A blob that is kept, and whole.
    pub fn find(&self, digest: &Digest) -> Option<Part> {
        let Ok(file) = self.cache.open_file(CacheKind::Blob, digest) else {
            tracing::debug!(target: "layerstone::cache", "blob {digest}: not kept");
            return None;
        };
        let size = file.metadata().ok()?.len();
        let part = Part::new(Arc::new(file), self.cache.path(CacheKind::Blob, digest), 0, size);
        let found =
            write_layer(&Source::Part(part.clone()), &mut io::sink(), part.name(), &Progress::default()).ok()?;
        if found != *digest {
            self.cache.forget(CacheKind::Blob, digest);
            tracing::info!(target: "layerstone::cache", "blob {digest}: damaged, and removed");
            return None;
        }
        self.cache.used(CacheKind::Blob, digest);
        tracing::debug!(target: "layerstone::cache", bytes = size, "blob {digest}: kept");
        Some(part)
    }

    /// Keeps a copy of a file of this digest and size in bytes; that it cannot be kept is no error.
    pub fn copy(&self, file: &File, digest: &Digest, size: u64) {
        // A device or a pipe does not give back what was written.
        if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
            return;
        }
        let Ok(file) = file.try_clone() else { return };
        let mut reader = Part::new(Arc::new(file), "blob", 0, size).reader();
        let mut nowhere = io::sink();
        let mut tee = self.tee(&mut nowhere);
        if io::copy(&mut reader, &mut tee).is_ok() {
            tee.keep(digest);
        }
    }

    /// The content of a blob that is far away, which is kept when it is read as a whole, and then read here.
    pub fn kept(&self, content: &Arc<dyn Content>, digest: Digest) -> Arc<dyn Content> {
        Arc::new(KeptContent { content: Arc::clone(content), blobs: self.clone(), digest })
    }

    /// Writes a blob to `out` and into a temporary file of the cache, which is kept once the digest is known.
    fn tee<'a>(&self, out: &'a mut (dyn Write + Send)) -> TeeWriter<'a> {
        TeeWriter { out, keeping: Keeping::begin(Some(self)) }
    }
}

/// [`compress_layer`], which also keeps the blob in a cache if there is one; an error of the cache is ignored.
///
/// # Errors
///
/// Those of [`compress_layer`].
pub fn compress_cached(
    source: &Source,
    pool: &CompressorPool,
    out: &mut (dyn Write + Send),
    path: &Path,
    progress: &Progress,
    blobs: Option<&BlobCache>,
) -> Result<CompressedBlob> {
    let Some(blobs) = blobs else { return compress_layer(source, pool, out, path, progress) };
    let mut tee = blobs.tee(out);
    let packed = compress_layer(source, pool, &mut tee, path, progress)?;
    tee.keep(&packed.digest);
    Ok(packed)
}

/// See [`BlobCache::kept`].
#[derive(Debug)]
struct KeptContent {
    content: Arc<dyn Content>,
    blobs: BlobCache,
    digest: Digest,
}

impl Content for KeptContent {
    fn write_to(&self, from: u64, out: &mut (dyn Write + Send)) -> Result<()> {
        if let Some(part) = self.blobs.find(&self.digest) {
            return part.write_to(from, out);
        }
        if from > 0 {
            return self.content.write_to(from, out);
        }
        let mut tee = self.blobs.tee(out);
        self.content.write_to(0, &mut tee)?;
        tee.keep(&self.digest);
        Ok(())
    }
}

/// Writes to an output and to the cache; errors of the cache are ignored.
struct TeeWriter<'a> {
    out: &'a mut (dyn Write + Send),
    keeping: Keeping,
}

impl TeeWriter<'_> {
    /// Keeps what was written under its digest.
    fn keep(self, digest: &Digest) {
        self.keeping.keep(digest);
    }
}

/// A blob on its way into a temporary file of a cache; errors of the cache are ignored, since what cannot be kept is made
/// again the next time.
#[derive(Debug)]
pub(crate) struct Keeping(Option<(Output, Arc<Cache>)>);

impl Keeping {
    /// Begins a blob; without a cache nothing is kept.
    pub(crate) fn begin(blobs: Option<&BlobCache>) -> Keeping {
        Keeping(blobs.and_then(|blobs| Some((blobs.cache.begin_blob().ok()?, Arc::clone(&blobs.cache)))))
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) {
        if let Some((output, _)) = &mut self.0
            && output.write_all(bytes).is_err()
        {
            self.0 = None;
        }
    }

    /// Keeps what was written under its digest.
    pub(crate) fn keep(self, digest: &Digest) {
        if let Some((output, cache)) = self.0 {
            let _ = cache.finish_blob(output, digest);
        }
    }
}

impl Write for TeeWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        self.keeping.write(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn what_is_kept_is_found_unless_it_is_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Arc::new(Cache::open(dir.path()).unwrap());
        let (blobs, digest) = (BlobCache::new(&cache), Digest::of(b"blob"));
        assert!(blobs.find(&digest).is_none());
        let mut out = Vec::new();
        let mut tee = blobs.tee(&mut out);
        tee.write_all(b"blob").unwrap();
        tee.keep(&digest);
        assert_eq!(out, b"blob");
        let mut found = String::new();
        blobs.find(&digest).unwrap().reader().read_to_string(&mut found).unwrap();
        assert_eq!(found, "blob");
        std::fs::write(cache.path(CacheKind::Blob, &digest), "blab").unwrap();
        assert!(blobs.find(&digest).is_none() && !cache.path(CacheKind::Blob, &digest).exists());
        drop(blobs.tee(&mut out));
        assert_eq!(cache.contents().unwrap().kinds.map(|(_, room)| room.files), [0; 4]);
    }

    /// A blob that breaks off as often as it likes, and counts how often it is read.
    #[derive(Debug, Default)]
    struct Remote {
        reads: std::sync::atomic::AtomicUsize,
        breaks: std::sync::atomic::AtomicBool,
    }

    impl Content for Remote {
        fn write_to(&self, from: u64, out: &mut (dyn Write + Send)) -> Result<()> {
            self.reads.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let breaks = self.breaks.load(std::sync::atomic::Ordering::Relaxed);
            let end = if breaks { 2 } else { 4 };
            out.write_all(&b"blob"[from as usize..end]).unwrap();
            let wrong = || crate::Error::NoTar { label: "x".into() };
            if breaks { Err(wrong()) } else { Ok(()) }
        }
    }

    #[test]
    fn what_is_fetched_is_kept_once_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Arc::new(Cache::open(dir.path()).unwrap());
        let (blobs, digest) = (BlobCache::new(&cache), Digest::of(b"blob"));
        let remote = Arc::new(Remote::default());
        let content = blobs.kept(&(Arc::clone(&remote) as Arc<dyn Content>), digest);
        let reads = || remote.reads.load(std::sync::atomic::Ordering::Relaxed);
        let read = |from| {
            let mut out = Vec::new();
            content.write_to(from, &mut out).map(|()| out).map_err(drop)
        };
        remote.breaks.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(read(0).is_err() && blobs.find(&digest).is_none());
        remote.breaks.store(false, std::sync::atomic::Ordering::Relaxed);
        // The rest alone is no blob.
        assert_eq!((read(2), blobs.find(&digest).is_none()), (Ok(b"ob".to_vec()), true));
        assert_eq!((read(0), reads()), (Ok(b"blob".to_vec()), 3));
        assert_eq!((read(1), reads()), (Ok(b"lob".to_vec()), 3));
    }
}
