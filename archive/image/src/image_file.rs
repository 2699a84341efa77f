//! A file or directory of images, whatever its form: which images it lists, and the one that is meant, opened.

use crate::blobs::Blobs;
use crate::listed::{Blob, Listed, choose, label};
use crate::manifest::MANIFEST_NAME;
use crate::oci_layout::Artifact;
use crate::stored::Kept;
use crate::subjects::Subjects;
use crate::unread::UnreadEntry;
use crate::{Compression, Error, Result, StoredImage, StoredLayer, docker_archive, listed_manifest, oci_layout};
use layerstone_oci::{Descriptor, INDEX_NAME, Location, Platform, Wanted};
use layerstone_store::{Digest, Error as StageError, Limits};
use layerstone_tar::Part;
use serde_json::Value;
use std::path::Path;
use std::sync::OnceLock;

/// A file or directory of images: a docker archive, an OCI archive, the directory of an OCI layout, or a `dir:` directory.
#[derive(Debug)]
pub struct ImageFile {
    blobs: Blobs,
    images: Vec<Listed>,
    artifacts: Vec<Artifact>,
    /// Whether an index.json lists images besides, which may be for other platforms.
    has_index: bool,
    /// What refers to what; of such an index.json once it was read.
    attached: OnceLock<Attached>,
    limits: Limits,
}

/// What a layout lists besides images.
#[derive(Debug)]
struct Attached {
    subjects: Subjects,
    /// What cannot be read.
    unread: Vec<UnreadEntry>,
}

impl ImageFile {
    /// Opens a file, compressed or not (`-` is standard input), or a directory.
    ///
    /// # Errors
    ///
    /// It cannot be read, holds no image, or unpacks to more than it may.
    pub fn open(path: &Path, limits: Limits) -> Result<ImageFile> {
        ImageFile::open_as(path, path, limits)
    }

    /// The same for a file that messages call by another name, such as that of the image which it was made of.
    ///
    /// # Errors
    ///
    /// As for [`ImageFile::open`].
    pub fn open_as(path: &Path, shown: &Path, limits: Limits) -> Result<ImageFile> {
        let blobs = Blobs::open(path, shown, limits)?;
        let is_tar = matches!(blobs, Blobs::Tar(_));
        let has_index = blobs.has(INDEX_NAME);
        // `docker save` writes both since version 25; the manifest knows the names as docker does.
        if is_tar && blobs.has(MANIFEST_NAME) {
            let manifest = blobs.json(MANIFEST_NAME)?;
            // It lists nothing where containerd exports images of other platforms alone.
            if !has_index || manifest.as_array().is_none_or(|images| !images.is_empty()) {
                let images = docker_archive::images(manifest).map_err(|cause| blobs.error(cause))?;
                let attached = OnceLock::new();
                return Ok(ImageFile { blobs, images, artifacts: Vec::new(), has_index, attached, limits });
            }
        } else if !has_index && !blobs.is_flat() {
            let cause = format!("found no {MANIFEST_NAME} of a docker archive and no {INDEX_NAME} of an OCI layout");
            return Err(blobs.error(cause));
        }
        let found = oci_layout::images(&blobs)?;
        Ok(ImageFile::of_layout(blobs, found, limits))
    }

    /// Opens an OCI layout that need hold no image, such as one of signatures alone.
    ///
    /// # Errors
    ///
    /// It cannot be read, or not all of it, or is no layout.
    pub fn open_artifacts(path: &Path, shown: &Path, limits: Limits) -> Result<ImageFile> {
        let blobs = Blobs::open(path, shown, limits)?;
        if !blobs.has(INDEX_NAME) {
            return Err(blobs.error(format!("found no {INDEX_NAME} of an OCI layout")));
        }
        let (_, found) = oci_layout::all(&blobs)?;
        if let Some(UnreadEntry { cause, .. }) = found.unread.first() {
            return Err(blobs.error(cause.clone()));
        }
        Ok(ImageFile::of_layout(blobs, found, limits))
    }

    fn of_layout(blobs: Blobs, found: oci_layout::Found, limits: Limits) -> ImageFile {
        let oci_layout::Found { images, artifacts, subjects, unread, .. } = found;
        let attached = OnceLock::from(Attached { subjects, unread });
        ImageFile { blobs, images, artifacts, has_index: false, attached, limits }
    }

    /// See [`oci_layout::readers_agree`].
    #[cfg(any(test, fuzzing))]
    pub(crate) fn readers_agree(&self) -> Option<bool> {
        oci_layout::readers_agree(&self.blobs)
    }

    /// What may be read of it.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// How all of it is compressed.
    pub fn compression(&self) -> Compression {
        self.blobs.compression()
    }

    /// What a reader should know of it, if anything: bytes behind the compressed data that were passed over.
    pub fn warning(&self) -> Option<String> {
        let Blobs::Tar(tar) = &self.blobs else { return None };
        tar.has_garbage.then(|| format!("unpacked, trailing garbage ignored: {}", tar.path.display()))
    }

    /// All images that are present, in the order of the table of contents.
    pub fn images(&self) -> Result<Vec<StoredImage>> {
        let present = self.images.iter().filter(|image| image.is_present);
        let mut kept = Kept::new(self.limits);
        present.map(|image| self.stored(image, label_of(self.blobs.path(), image), &mut kept)).collect()
    }

    /// The platforms that the table of contents tells of the images that may be meant and are present, each once.
    pub fn platforms(&self, location: &Location) -> Vec<String> {
        let meant = self.images.iter().filter(|image| image.is_present && location.means(&image.references));
        let mut platforms: Vec<String> = meant.filter_map(|image| Some(image.platform.as_ref()?.to_string())).collect();
        let mut seen = std::collections::BTreeSet::new();
        platforms.retain(|platform| seen.insert(platform.clone()));
        platforms
    }

    /// What is listed besides images, in the order of the table of contents.
    pub fn artifacts(&self) -> &[Artifact] {
        &self.artifacts
    }

    /// What refers to a manifest, by its own subject; nothing in a docker archive, which has no manifests.
    ///
    /// # Errors
    ///
    /// Of an archive in both forms: that of OCI cannot be read.
    pub fn referrers(&self, subject: &Digest) -> Result<Vec<Descriptor>> {
        let attached = self.attached()?;
        Ok(attached.map_or_else(Vec::new, |it| it.subjects.referrers(subject).to_vec()))
    }

    /// Entries of index.json that are no images and cannot be read; none in a docker archive.
    ///
    /// # Errors
    ///
    /// As for [`ImageFile::referrers`].
    pub fn unread(&self) -> Result<&[UnreadEntry]> {
        Ok(self.attached()?.map_or(&[], |it| &it.unread))
    }

    fn attached(&self) -> Result<Option<&Attached>> {
        if self.has_index && self.attached.get().is_none() {
            let oci_layout::Found { subjects, unread, .. } = oci_layout::images(&self.blobs)?;
            return Ok(Some(self.attached.get_or_init(|| Attached { subjects, unread })));
        }
        Ok(self.attached.get())
    }

    /// The image that is meant: the only one, or the one of this name and tag; among images for several platforms the one
    /// for the platform that is wanted.
    ///
    /// # Errors
    ///
    /// None is meant or several are, or something of it is not there or not what it must be.
    pub fn image(&self, location: &Location, wanted: &Wanted) -> Result<StoredImage> {
        let look = &mut |image: &Listed| self.look(image);
        let chosen = choose(&self.images, location, wanted, look);
        let rank = self.rank(&chosen, wanted)?;
        if self.has_index && rank != Some(0) {
            // The table of docker's own form knows one platform alone; that of OCI beside it may know others.
            if let Ok(found) = oci_layout::images(&self.blobs) {
                let other = choose(&found.images, location, wanted, look);
                let other_rank = self.rank(&other, wanted)?;
                if other_rank.is_some_and(|other| rank.is_none_or(|rank| other < rank)) {
                    return self.stored(other?, location.to_string(), &mut Kept::new(self.limits));
                }
                // It lists all images.
                if let (Err(_), Err(error)) = (&chosen, other) {
                    return Err(error);
                }
            }
        }
        self.stored(chosen?, location.to_string(), &mut Kept::new(self.limits))
    }

    /// How well an image that was found fits a platform that was named; none if it does not, or none was found.
    fn rank(&self, chosen: &Result<&Listed>, wanted: &Wanted) -> Result<Option<usize>> {
        let Ok(image) = chosen else { return Ok(None) };
        if !wanted.is_named {
            return Ok(Some(0));
        }
        let platform = if image.platform.is_some() { image.platform.clone() } else { self.look(image)? };
        Ok(platform.and_then(|platform| wanted.rank(&platform)))
    }

    /// What an image runs on, by its config; none if that has none, or is not present.
    fn look(&self, image: &Listed) -> Result<Option<Platform>> {
        if !image.is_present {
            return Ok(None);
        }
        let config: Option<Value> = serde_json::from_slice(&image.config.read(&self.blobs)?).ok();
        Ok(config.as_ref().and_then(Platform::of_config))
    }

    /// Whether it is an OCI layout or a `dir:` directory: docker archives have no manifests of their own.
    pub fn has_manifests(&self) -> bool {
        self.blobs.has(INDEX_NAME) || self.blobs.is_flat()
    }

    /// Of an OCI layout or a `dir:` directory, the manifest or the index that is meant, with its bytes and what it is
    /// called there.
    ///
    /// # Errors
    ///
    /// It is neither; none is meant, or several are.
    pub fn listed(&self, location: &Location) -> Result<(Descriptor, Vec<u8>, Vec<String>)> {
        if !self.has_manifests() {
            return Err(self.blobs.error(format!("found no {INDEX_NAME}, expected an OCI layout")));
        }
        listed_manifest::listed(&self.blobs, location)
    }

    /// A blob of an OCI layout or a `dir:` directory; its bytes are not looked at.
    ///
    /// # Errors
    ///
    /// It is not there.
    pub fn blob(&self, digest: &Digest) -> Result<Part> {
        self.blobs.part(&self.blobs.blob_name(digest))
    }

    /// The bytes of a manifest or index that an index of an OCI layout or a `dir:` directory lists.
    ///
    /// # Errors
    ///
    /// It is not there, larger than such pieces may be, or of another digest.
    pub fn manifest(&self, digest: &Digest) -> Result<Vec<u8>> {
        let name = self.blobs.manifest_name(digest);
        let bytes = self.blobs.bytes(&name)?;
        match Digest::of(&bytes) {
            found if found == *digest => Ok(bytes),
            found => {
                let path = self.blobs.part(&name)?.name().to_owned();
                Err(Error::Digest { path, found, expected: *digest })
            }
        }
    }

    fn stored(&self, image: &Listed, name: String, kept: &mut Kept) -> Result<StoredImage> {
        let config_bytes = image.config.read(&self.blobs)?;
        kept.add(config_bytes.len(), image.layers.len()).map_err(|cause| self.blobs.error(cause))?;
        let config: Value = serde_json::from_slice(&config_bytes)
            .map_err(|e| self.blobs.error(format!("{}: not JSON: {e}", image.config.name)))?;
        let layers = image.with_diff_ids(&config).map_err(|cause| self.blobs.error(cause))?;
        let layers: Result<_> = layers.into_iter().map(|(blob, id)| self.layer(blob, id, kept)).collect();
        Ok(StoredImage {
            name,
            references: image.references.clone(),
            image_id: Digest::of(&config_bytes),
            config_bytes,
            config,
            layers: layers?,
            manifest: image.manifest.clone(),
            limits: self.limits,
        })
    }

    fn layer(&self, blob: &Blob, diff_id: Digest, kept: &mut Kept) -> Result<StoredLayer> {
        let part = self.blobs.part(&blob.name)?;
        blob.check_size(part.size(), &self.blobs)?;
        let compression = Compression::peek(part.reader()).map_err(StageError::io("read", self.blobs.path()))?;
        if compression == Compression::None {
            blob.check_digest(diff_id, &self.blobs)?;
        }
        let directory = blob.name.strip_suffix("/layer.tar");
        let json = directory.map(|directory| format!("{directory}/json")).filter(|name| self.blobs.has(name));
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

fn label_of(path: &Path, image: &Listed) -> String {
    match image.references.first() {
        Some(reference) => format!("{}#{reference}", path.display()),
        None => label(path, &image.config.name),
    }
}
