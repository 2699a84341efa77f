//! Images that are there: their configs, and their layers as tars that can be read, whatever holds them.
//!
//! Everything is checked against what names it: the config and compressed layers when they are opened or unpacked, a
//! plain layer by whoever reads it from front to back, who knows its diff ID.

use crate::architecture::{go_architecture, host_architecture};
use crate::blobs::Blobs;
use crate::decompression::MAGIC_LEN;
use crate::hashing::Hashing;
use crate::listed::{Blob, Listed, StoredManifest, choose, label};
use crate::manifest::MANIFEST_NAME;
use crate::unpacked::{MaxUnpacked, copy};
use crate::{Compression, Error, Location, Result, docker_archive, oci_layout};
use layerstone_layer::{LayerTree, Meter, Part, Source, Tree, digest_all};
use layerstone_oci::{Descriptor, INDEX_NAME, blob_name};
use layerstone_stage::{Digest, Error as StageError, Hasher};
use rayon::prelude::*;
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufReader, Read, Write};
use std::path::Path;
use std::sync::Arc;

/// Bytes read of a layer at a time for its headers; contents are passed over, so that more would be read in vain.
const HEADERS: usize = 16 * 1024;

/// A file or folder of images: a docker archive, an OCI archive, or the folder of an OCI layout.
#[derive(Debug)]
pub struct ImageFile {
    blobs: Blobs,
    images: Vec<Listed>,
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
    blob: Option<Digest>,
    /// Whether its tar was checked against the diff ID.
    is_checked: bool,
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
        Ok(ImageFile { blobs, images })
    }

    /// How all of it is compressed.
    pub fn compression(&self) -> Compression {
        self.blobs.compression()
    }

    /// All images that are there, in the order of the table of contents.
    pub fn images(&self) -> Result<Vec<StoredImage>> {
        let there = self.images.iter().filter(|image| image.is_there);
        there.map(|image| self.stored(image, label_of(self.blobs.path(), image))).collect()
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
        self.stored(image, location.to_string())
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

    fn stored(&self, image: &Listed, name: String) -> Result<StoredImage> {
        let config_bytes = image.config.read(&self.blobs)?;
        let config: Value = serde_json::from_slice(&config_bytes)
            .map_err(|e| self.blobs.error(format!("{}: not JSON: {e}", image.config.name)))?;
        let layers = image.with_diff_ids(&config, &self.blobs)?;
        let layers: Result<_> = layers.into_iter().map(|(blob, id)| self.layer(blob, id)).collect();
        Ok(StoredImage {
            name,
            references: image.references.clone(),
            image_id: Digest::of(&config_bytes),
            config_bytes,
            config,
            layers: layers?,
            manifest: image.manifest.clone(),
        })
    }

    fn layer(&self, blob: &Blob, diff_id: Digest) -> Result<StoredLayer> {
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
        let read = |(number, layer): (u32, &StoredLayer)| {
            let tar = BufReader::with_capacity(HEADERS, layer.part.reader());
            LayerTree::read_nth(tar, number).map_err(Error::layer(layer.part.name()))
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

/// Unpacks those of some layers that are compressed, as [`StoredImage::unpack`] does; of several errors the first one by
/// order is told, not by time.
pub(crate) fn unpack_all(layers: &mut [StoredLayer], max: MaxUnpacked, done: &(dyn Fn(usize) + Sync)) -> Result<()> {
    // A layer that stands twice is unpacked once.
    let mut first: BTreeMap<(&str, Digest), usize> = BTreeMap::new();
    let packed = layers.iter().enumerate().filter(|(_, layer)| layer.compression != Compression::None);
    let same: Vec<(usize, usize)> =
        packed.map(|(at, layer)| (at, *first.entry((&layer.name, layer.diff_id)).or_insert(at))).collect();
    let unpack = |&(at, first): &(usize, usize)| (at == first).then(|| layers[at].unpack(max, done));
    let unpacked: Vec<Option<Result<Part>>> = same.par_iter().map(unpack).collect();
    for ((at, first), part) in same.into_iter().zip(unpacked) {
        layers[at].part = part.unwrap_or_else(|| Ok(layers[first].part.clone()))?;
        (layers[at].compression, layers[at].is_checked) = (Compression::None, true);
    }
    Ok(())
}

impl StoredLayer {
    fn unpack(&self, max: MaxUnpacked, done: &(dyn Fn(usize) + Sync)) -> Result<Part> {
        unpack(&self.part, self.compression, self.blob, self.diff_id, max, done)
    }
}

/// Unpacks a blob into a temporary file, whatever compressed it; its bytes and its tar are compared with their digests.
///
/// # Errors
///
/// It cannot be read or unpacked, is not what it must be, or has more bytes than it may.
pub fn unpack_blob(blob: &Part, digest: Digest, diff_id: Digest, max: MaxUnpacked) -> Result<Part> {
    let mut magic = Vec::new();
    let read = blob.reader().take(MAGIC_LEN as u64).read_to_end(&mut magic);
    read.map_err(StageError::io("read", blob.name()))?;
    unpack(blob, Compression::of(&magic), Some(digest), diff_id, max, &|_| ())
}

fn unpack(
    part: &Part,
    compression: Compression,
    blob: Option<Digest>,
    diff_id: Digest,
    max: MaxUnpacked,
    done: &(dyn Fn(usize) + Sync),
) -> Result<Part> {
    let name = part.name();
    let unpacking = || StageError::io("unpack", name);
    let mut file = tempfile::tempfile().map_err(unpacking())?;
    let mut compressed = Hashing::new(part.reader());
    let mut hasher = Hasher::default();
    let mut reader = compression.reader(BufReader::with_capacity(1 << 17, &mut compressed)).map_err(unpacking())?;
    let size = copy(&mut reader, name, max.of(Some(part.size())), |bytes| {
        hasher.update(bytes);
        done(bytes.len());
        file.write_all(bytes)
    })?;
    drop(reader);
    let wrong = |found, expected| Error::Digest { path: name.to_owned(), found, expected };
    if let Some(expected) = blob {
        let found = compressed.finish().map_err(unpacking())?;
        if found != expected {
            return Err(wrong(found, expected));
        }
    }
    match hasher.finish() {
        found if found == diff_id => Ok(Part::new(Arc::new(file), name, 0, size)),
        found => Err(wrong(found, diff_id)),
    }
}

fn label_of(path: &Path, image: &Listed) -> String {
    match image.references.first() {
        Some(reference) => format!("{}#{reference}", path.display()),
        None => label(path, &image.config.name),
    }
}
