//! The tables of an image's layers in zstd:chunked, and what a client fetches of them that has another image.

use crate::stored::StoredLayer;
use crate::{Error, Result, StoredImage};
use layerstone_layer::{ChunkTable, Fetch, KnownContents, TablePosition};
use layerstone_oci::Descriptor;
use std::collections::HashSet;
use std::io::{Read, Seek, SeekFrom};

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
