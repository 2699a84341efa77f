//! Opens the file of an image wherever it is: what a registry or an engine has is fetched into a temporary directory first.
//! A cache, if there is one, keeps the layers of registries, so that none is fetched twice.

use crate::base_image::{make_plain, open_file_as};
use crate::oci_destination::OciDestination;
use crate::{CacheOptions, CompressionChoice, Destination, ImageTarget, Registries, Report, Result, engine, remote};
use layerstone_image::{ImageFile, StoredImage};
use layerstone_layer::{Blob, BlobCache};
use layerstone_oci::{Image, Location, Place, Reference, Wanted};
use layerstone_store::{Limits, Scratch};
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
            Place::Registry(reference) => self.fetched(reference, wanted),
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

    fn fetched(&self, reference: &Reference, wanted: &Wanted) -> Result<OpenedFile> {
        let stage = format!("manifest of {reference}");
        let remote = self.report.stage(&stage, || remote::image(reference, wanted, self.registries))?;
        if let Some(kind) = remote.manifest.manifest.artifact() {
            bail!("not an image: {reference}: found an artifact of type {kind}");
        }
        let scratch = Scratch::create(&temp_dir())?;
        let path = scratch.path().join("fetched");
        let cache = self.cache.open_blobs(self.report)?;
        let mut image = remote.as_stored();
        if let Some(cache) = &cache {
            keep(&mut image, cache.blobs());
        }
        let layout = ImageTarget::OciLayout(path.clone());
        OciDestination::open(&layout, CompressionChoice::default(), self.registries, &[])?
            .write(&image, self.report)?;
        if let Some(cache) = cache {
            cache.finish();
        }
        let location = Location::of(reference.to_string());
        let file = open_file_as(&path, &location.path, self.limits, self.report)?;
        let named = if reference.digest().is_none() { reference.tagged() } else { reference.clone() };
        let origin = Some(named.with_digest(remote.digest));
        // It was chosen already.
        let wanted = Wanted::any();
        Ok(OpenedFile { file, location, wanted, platforms: remote.platforms, origin, scratch: Some(scratch) })
    }
}

/// Has a cache keep the layers of an image when they are read.
fn keep(image: &mut Image<'_>, blobs: &BlobCache) {
    for layer in &mut image.layers {
        if let Some(Blob::Stored(descriptor, content)) = &mut layer.blob {
            *content = blobs.kept(content, descriptor.digest);
        }
    }
}
