//! Compressed layers, kept in a cache by their digests, so that nobody has to compress them again.
//!
//! A blob is read and hashed whole before it is used: a damaged one is removed, and made again.

use crate::{Meter, Packed, Result, Source, Team, pack, write_layer};
use layerstone_store::{Cache, Digest, Kind, Output};
use layerstone_tar::Part;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

/// The blobs of a cache.
#[derive(Clone, Debug)]
pub struct Blobs {
    cache: Arc<Cache>,
}

impl Blobs {
    /// The blobs of this cache.
    pub fn of(cache: &Arc<Cache>) -> Blobs {
        Blobs { cache: Arc::clone(cache) }
    }

    /// A blob that is kept, and whole.
    pub fn find(&self, digest: &Digest) -> Option<Part> {
        let file = self.cache.open_file(Kind::Blob, digest).ok()?;
        let size = file.metadata().ok()?.len();
        let part = Part::new(Arc::new(file), self.cache.path(Kind::Blob, digest), 0, size);
        let found = write_layer(&Source::Part(part.clone()), &mut io::sink(), part.name(), &Meter::default()).ok()?;
        if found != *digest {
            self.cache.forget(Kind::Blob, digest);
            return None;
        }
        self.cache.used(Kind::Blob, digest);
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
        let mut keeping = self.keeping(&mut nowhere);
        if io::copy(&mut reader, &mut keeping).is_ok() {
            keeping.keep(digest);
        }
    }

    /// Something to write a blob to besides where it goes, to be kept once its digest is known.
    fn keeping<'a>(&self, out: &'a mut (dyn Write + Send)) -> Keeping<'a> {
        Keeping { out, kept: self.cache.begin_blob().ok(), cache: Arc::clone(&self.cache) }
    }
}

/// [`pack`], and keeps the blob if there is where; that it cannot be kept is no error.
///
/// # Errors
///
/// Those of [`pack`].
pub fn pack_kept(
    source: &Source,
    team: &Team,
    out: &mut (dyn Write + Send),
    path: &Path,
    meter: &Meter,
    blobs: Option<&Blobs>,
) -> Result<Packed> {
    let Some(blobs) = blobs else { return pack(source, team, out, path, meter) };
    let mut keeping = blobs.keeping(out);
    let packed = pack(source, team, &mut keeping, path, meter)?;
    keeping.keep(&packed.digest);
    Ok(packed)
}

/// Writes to two places. That one of them, the cache, cannot be written is no error.
struct Keeping<'a> {
    out: &'a mut (dyn Write + Send),
    kept: Option<Output>,
    cache: Arc<Cache>,
}

impl Keeping<'_> {
    /// Keeps what was written, which has this digest.
    fn keep(self, digest: &Digest) {
        if let Some(output) = self.kept {
            // What cannot be kept is made again the next time.
            let _ = self.cache.finish_blob(output, digest);
        }
    }
}

impl Write for Keeping<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.out.write(bytes)?;
        if let Some(output) = &mut self.kept
            && output.write_all(&bytes[..count]).is_err()
        {
            self.kept = None;
        }
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
        let (blobs, digest) = (Blobs::of(&cache), Digest::of(b"blob"));
        assert!(blobs.find(&digest).is_none());
        let mut out = Vec::new();
        let mut keeping = blobs.keeping(&mut out);
        keeping.write_all(b"blob").unwrap();
        keeping.keep(&digest);
        assert_eq!(out, b"blob");
        let mut found = String::new();
        blobs.find(&digest).unwrap().reader().read_to_string(&mut found).unwrap();
        assert_eq!(found, "blob");
        std::fs::write(cache.path(Kind::Blob, &digest), "blab").unwrap();
        assert!(blobs.find(&digest).is_none() && !cache.path(Kind::Blob, &digest).exists());
        drop(blobs.keeping(&mut out));
        assert_eq!(cache.contents().unwrap().kinds.map(|(_, room)| room.files), [0; 3]);
    }
}
