//! A layer on its way into an image: its tar, and what is known of it.

use crate::Result;
use layerstone_image::LayerFacts;
use layerstone_layer::{BlobCache, CompressionParams, LayerFile, Recipe, Source};
use layerstone_oci::Descriptor;
use layerstone_store::{Digest, StorePath};
use layerstone_tar::Part;
use std::path::{Path, PathBuf};

/// A layer on its way into an image.
pub struct ImageLayer {
    /// The bytes of its tar.
    pub source: Source,
    /// Diff ID, if it is known.
    pub expected: Option<Digest>,
    /// What messages call it.
    pub label: PathBuf,
    /// The store paths that it holds; none for a customisation layer.
    pub store_paths: Vec<StorePath>,
    /// What the history says about it; none for what the store paths tell.
    pub comment: Option<String>,
    /// What is known of it compressed.
    pub blob: Option<LayerBlob>,
    /// What makes it from the store, if that is to be remembered.
    pub recipe: Option<Recipe>,
    /// Where it is kept when it is compressed.
    pub blobs: Option<BlobCache>,
}

/// A layer as registries keep it.
pub enum LayerBlob {
    /// What it is when it is compressed so.
    Packed(CompressionParams, Descriptor),
    /// It is there.
    Stored(Descriptor, Part),
}

impl ImageLayer {
    /// A layer without store paths.
    pub fn new(source: Source, expected: Option<Digest>, label: impl Into<PathBuf>) -> ImageLayer {
        let label = label.into();
        ImageLayer {
            source,
            expected,
            label,
            store_paths: Vec::new(),
            comment: None,
            blob: None,
            recipe: None,
            blobs: None,
        }
    }

    /// Whether it is known what it is when it is compressed so, or it goes as it is.
    pub fn is_packed(&self, packing: CompressionParams) -> bool {
        match &self.blob {
            Some(LayerBlob::Packed(known, _)) => *known == packing,
            Some(LayerBlob::Stored(..)) => true,
            None => false,
        }
    }

    /// A layer that is this tar, as its layer file says.
    pub(crate) fn of_tar(tar: &Path, layer: &LayerFile, label: &str) -> Result<ImageLayer> {
        Ok(ImageLayer::new(Source::blob(tar)?, Some(layer.diff_id), label))
    }

    /// What an image says about it.
    pub(crate) fn facts(&self, diff_id: Digest) -> LayerFacts {
        let paths: Vec<&str> = self.store_paths.iter().map(StorePath::as_str).collect();
        match &self.comment {
            Some(comment) => LayerFacts::new(diff_id, comment),
            None if paths.is_empty() => LayerFacts::customisation(diff_id),
            None => LayerFacts::of_paths(diff_id, &paths),
        }
    }
}
