//! The tables of an image's layers in zstd:chunked, and what a client fetches of them that has another image.

use crate::stored::StoredLayer;
use crate::{Error, Result, StoredImage};
use layerstone_layer::{ChunkTable, ChunkedFile, Fetch, KnownContents, TablePosition};
use layerstone_oci::Descriptor;
use layerstone_store::Hasher;
use rayon::prelude::*;
use std::collections::HashSet;
use std::io::{BufReader, Read, Seek, SeekFrom};

/// Bytes that are unpacked at a time.
const BUFFER: usize = 128 << 10;

/// What a client fetches of an image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ImageFetch {
    /// Of layers that have tables.
    pub chunks: Fetch,
    /// Bytes of layers that have none, which are fetched whole.
    pub whole: u64,
}

impl ImageFetch {
    /// All bytes.
    pub fn bytes(&self) -> u64 {
        self.chunks.bytes().saturating_add(self.whole)
    }
}

impl StoredImage {
    /// The tables of its layers, bottom first; none of a layer that has none.
    ///
    /// # Errors
    ///
    /// A table cannot be read, or is not what the annotations of its layer say.
    pub fn chunk_tables(&self) -> Result<Vec<Option<ChunkTable>>> {
        self.described_layers().map(|(layer, descriptor)| self.table(layer, descriptor)).collect()
    }

    fn table(&self, layer: &StoredLayer, descriptor: Option<&Descriptor>) -> Result<Option<ChunkTable>> {
        let Some(position) = descriptor.and_then(|it| TablePosition::of(&it.annotations)) else { return Ok(None) };
        let name = layer.stored.name();
        let wrong = |cause: String| Error::Layer { name: name.to_owned(), cause };
        let (span, size) = (position.manifest, layer.stored.size());
        if span.offset.checked_add(span.size).is_none_or(|end| end > size) {
            return Err(wrong(format!(
                "found a zstd:chunked table of {} bytes at {}, expected it in {size} bytes",
                span.size, span.offset
            )));
        }
        let mut reader = layer.stored.reader();
        let mut manifest = Vec::new();
        let read = reader.seek(SeekFrom::Start(span.offset));
        let read = read.and_then(|_| reader.take(span.size).read_to_end(&mut manifest));
        read.map_err(layerstone_tar::Error::read(name))?;
        let table = ChunkTable::read(&manifest, &position, &self.limits());
        table.map(Some).map_err(|error| wrong(error.to_string()))
    }

    /// Compares what the tables of its layers lead to with the digests that they have, several layers at once.
    ///
    /// # Errors
    ///
    /// As [`chunk_tables`](StoredImage::chunk_tables); or a frame cannot be unpacked, is not what its digest says, or has more
    /// bytes than the layer may.
    pub fn check_tables(&self) -> Result<()> {
        let layers: Vec<_> = self.layers.iter().zip(self.chunk_tables()?).collect();
        let check = |(layer, table): &(&StoredLayer, Option<ChunkTable>)| {
            let files = table.iter().flat_map(|table| &table.files);
            files.clone().try_for_each(|file| self.check_file(layer, file))
        };
        layers.par_iter().try_for_each(check)
    }

    fn check_file(&self, layer: &StoredLayer, file: &ChunkedFile) -> Result<()> {
        let wrong = |cause: String| Error::Layer { name: layer.stored.name().to_owned(), cause };
        let most = self.limits().unpacked(Some(layer.stored.size()));
        let (mut whole, mut buffer, mut unpacked) = (Hasher::default(), vec![0; BUFFER], 0);
        for chunk in &file.chunks {
            let mut reader = layer.stored.reader();
            let found = |error| wrong(format!("zstd:chunked contents at {}: {error}", chunk.offset));
            reader.seek(SeekFrom::Start(chunk.offset)).map_err(found)?;
            let frame = BufReader::new(reader.take(chunk.end - chunk.offset));
            let mut contents = zstd::stream::read::Decoder::with_buffer(frame).map_err(found)?;
            let mut hasher = Hasher::default();
            loop {
                let count = contents.read(&mut buffer).map_err(found)?;
                unpacked += count as u64;
                if count == 0 {
                    break;
                }
                if unpacked > most {
                    return Err(wrong(format!("found contents of more than {most} bytes (limit unpacked)")));
                }
                hasher.update(&buffer[..count]);
                whole.update(&buffer[..count]);
            }
            let digest = hasher.finish();
            if let Some(expected) = chunk.digest.filter(|expected| *expected != digest) {
                return Err(wrong(format!("found a chunk of {digest} at {}, expected {expected}", chunk.offset)));
            }
        }
        let digest = whole.finish();
        if digest != file.digest {
            let (at, expected) = (file.chunks[0].offset, file.digest);
            return Err(wrong(format!("found a file of {digest} at {at}, expected {expected}")));
        }
        Ok(())
    }

    /// What a client fetches that knows tables and has another image; none if no layer that it fetches has a table.
    ///
    /// # Errors
    ///
    /// As [`chunk_tables`](StoredImage::chunk_tables), of either image.
    pub fn fetch_beside(&self, old: &StoredImage) -> Result<Option<ImageFetch>> {
        let mut present: HashSet<_> = old.layers.iter().map(|layer| layer.diff_id).collect();
        let mut known = KnownContents::default();
        old.chunk_tables()?.iter().flatten().for_each(|table| known.add(table));
        let (mut fetch, mut has_table) = (ImageFetch::default(), false);
        for (layer, table) in self.layers.iter().zip(self.chunk_tables()?) {
            if !present.insert(layer.diff_id) {
                continue;
            }
            has_table |= table.is_some();
            match table {
                Some(table) => fetch.chunks += known.fetch(&table),
                None => fetch.whole = fetch.whole.saturating_add(layer.stored.size()),
            }
        }
        Ok(Some(fetch).filter(|_| has_table))
    }
}
