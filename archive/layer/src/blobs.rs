//! Compressed layers, kept in a cache by their digests, so that nobody has to compress them again.
//!
//! A blob is read and hashed whole before it is used: a damaged one is removed, and made again.

use crate::{Part, Result};
use layerstone_stage::{Cache, Digest, Hasher, Kind, Output};
use std::fs::File;
use std::io::{self, Read, Write};
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
        let path = self.cache.path(Kind::Blob, digest);
        let mut file = self.cache.open_file(Kind::Blob, digest).ok()?;
        let (mut hasher, mut buffer, mut size) = (Hasher::default(), vec![0; 1 << 18], 0);
        loop {
            match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => {
                    hasher.update(&buffer[..count]);
                    size += count as u64;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return None,
            }
        }
        if hasher.finish() != *digest {
            self.cache.forget(Kind::Blob, digest);
            return None;
        }
        self.cache.used(Kind::Blob, digest);
        Some(Part::new(Arc::new(file), path, 0, size))
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
            // What cannot be kept is made again the next time.
            let _ = keeping.keep(digest);
        }
    }

    /// Something to write a blob to besides where it goes, to be kept once its digest is known.
    pub fn keeping<'a>(&self, out: &'a mut (dyn Write + Send)) -> Keeping<'a> {
        Keeping { out, kept: self.cache.begin_blob().ok(), cache: Arc::clone(&self.cache) }
    }
}

/// Writes to two places. That one of them, the cache, cannot be written is no error.
pub struct Keeping<'a> {
    out: &'a mut (dyn Write + Send),
    kept: Option<Output>,
    cache: Arc<Cache>,
}

impl Keeping<'_> {
    /// Keeps what was written, which has this digest.
    ///
    /// # Errors
    ///
    /// It cannot be kept.
    pub fn keep(self, digest: &Digest) -> Result<()> {
        match self.kept {
            Some(output) => Ok(self.cache.finish_blob(output, digest)?),
            None => Ok(()),
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

    #[test]
    fn what_is_kept_is_found_unless_it_is_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Arc::new(Cache::open(dir.path()).unwrap());
        let (blobs, digest) = (Blobs::of(&cache), Digest::of(b"blob"));
        assert!(blobs.find(&digest).is_none());
        let mut out = Vec::new();
        let mut keeping = blobs.keeping(&mut out);
        keeping.write_all(b"blob").unwrap();
        keeping.keep(&digest).unwrap();
        assert_eq!(out, b"blob");
        let mut found = String::new();
        blobs.find(&digest).unwrap().reader().read_to_string(&mut found).unwrap();
        assert_eq!(found, "blob");
        std::fs::write(cache.path(Kind::Blob, &digest), "blab").unwrap();
        assert!(blobs.find(&digest).is_none() && !cache.path(Kind::Blob, &digest).exists());
        drop(blobs.keeping(&mut out));
        assert_eq!(cache.room().unwrap().map(|(_, room)| room.files), [0; 3]);
    }
}
