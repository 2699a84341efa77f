//! Images of a file that is open: their configs, and their layers as tars that can be read, whatever holds them.
//!
//! Everything is checked against what names it: the config and compressed layers when they are opened or unpacked, a
//! plain layer by whoever reads it from front to back, who knows its diff ID.

use crate::unpacking::unpack_all;
use crate::{Compression, Error, Result};
use layerstone_layer::{Blob, Layer, Progress, Source, digest_all};
use layerstone_oci::{Config, Descriptor, Image, Reference, StoredManifest, drop_annotations_of_bytes, media_type};
use layerstone_store::{Digest, Limit, Limits};
use layerstone_tar::{Allowance, LayerTree, Node, Part, Tree, UnionReader};
use rayon::prelude::*;
use serde_json::Value;
use std::io::{BufReader, Write};
use std::iter::repeat;
use std::sync::Arc;

/// Bytes read of a layer at a time for its headers; contents are passed over, so that more would be read in vain.
const HEADERS: usize = 16 * 1024;

/// Modification time of what an archive of such an image holds besides layers, in seconds since the epoch.
pub(crate) const MTIME: i64 = 1;

/// An image of a file or directory.
#[derive(Clone, Debug)]
pub struct StoredImage {
    /// What messages call it.
    pub name: String,
    /// What its file calls it, `NAME:TAG`; in an OCI layout a name may be all or a tag.
    pub references: Vec<String>,
    /// sha256 of the config: what docker calls the image ID.
    pub image_id: Digest,
    /// The config's bytes.
    pub config_bytes: Vec<u8>,
    /// The config.
    pub config: Value,
    /// Its layers, bottom first.
    pub layers: Vec<StoredLayer>,
    /// Its manifest, which describes them in the same order; a docker archive has none.
    pub manifest: Option<StoredManifest>,
    /// How much of it may be unpacked.
    pub(crate) limits: Limits,
}

/// A layer of such an image.
#[derive(Clone, Debug)]
pub struct StoredLayer {
    /// Its name in the file or directory.
    pub name: String,
    /// sha256 that its tar must have.
    pub diff_id: Digest,
    /// How it is compressed.
    pub compression: Compression,
    /// Its bytes: as they are stored, or once it is unpacked, its tar.
    pub part: Part,
    /// Its bytes as they are stored.
    pub stored: Part,
    /// What an old docker archive says about it, the `json` beside `layer.tar`.
    pub legacy: Option<Vec<u8>>,
    /// sha256 that the bytes must have, if that is stated.
    pub(crate) blob: Option<Digest>,
    /// Whether its tar was checked against the diff ID.
    pub(crate) is_checked: bool,
}

/// What is kept in memory of the images of a file.
pub(crate) struct Kept {
    limits: Limits,
    bytes: u64,
    layers: u64,
}

impl Kept {
    /// At the beginning of a file.
    pub(crate) fn new(limits: Limits) -> Kept {
        Kept { limits, bytes: 0, layers: 0 }
    }

    /// Counts bytes of JSON, and layers; the error says what was found.
    pub(crate) fn add(&mut self, bytes: usize, layers: usize) -> Result<(), String> {
        self.bytes = self.bytes.saturating_add(bytes as u64);
        self.layers = self.layers.saturating_add(layers as u64);
        self.limits.check(Limit::Descriptions, self.bytes)?;
        Ok(self.limits.check(Limit::Layers, self.layers)?)
    }
}

impl StoredLayer {
    /// The layer; its tar is there only if it is plain.
    fn layer(&self) -> Layer {
        let layer = Layer::of_tar(Source::Part(self.part.clone()), Some(self.diff_id), self.part.name());
        Layer { tar: layer.tar.filter(|_| self.compression == Compression::None), ..layer }
    }

    /// The layer, which goes as it is stored.
    fn with_blob(&self, descriptor: Descriptor) -> Layer {
        Layer { blob: Some(Blob::Stored(descriptor, Arc::new(self.stored.clone()))), ..self.layer() }
    }
}

impl StoredImage {
    /// Unpacks the compressed layers into temporary files, several at once, and checks their bytes; afterwards all are
    /// plain. `progress` counts the bytes that were written.
    ///
    /// # Errors
    ///
    /// A layer cannot be unpacked, is not what it must be, or has more bytes than it may.
    pub fn unpack(&mut self, limits: Limits, progress: &Progress) -> Result<()> {
        unpack_all(&mut self.layers, limits, progress)
    }

    /// The image as it goes, byte for byte, if it has a manifest; none if it has none.
    pub fn as_stored(&self, name: Option<Reference>) -> Option<Image<'static>> {
        let manifest = self.manifest.clone()?;
        let described = self.layers.iter().zip(&manifest.manifest.layers);
        let layers = described.map(|(layer, descriptor)| layer.with_blob(descriptor.clone())).collect();
        Some(Image { layers, manifest: Some(manifest), ..self.plain(name) })
    }

    /// The image of its layers, which are plain, as tars: with its config, and a manifest that is made.
    pub fn plain(&self, name: Option<Reference>) -> Image<'static> {
        let manifest = self.manifest.as_ref().map(|stored| &stored.manifest);
        let layer = |(layer, descriptor): (&StoredLayer, Option<&Descriptor>)| {
            let mut annotations = descriptor.map(|it| it.annotations.clone()).unwrap_or_default();
            drop_annotations_of_bytes(&mut annotations);
            Layer { annotations, ..layer.layer() }
        };
        Image {
            name,
            layers: self.described_layers().map(layer).collect(),
            config: Config::Bytes(self.config_bytes.clone()),
            manifest: None,
            annotations: manifest.map(|manifest| manifest.annotations.clone()).unwrap_or_default(),
            mtime: MTIME,
            compression: None,
        }
    }

    /// Its layers, which are plain, for an image on top of it; what is described as a blob goes as it is, under the media
    /// type that OCI has for docker's.
    pub fn layers_below(&self) -> Vec<Layer> {
        let layer = |(layer, descriptor): (&StoredLayer, Option<&Descriptor>)| match descriptor {
            None => layer.layer(),
            Some(it) => {
                layer.with_blob(Descriptor { media_type: media_type::layer_in_oci(&it.media_type), ..it.clone() })
            }
        };
        self.described_layers().map(layer).collect()
    }

    /// Its layers, and what its manifest says of each, if it has one.
    pub(crate) fn described_layers(&self) -> impl Iterator<Item = (&StoredLayer, Option<&Descriptor>)> {
        let descriptors = self.manifest.iter().flat_map(|stored| &stored.manifest.layers);
        self.layers.iter().zip(descriptors.map(Some).chain(repeat(None)))
    }

    /// What it was opened with.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// The bytes of its layers as they are now, bottom first.
    pub fn parts(&self) -> Vec<Part> {
        self.layers.iter().map(|layer| layer.part.clone()).collect()
    }

    /// Layers that nobody has compared with their digests yet, which [`StoredImage::check`] does.
    pub fn unchecked(&self) -> impl Iterator<Item = &StoredLayer> {
        self.layers.iter().filter(|layer| !layer.is_checked)
    }

    /// Checks the tars of the layers against their diff IDs, several at once, as far as that was not done when they were
    /// unpacked.
    ///
    /// # Errors
    ///
    /// A layer, which is plain, cannot be read or is not what it must be.
    pub fn check(&self, progress: &Progress) -> layerstone_layer::Result<()> {
        let unchecked: Vec<&StoredLayer> = self.unchecked().collect();
        let sources: Vec<Source> = unchecked.iter().map(|layer| Source::Part(layer.part.clone())).collect();
        let found = digest_all(&sources.iter().collect::<Vec<_>>(), &|_, _, _| Ok(()), progress)?;
        match unchecked.iter().zip(found).find(|(layer, found)| layer.diff_id != *found) {
            None => Ok(()),
            Some((layer, found)) => {
                let (path, expected) = (layer.part.name().to_owned(), layer.diff_id);
                Err(layerstone_layer::Error::Digest { path, found, expected })
            }
        }
    }

    /// The files that a container of the image sees, read from the headers of its layers, which are plain.
    ///
    /// # Errors
    ///
    /// A layer cannot be read, is no tar, or does not fit the ones below it.
    pub fn tree(&self) -> Result<Tree> {
        let allowance = Allowance::new(self.limits);
        let read = |(number, layer): (u32, &StoredLayer)| {
            let tar = BufReader::with_capacity(HEADERS, layer.part.reader());
            LayerTree::read_nth(tar, number, &allowance).map_err(Error::layer(layer.part.name()))
        };
        let numbered: Vec<(u32, &StoredLayer)> = (0..).zip(&self.layers).collect();
        let layers: Result<Vec<LayerTree>> = numbered.into_par_iter().map(read).collect();
        let mut tree = Tree::default();
        for (layer, stored) in layers?.into_iter().zip(&self.layers) {
            let wrong = |cause: String| Error::Layer { name: stored.part.name().to_owned(), cause };
            tree.put(layer).map_err(|e| wrong(e.to_string()))?;
        }
        Ok(tree)
    }

    /// Checks that files of its [`tree`](StoredImage::tree) may be written: their holes count as if they were unpacked.
    ///
    /// # Errors
    ///
    /// They have more bytes of holes than the image may have when it is unpacked.
    pub fn check_holes(&self, tree: &Tree) -> Result<()> {
        self.check_zeros(tree.holes())
    }

    /// Writes the contents of a regular file of its [`tree`](StoredImage::tree). Layers are plain.
    ///
    /// # Errors
    ///
    /// A layer cannot be read or is not what it was, the file has more holes than the image may have when it is unpacked, or
    /// writing fails.
    pub fn copy_file(&self, node: &Node, out: &mut dyn Write) -> Result<()> {
        let parts = self.parts();
        let reader = UnionReader(&parts);
        self.check_zeros(reader.holes(node)?)?;
        reader.copy(node, out).map_err(Error::layer(self.name.as_ref()))
    }

    /// Checks bytes of holes that are to be written as zeros. Layers are plain.
    fn check_zeros(&self, found: u64) -> Result<()> {
        let sizes = self.layers.iter().map(|layer| layer.part.size());
        let limit = self.limits.unpacked(Some(sizes.fold(0, u64::saturating_add)));
        match found > limit {
            true => Err(Error::Holes { name: self.name.clone(), found, limit }),
            false => Ok(()),
        }
    }
}
