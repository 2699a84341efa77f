//! Images that are there: their configs, and their layers as tars that can be read, whatever holds them.
//!
//! Everything is checked against what names it: the config and compressed layers when they are opened or unpacked, a
//! plain layer by whoever reads it from front to back, who knows its diff ID.

use crate::architecture::{go_architecture, host_architecture};
use crate::blobs::Blobs;
use crate::decompression::MAGIC_LEN;
use crate::limits::{MAX_DESCRIPTIONS, MAX_LAYERS};
use crate::listed::{Blob, Listed, StoredManifest, choose, label};
use crate::manifest::MANIFEST_NAME;
use crate::unpacked::MaxUnpacked;
use crate::unpacking::unpack_all;
use crate::{Compression, Error, Location, Result, docker_archive, oci_layout};
use layerstone_layer::{Allowance, LayerTree, Meter, Part, Source, Tree, digest_all};
use layerstone_oci::{Descriptor, INDEX_NAME, blob_name};
use layerstone_stage::{Digest, Error as StageError};
use rayon::prelude::*;
use serde_json::Value;
use std::io::{BufReader, Read};
use std::path::Path;

/// Bytes read of a layer at a time for its headers; contents are passed over, so that more would be read in vain.
const HEADERS: usize = 16 * 1024;

/// A file or folder of images: a docker archive, an OCI archive, or the folder of an OCI layout.
#[derive(Debug)]
pub struct ImageFile {
    blobs: Blobs,
    images: Vec<Listed>,
    max: MaxUnpacked,
}

/// An image in it.
#[derive(Clone, Debug)]
pub struct StoredImage {
    /// What messages call it.
    pub name: String,
    /// What it is called there, `NAME:TAG`; in an OCI layout a name may be all or a tag.
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
    pub(crate) max: MaxUnpacked,
}

/// A layer of such an image.
#[derive(Clone, Debug)]
pub struct StoredLayer {
    /// Its name in the file or folder.
    pub name: String,
    /// sha256 that its tar must have.
    pub diff_id: Digest,
    /// How it is compressed.
    pub compression: Compression,
    /// Its bytes: as they are there, or once it is unpacked, its tar.
    pub part: Part,
    /// Its bytes as they are there.
    pub stored: Part,
    /// What an old docker archive says about it, the `json` beside `layer.tar`.
    pub legacy: Option<Vec<u8>>,
    /// sha256 that the bytes must have, if that is told.
    pub(crate) blob: Option<Digest>,
    /// Whether its tar was checked against the diff ID.
    pub(crate) is_checked: bool,
}

impl ImageFile {
    /// Opens a file, compressed or not (`-` is standard input), or a folder.
    ///
    /// # Errors
    ///
    /// It cannot be read, holds no image, or unpacks to more than it may.
    pub fn open(path: &Path, max: MaxUnpacked) -> Result<ImageFile> {
        let blobs = Blobs::open(path, max)?;
        // `docker save` writes both since version 25; the manifest knows the names as docker does.
        let images = if blobs.has(MANIFEST_NAME) && matches!(blobs, Blobs::Tar(_)) {
            docker_archive::images(&blobs)?
        } else if blobs.has(INDEX_NAME) {
            oci_layout::images(&blobs)?
        } else {
            let cause = format!("found no {MANIFEST_NAME} of a docker archive and no {INDEX_NAME} of an OCI layout");
            return Err(blobs.error(cause));
        };
        Ok(ImageFile { blobs, images, max })
    }

    /// How all of it is compressed.
    pub fn compression(&self) -> Compression {
        self.blobs.compression()
    }

    /// What a reader should be told of it, if anything: bytes behind the compressed data that were passed over.
    pub fn warning(&self) -> Option<String> {
        let Blobs::Tar(tar) = &self.blobs else { return None };
        tar.has_garbage.then(|| format!("unpacked, trailing garbage ignored: {}", tar.path.display()))
    }

    /// All images that are there, in the order of the table of contents.
    pub fn images(&self) -> Result<Vec<StoredImage>> {
        let there = self.images.iter().filter(|image| image.is_there);
        let mut kept = Kept::default();
        there.map(|image| self.stored(image, label_of(self.blobs.path(), image), &mut kept)).collect()
    }

    /// The image that is meant: the only one, or the one of this name and tag, exactly; among images for several
    /// platforms that of Linux on the architecture, by any of its names, or on this machine's, of this variant.
    ///
    /// # Errors
    ///
    /// None is meant or several are, or something of it is not there or not what it must be.
    pub fn image(&self, location: &Location, architecture: Option<&str>, variant: Option<&str>) -> Result<StoredImage> {
        let (architecture, told) = match architecture {
            Some(name) => go_architecture(name).unwrap_or((name, None)),
            None => (host_architecture(), None),
        };
        let image = choose(&self.images, location, architecture, variant.or(told))?;
        self.stored(image, location.to_string(), &mut Kept::default())
    }

    /// Of an OCI layout, the manifest or the index that is meant, with its bytes and what it is called there.
    ///
    /// # Errors
    ///
    /// It is no OCI layout; none is meant, or several are.
    pub fn listed(&self, location: &Location) -> Result<(Descriptor, Vec<u8>, Vec<String>)> {
        if !self.blobs.has(INDEX_NAME) {
            return Err(self.blobs.error(format!("found no {INDEX_NAME}, expected an OCI layout")));
        }
        oci_layout::listed(&self.blobs, location)
    }

    /// A blob of an OCI layout; its bytes are not looked at.
    ///
    /// # Errors
    ///
    /// It is not there.
    pub fn blob(&self, digest: &Digest) -> Result<Part> {
        self.blobs.part(&blob_name(digest))
    }

    /// The bytes of a manifest or index of an OCI layout, which are not compared with the digest.
    ///
    /// # Errors
    ///
    /// It is not there, or larger than such pieces may be.
    pub fn small_blob(&self, digest: &Digest) -> Result<Vec<u8>> {
        self.blobs.bytes(&blob_name(digest))
    }

    fn stored(&self, image: &Listed, name: String, kept: &mut Kept) -> Result<StoredImage> {
        let config_bytes = image.config.read(&self.blobs)?;
        kept.add(config_bytes.len(), image.layers.len()).map_err(|cause| self.blobs.error(cause))?;
        let config: Value = serde_json::from_slice(&config_bytes)
            .map_err(|e| self.blobs.error(format!("{}: not JSON: {e}", image.config.name)))?;
        let layers = image.with_diff_ids(&config, &self.blobs)?;
        let layers: Result<_> = layers.into_iter().map(|(blob, id)| self.layer(blob, id, kept)).collect();
        Ok(StoredImage {
            name,
            references: image.references.clone(),
            image_id: Digest::of(&config_bytes),
            config_bytes,
            config,
            layers: layers?,
            manifest: image.manifest.clone(),
            max: self.max,
        })
    }

    fn layer(&self, blob: &Blob, diff_id: Digest, kept: &mut Kept) -> Result<StoredLayer> {
        let part = self.blobs.part(&blob.name)?;
        blob.check_size(part.size(), &self.blobs)?;
        let mut magic = Vec::new();
        let read = part.reader().take(MAGIC_LEN as u64).read_to_end(&mut magic);
        read.map_err(StageError::io("read", self.blobs.path()))?;
        let compression = Compression::of(&magic);
        if compression == Compression::None {
            blob.check_digest(diff_id, &self.blobs)?;
        }
        let folder = blob.name.strip_suffix("/layer.tar");
        let json = folder.map(|folder| format!("{folder}/json")).filter(|name| self.blobs.has(name));
        let legacy = json.map(|name| self.blobs.bytes(&name)).transpose()?;
        let bytes = legacy.as_ref().map_or(0, Vec::len);
        kept.add(bytes, 0).map_err(|cause| self.blobs.error(cause))?;
        Ok(StoredLayer {
            name: blob.name.clone(),
            diff_id,
            compression,
            stored: part.clone(),
            part,
            legacy,
            blob: blob.digest,
            is_checked: false,
        })
    }
}

/// What is kept in memory of the images of a file.
#[derive(Default)]
pub(crate) struct Kept {
    bytes: usize,
    layers: usize,
}

impl Kept {
    /// Counts bytes of JSON, and layers; the error says what was found.
    pub(crate) fn add(&mut self, bytes: usize, layers: usize) -> Result<(), String> {
        self.bytes = self.bytes.saturating_add(bytes);
        self.layers = self.layers.saturating_add(layers);
        if self.bytes > MAX_DESCRIPTIONS {
            return Err(format!("found configs and descriptions of layers of more than {MAX_DESCRIPTIONS} bytes"));
        }
        match self.layers > MAX_LAYERS {
            true => Err(format!("found {} layers, expected at most {MAX_LAYERS}", self.layers)),
            false => Ok(()),
        }
    }
}

impl StoredImage {
    /// Unpacks the compressed layers into temporary files, several at once, and checks their bytes; afterwards all are
    /// plain. `done` is told how many bytes were written.
    ///
    /// # Errors
    ///
    /// A layer cannot be unpacked, is not what it must be, or has more bytes than it may.
    pub fn unpack(&mut self, max: MaxUnpacked, done: &(dyn Fn(usize) + Sync)) -> Result<()> {
        unpack_all(&mut self.layers, max, done)
    }

    /// The bytes of its layers as they are there, bottom first.
    pub fn parts(&self) -> Vec<Part> {
        self.layers.iter().map(|layer| layer.part.clone()).collect()
    }

    /// Checks the tars of the layers against their diff IDs, several at once, as far as that was not done when they were
    /// unpacked.
    ///
    /// # Errors
    ///
    /// A layer, which is plain, cannot be read or is not what it must be.
    pub fn check(&self, meter: &Meter) -> layerstone_layer::Result<()> {
        let unchecked: Vec<&StoredLayer> = self.layers.iter().filter(|layer| !layer.is_checked).collect();
        let sources: Vec<Source> = unchecked.iter().map(|layer| Source::Part(layer.part.clone())).collect();
        let found = digest_all(&sources.iter().collect::<Vec<_>>(), &|_, _, _| Ok(()), meter)?;
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
        let allowance = Allowance::default();
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
}

impl StoredImage {
    /// Checks that files of its [`tree`](StoredImage::tree) may be written: their holes count as if they were unpacked.
    ///
    /// # Errors
    ///
    /// They have more bytes of holes than the image may have when it is unpacked.
    pub fn check_holes(&self, tree: &Tree) -> Result<()> {
        self.check_zeros(tree.holes())
    }

    /// Checks bytes of holes that are to be written as zeros. Layers are plain.
    pub(crate) fn check_zeros(&self, found: u64) -> Result<()> {
        let sizes = self.layers.iter().map(|layer| layer.part.size());
        let limit = self.max.of(Some(sizes.fold(0, u64::saturating_add)));
        match found > limit {
            true => Err(Error::Holes { name: self.name.clone(), found, limit }),
            false => Ok(()),
        }
    }
}

fn label_of(path: &Path, image: &Listed) -> String {
    match image.references.first() {
        Some(reference) => format!("{}#{reference}", path.display()),
        None => label(path, &image.config.name),
    }
}
