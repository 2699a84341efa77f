//! The bytes of a blob, wherever they come from.

use crate::{Error, Result};
use layerstone_layer::{Blobs, Error as LayerError, Meter, Packing, Source, Team, pack_kept, write_layer};
use layerstone_store::Digest;
use layerstone_tar::Part;
use std::fmt::Debug;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

/// Bytes that can be had as often as wanted, the same each time.
pub trait Content: Send + Sync + Debug {
    /// Writes the bytes from this offset on.
    ///
    /// # Errors
    ///
    /// They cannot be had, or not be written.
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
        reader.seek(SeekFrom::Start(from)).map_err(LayerError::read(self.name()))?;
        let mut buffer = vec![0; 1 << 18];
        loop {
            match reader.read(&mut buffer).map_err(LayerError::read(self.name()))? {
                0 => return Ok(()),
                count => out.write_all(&buffer[..count]).map_err(written())?,
            }
        }
    }
}

/// A layer that is made, and compressed, whenever its bytes are asked for.
#[derive(Clone, Debug)]
pub struct Packable {
    /// The tar.
    pub source: Source,
    /// How it is compressed, if it is.
    pub packing: Option<Packing>,
    /// Where it is kept, and its digest.
    pub kept: Option<(Blobs, Digest)>,
}

impl Content for Packable {
    fn write_to(&self, from: u64, out: &mut (dyn Write + Send)) -> Result<()> {
        if let Some(part) = self.kept.as_ref().and_then(|(blobs, digest)| blobs.find(digest)) {
            return part.write_to(from, out);
        }
        let mut out = Skipping { out, left: from };
        let (path, meter) = (Path::new("blob"), Meter::default());
        match self.packing {
            None => drop(write_layer(&self.source, &mut out, path, &meter)?),
            Some(packing) => {
                let (threads, blobs) = (rayon::current_num_threads(), self.kept.as_ref().map(|(blobs, _)| blobs));
                Team::with(packing, threads, |team| pack_kept(&self.source, team, &mut out, path, &meter, blobs))?;
            }
        }
        Ok(())
    }
}

/// Passes over the bytes at the beginning.
struct Skipping<'a> {
    out: &'a mut (dyn Write + Send),
    left: u64,
}

impl Write for Skipping<'_> {
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
    |e| Error::Layer(LayerError::write(Path::new("blob"))(e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use layerstone_layer::Codec;

    #[test]
    fn from_any_offset() {
        let tar: Vec<u8> = (0..3_000_000u64).map(|i| ((i * i) >> 9) as u8).collect();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&tar).unwrap();
        let source = Source::blob(file.path()).unwrap();
        let part = Part::new(file.reopen().unwrap().into(), "x", 0, tar.len() as u64);
        let gzip = Packable { source: source.clone(), packing: Some(Codec::Gzip.into()), kept: None };
        let mut packed = Vec::new();
        gzip.write_to(0, &mut packed).unwrap();
        let mut plain = Vec::new();
        flate2::read::MultiGzDecoder::new(&packed[..]).read_to_end(&mut plain).unwrap();
        assert!(plain == tar);
        let contents: [(&dyn Content, &[u8]); 4] = [
            (&tar.clone(), &tar),
            (&part, &tar),
            (&Packable { source, packing: None, kept: None }, &tar),
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
