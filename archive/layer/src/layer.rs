//! A layer of an image: what is known of it, and how its bytes are read, plain or compressed.

use crate::content::TarContent;
use crate::{BlobCache, CompressionParams, Content, Descriptor, Error, History, LayerFile, Recipe, Result, Source};
use layerstone_store::{Digest, StorePath};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A layer of an image. It has a tar, or a blob with bytes, or both.
#[derive(Clone, Debug, Default)]
pub struct Layer {
    /// What messages call it.
    pub label: PathBuf,
    /// Its tar; none for a layer that only goes as it is.
    pub tar: Option<Source>,
    /// sha256 of its tar (OCI image-spec, config.md, "Layer DiffID"), if it is known.
    pub diff_id: Option<Digest>,
    /// Its blob, if that is known.
    pub blob: Option<Blob>,
    /// The store paths that it holds; none for a customisation layer.
    pub store_paths: Vec<StorePath>,
    /// What the history says about it.
    pub history: History,
    /// Annotations of its descriptor.
    pub annotations: BTreeMap<String, String>,
    /// What makes its tar from the store, if that is to be cached.
    pub recipe: Option<Recipe>,
    /// What identifies how it was made, if an image is to say so: a later build knows it then.
    pub key: Option<Digest>,
    /// The cache of its compressed blob.
    pub blobs: Option<BlobCache>,
}

/// A layer as a manifest describes it.
#[derive(Clone, Debug)]
pub enum Blob {
    /// What compressing the tar with these parameters gives.
    Made(CompressionParams, Descriptor),
    /// What exists, and goes as it is.
    Stored(Descriptor, Arc<dyn Content>),
}

impl Layer {
    /// A layer of a tar, whose digest may be known.
    pub fn of_tar(tar: Source, diff_id: Option<Digest>, label: impl Into<PathBuf>) -> Layer {
        Layer { label: label.into(), tar: Some(tar), diff_id, ..Layer::default() }
    }

    /// A layer of a blob, which goes as it is.
    pub fn of_blob(descriptor: Descriptor, content: Arc<dyn Content>) -> Layer {
        let label = PathBuf::from(descriptor.digest.to_string());
        Layer { label, blob: Some(Blob::Stored(descriptor, content)), ..Layer::default() }
    }

    /// The layer of a layer file whose blob is the tar at this path.
    ///
    /// # Errors
    ///
    /// The tar cannot be read.
    pub fn of_file(file: &LayerFile, tar: &Path, label: &str) -> Result<Layer> {
        let layer = Layer::of_tar(Source::blob(tar)?, Some(file.diff_id), label);
        Ok(Layer { history: file.history.clone(), ..layer })
    }

    /// Its tar.
    ///
    /// # Errors
    ///
    /// Only its blob exists.
    pub fn tar(&self) -> Result<&Source> {
        self.tar.as_ref().ok_or_else(|| Error::NoTar { label: self.label.clone() })
    }

    /// Bytes that are read of it where blobs are kept: those of the blob that exists, or those of the tar.
    pub fn size(&self) -> u64 {
        match (&self.blob, &self.tar) {
            (Some(Blob::Stored(descriptor, _)), _) => descriptor.size,
            (_, tar) => tar.as_ref().map_or(0, Source::size),
        }
    }

    /// What compressing its tar with these parameters gives, if that is known.
    pub fn made(&self, params: CompressionParams) -> Option<&Descriptor> {
        match &self.blob {
            Some(Blob::Made(used, descriptor)) if *used == params => Some(descriptor),
            _ => None,
        }
    }

    /// The bytes of its tar, compressed so if it is; `digest` is that of these bytes, under which a cache may have them.
    ///
    /// # Errors
    ///
    /// Only its blob exists.
    pub fn content(&self, params: Option<CompressionParams>, digest: Digest) -> Result<Arc<dyn Content>> {
        let cached = self.blobs.clone().filter(|_| params.is_some()).map(|blobs| (blobs, digest));
        Ok(Arc::new(TarContent { source: self.tar()?.clone(), params, cached }))
    }

    /// Compares the digest of its tar with the one that it must have, if that is known.
    ///
    /// # Errors
    ///
    /// They are not the same.
    pub fn check(&self, found: Digest) -> Result<()> {
        match self.diff_id {
            Some(expected) if expected != found => Err(Error::Digest { path: self.label.clone(), found, expected }),
            _ => Ok(()),
        }
    }
}
