//! What a fuzzer drives of this crate, and what must hold whatever it finds: layer files and records of the cache are read as
//! they are written.

use crate::layer_cache::Facts;
use crate::{FileIndex, LAYER_FORMAT, LAYER_FORMAT_VERSION, LayerFile};
use layerstone_store::{decode, encode, to_text};
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
    }
}
