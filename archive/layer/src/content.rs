//! Writes the bytes of a blob from any offset, as often as needed. Does not know where they go.

use crate::{
    BlobCache, CompressionParams, CompressorPool, Error, Progress, Result, Source, compress_cached, write_layer,
};
use layerstone_store::Digest;
use layerstone_tar::Part;
use std::fmt::Debug;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// The bytes of a blob, the same each time they are read.
pub trait Content: Send + Sync + Debug {
    /// Writes the bytes from this offset on.
    ///
    /// # Errors
    ///
    /// They cannot be read, or not be written.
    fn write_to(&self, from: u64, out: &mut (dyn Write + Send)) -> Result<()>;
}

impl Content for Vec<u8> {
    fn write_to(&self, from: u64, out: &mut (dyn Write + Send)) -> Result<()> {
        let from = usize::try_from(from).unwrap_or(usize::MAX).min(self.len());
        out.write_all(&self[from..]).map_err(written())
    }
}

impl Content for Part {
    fn write_to(&self, from: u64, out: &mut (dyn Write + Send)) -> Result<()> {
        let mut reader = self.reader();
        reader.seek(SeekFrom::Start(from)).map_err(Error::read(self.name()))?;
        let mut buffer = vec![0; 1 << 18];
        loop {
            match reader.read(&mut buffer).map_err(Error::read(self.name()))? {
                0 => return Ok(()),
                count => out.write_all(&buffer[..count]).map_err(written())?,
            }
        }
    }
}

/// A tar that is made, and compressed, each time its bytes are read.
#[derive(Clone, Debug)]
pub(crate) struct TarContent {
    pub source: Source,
    /// How it is compressed, if it is.
    pub params: Option<CompressionParams>,
    /// The cache of its blob, and the blob's digest.
    pub cached: Option<(BlobCache, Digest)>,
}

impl Content for TarContent {
    fn write_to(&self, from: u64, out: &mut (dyn Write + Send)) -> Result<()> {
        if let Some(part) = self.cached.as_ref().and_then(|(blobs, digest)| blobs.find(digest)) {
            return part.write_to(from, out);
        }
        if from > 0
            && let Some((blobs, digest)) = &self.cached
        {
            // Whoever asks for a part asks for more of them.
            self.write_to(0, &mut io::sink())?;
            if let Some(part) = blobs.find(digest) {
                return part.write_to(from, out);
            }
        }
        let mut out = SkipWriter { out, left: from };
        let (path, progress) = (Path::new(Error::BLOB), Progress::default());
        match self.params {
            None => drop(write_layer(&self.source, &mut out, path, &progress)?),
            Some(params) => {
                let (threads, blobs) = (rayon::current_num_threads(), self.cached.as_ref().map(|(blobs, _)| blobs));
                CompressorPool::with(params, threads, |pool| {
                    compress_cached(&self.source, pool, &mut out, path, &progress, blobs)
                })?;
            }
        }
        Ok(())
    }
}

/// Drops the bytes at the beginning.
struct SkipWriter<'a> {
    out: &'a mut (dyn Write + Send),
    left: u64,
}

impl Write for SkipWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let skipped = usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len());
        if skipped > 0 {
            self.left -= skipped as u64;
            return Ok(skipped);
        }
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The receiver of a blob knows better what it is.
fn written() -> impl FnOnce(io::Error) -> Error {
    Error::write(Path::new(Error::BLOB))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_any_offset() {
        let tar: Vec<u8> = (0..3_000_000u64).map(|i| ((i * i) >> 9) as u8).collect();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&tar).unwrap();
        let source = Source::blob(file.path()).unwrap();
        let part = Part::new(file.reopen().unwrap().into(), "x", 0, tar.len() as u64);
        let gzip = TarContent { source: source.clone(), params: Some(CompressionParams::GZIP), cached: None };
        let mut packed = Vec::new();
        gzip.write_to(0, &mut packed).unwrap();
        let mut plain = Vec::new();
        flate2::read::MultiGzDecoder::new(&packed[..]).read_to_end(&mut plain).unwrap();
        assert!(plain == tar);
        let contents: [(&dyn Content, &[u8]); 4] = [
            (&tar.clone(), &tar),
            (&part, &tar),
            (&TarContent { source, params: None, cached: None }, &tar),
            (&gzip, &packed),
        ];
        for (content, bytes) in contents {
            for from in [0, 1, 1 << 20, bytes.len() - 1, bytes.len()] {
                let mut out = Vec::new();
                content.write_to(from as u64, &mut out).unwrap();
                assert!(out == bytes[from..], "{from}");
            }
        }
    }
}
