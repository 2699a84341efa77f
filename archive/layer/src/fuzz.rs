//! What a fuzzer drives of this crate, and what must hold whatever it finds: layer files and records of the cache are read as
//! they are written, and what is compressed is what it was.

use crate::chunked::ChunkedWriter;
use crate::layer_cache::Facts;
use crate::{
    BlockWriter, ChunkTable, CompressionParams, CompressorPool, FileIndex, KnownContents, LAYER_FORMAT,
    LAYER_FORMAT_VERSION, LayerFile, Span, TablePosition,
};
use layerstone_store::{Digest, Limits, decode, encode, to_text};
use std::path::Path;

/// A layer file.
pub fn layer_file(bytes: &[u8]) {
    let Ok(layer) = LayerFile::parse(bytes, "layer") else { return };
    assert!(layer.blob.is_some() != layer.recipe.is_some());
    if let Some(blob) = layer.blob_path(Path::new("/layers/1.layer.json")) {
        assert!(blob.starts_with("/layers"), "{}", blob.display());
    }
    let text = to_text(LAYER_FORMAT, LAYER_FORMAT_VERSION, &layer);
    assert_eq!(LayerFile::parse(text.as_bytes(), "again").ok(), Some(layer));
    for end in (0..text.len() - 1).step_by(13) {
        assert!(LayerFile::parse(&text.as_bytes()[..end], "prefix").is_err(), "{}", &text[..end]);
    }
}

/// A tar in zstd:chunked is the tar in zstd, and if it has a table, that leads to its files; a manifest is read or is an
/// error.
pub fn chunked(bytes: &[u8]) {
    let mut blob = Vec::new();
    let params = CompressionParams::ZstdChunked { level: 1 };
    let write = |blocks: &mut BlockWriter| {
        let mut frames = ChunkedWriter::new(blocks, Path::new("x"));
        // In pieces, as a layer comes.
        bytes.chunks(700).for_each(|piece| frames.write(piece).expect("memory takes it"));
        frames.finish().expect("memory takes it")
    };
    let pending = CompressorPool::with(params, 1, |pool| pool.compress(&mut blob, write)).expect("memory takes it").0;
    assert!(zstd::decode_all(&blob[..]).expect("it is zstd") == bytes);
    let part = |span: Span| &blob[span.offset as usize..(span.offset + span.size) as usize];
    if let Some(position) = pending.wait() {
        let table = ChunkTable::read(part(position.manifest), &position, &Limits::default()).expect("it is ours");
        for file in &table.files {
            let frames = &blob[file.chunks[0].offset as usize..file.chunks[file.chunks.len() - 1].end as usize];
            assert_eq!(Digest::of(&zstd::decode_all(frames).expect("it is zstd")), file.digest);
        }
    }
    let span = Span { offset: 100, size: bytes.len() as u64, plain_size: bytes.len() as u64 };
    // Not compressed, which the fuzzer would have to learn.
    let packed = zstd::encode_all(bytes, 1).expect("memory takes it");
    let position = TablePosition { checksum: Digest::of(&packed), manifest: span, tar_split: span };
    if let Ok(table) = ChunkTable::read(&packed, &position, &Limits::default()) {
        let mut known = KnownContents::default();
        let all = known.fetch(&table);
        assert!(all.contents <= span.offset && all.ranges as usize <= table.files.len());
        known.add(&table);
        assert_eq!(known.fetch(&table).contents, 0);
    }
}

/// What the cache holds of a layer, and of its files.
pub fn cache_records(bytes: &[u8]) {
    if let Some(facts) = decode::<Facts>(bytes) {
        assert_eq!(encode(&facts).as_deref(), Some(bytes));
        assert!((0..bytes.len()).all(|end| decode::<Facts>(&bytes[..end]).is_none()));
    }
    if let Some(index) = FileIndex::from_bytes(bytes) {
        assert_eq!(index.to_bytes().as_deref(), Some(bytes), "{index:?}");
        assert!((0..bytes.len()).all(|end| FileIndex::from_bytes(&bytes[..end]).is_none()));
        let _ = index.differences(&index);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_fuzzing_found_before() {
        xtask::replay("layer_file", super::layer_file);
        xtask::replay("cache_records", super::cache_records);
        xtask::replay("chunked", super::chunked);
    }
}
