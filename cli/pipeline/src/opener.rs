//! Opens the file of an image wherever it is: what a registry or an engine has is fetched into a temporary directory first.
//! A cache, if there is one, keeps the layers of registries, so that none is fetched twice.

use crate::base_image::{make_plain, open_file_as};
use crate::build_cache::FetchCache;
use crate::oci_destination::OciDestination;
use crate::remote::RemoteImage;
use crate::{CacheOptions, CompressionChoice, Destination, ImageTarget, Registries, Report, Result, engine, remote};
use layerstone_attestation::PublicKey;
use layerstone_image::{ImageFile, StoredImage};
use layerstone_layer::{Blob, BlobCache};
use layerstone_oci::{Image, Location, Place, Reference, Wanted};
use layerstone_store::{Digest, Limits, Scratch};
use std::env::temp_dir;

/// How images are opened.
#[derive(Clone)]
pub struct Opener<'a> {
    /// How registries are talked to.
    pub registries: &'a Registries,
    /// How much is read.
    pub limits: Limits,
    /// Where layers of registries are kept: those of bases, and none that only pass through.
    pub cache: CacheOptions,
    /// One of these keys must have signed what is built on or copied; none if nobody need.
    pub verify_keys: Vec<PublicKey>,
    /// Receives warnings and progress.
    pub report: &'a dyn Report,
}

/// A file of images, and which of them is meant.
pub struct OpenedFile {
    /// The file.
    pub file: ImageFile,
    /// What messages call it, and which image of it is meant.
    pub location: Location,
    /// The platform that is meant.
    pub wanted: Wanted,
    /// The platforms of the images that may be meant, where there are several.
    pub platforms: Vec<String>,
    /// Where it was fetched from, with the digest of what the name led to.
    pub origin: Option<Reference>,
    /// Where it was fetched to.
    pub scratch: Option<Scratch>,
}

impl OpenedFile {
    fn of(file: ImageFile, location: Location, wanted: &Wanted) -> OpenedFile {
        let platforms = file.platforms(&location);
        OpenedFile { file, location, wanted: wanted.clone(), platforms, origin: None, scratch: None }
    }

    /// The image that is meant.
    ///
    /// # Errors
    ///
    /// None is, or it is damaged.
    pub fn image(&self) -> Result<StoredImage> {
        Ok(self.file.image(&self.location, &self.wanted)?)
    }
}

impl Opener<'_> {
    /// Opens the file of an image; of a registry the image for the platform that is wanted.
    ///
    /// # Errors
    ///
    /// It cannot be read or fetched, or is no image.
    pub fn open(&self, place: &Place, wanted: &Wanted) -> Result<OpenedFile> {
        match place {
            Place::File(location) => {
                let file = open_file_as(&location.path, &location.path, self.limits, self.report)?;
                Ok(OpenedFile::of(file, location.clone(), wanted))
            }
            Place::Engine(engine, name) => {
                let scratch = Scratch::create(&temp_dir())?;
                let path = scratch.path().join("saved.tar");
                engine::save(*engine, name, &path)?;
                // Messages call the image what the command line calls it, whatever file it is in on the way.
                let location = Location::of(place.to_string());
                let file = open_file_as(&path, &location.path, self.limits, self.report)?;
                Ok(OpenedFile { scratch: Some(scratch), ..OpenedFile::of(file, location, wanted) })
            }
            Place::Registry(reference) => self.fetch(reference, self.remote(reference, wanted)?),
        }
    }

    /// Opens an image and unpacks its layers.
    ///
    /// # Errors
    ///
    /// Those of [`Opener::open`]; a layer is damaged.
    pub fn open_plain(&self, place: &Place, wanted: &Wanted) -> Result<StoredImage> {
        let mut image = self.open(place, wanted)?.image()?;
        make_plain(&mut image, self.limits, self.report)?;
        Ok(image)
    }

    /// Finds an image in a registry; its layers are not fetched.
    ///
    /// # Errors
    ///
    /// It is not there, or is no image for the platform that is wanted.
    pub(crate) fn remote(&self, reference: &Reference, wanted: &Wanted) -> Result<RemoteImage> {
        let stage = format!("manifest of {reference}");
        let remote = self.report.stage(&stage, || remote::image(reference, wanted, self.registries))?;
        if let Some(kind) = remote.manifest.manifest.artifact() {
            bail!("not an image: {reference}: found an artifact of type {kind}");
        }
        Ok(remote)
    }

    /// Fetches an image of a registry.
    ///
    /// # Errors
    ///
    /// A layer cannot be fetched, or is not what it must be.
    pub(crate) fn fetch(&self, reference: &Reference, remote: RemoteImage) -> Result<OpenedFile> {
        let scratch = Scratch::create(&temp_dir())?;
        let path = scratch.path().join("fetched");
        let mut image = remote.as_stored();
        let cache = self.keep(&mut image)?;
        let layout = ImageTarget::OciLayout(path.clone());
        OciDestination::open(&layout, CompressionChoice::default(), self.registries, &[])?
            .write(&image, self.report)?;
        if let Some(cache) = cache {
            cache.finish();
        }
        let location = Location::of(reference.to_string());
        let file = open_file_as(&path, &location.path, self.limits, self.report)?;
        let origin = Some(origin(reference, remote.digest));
        // It was chosen already.
        let wanted = Wanted::any();
        Ok(OpenedFile { file, location, wanted, platforms: remote.platforms, origin, scratch: Some(scratch) })
    }

    /// Has the cache, if there is one, keep the layers of an image when they are read.
    pub(crate) fn keep(&self, image: &mut Image<'_>) -> Result<Option<FetchCache>> {
        let cache = self.cache.open_blobs(self.report)?;
        if let Some(cache) = &cache {
            keep(image, cache.blobs());
        }
        Ok(cache)
    }
}

/// Where an image of a registry is from, with the digest of what its name led to.
pub(crate) fn origin(reference: &Reference, digest: Digest) -> Reference {
    let named = if reference.digest().is_none() { reference.tagged() } else { reference.clone() };
    named.with_digest(digest)
}

/// Has a cache keep the layers of an image when they are read.
fn keep(image: &mut Image<'_>, blobs: &BlobCache) {
    for layer in &mut image.layers {
        if let Some(Blob::Stored(descriptor, content)) = &mut layer.blob {
            *content = blobs.kept(content, descriptor.digest);
        }
    }
}
