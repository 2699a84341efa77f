//! Where images are stored: one trait, and what each kind of target opens.

use crate::docker_destination::DockerDestination;
use crate::oci_destination::OciDestination;
use crate::{CompressionChoice, ImageTarget, Registries, Report, Result};
use layerstone_image::ArchiveCache;
use layerstone_layer::CompressionParams;
use layerstone_oci::{Image, Place, PutImage, Reference};
use layerstone_registry::PushStats;

/// Stores images.
pub trait Destination {
    /// Stores an image under its name.
    ///
    /// # Errors
    ///
    /// A layer is not what it must be, or the image cannot be written.
    fn write(&self, image: &Image<'_>, report: &dyn Report) -> Result<PutImage>;

    /// How the layers of an image are compressed there, if they are.
    fn compression(&self, image: &Image<'_>) -> Option<CompressionParams>;

    /// What a registry was sent, if it is one.
    fn pushed(&self) -> Option<PushStats> {
        None
    }

    /// What an image of this name is called there.
    fn called(&self, name: &Reference) -> String {
        name.to_string()
    }
}

/// Where an image goes, and how.
pub struct WriteOptions<'a> {
    /// Where.
    pub target: &'a ImageTarget,
    /// Whether a docker archive holds legacy metadata.
    pub legacy: bool,
    /// How it, or its layers, are compressed.
    pub compression: CompressionChoice,
    /// The registry, if it goes to one.
    pub registries: &'a Registries,
    /// Whether an archive that would be what it is stays the file that it is, where the cache can tell.
    pub leaves: bool,
}

impl<'a> WriteOptions<'a> {
    /// No legacy metadata, and the usual compression.
    pub fn new(target: &'a ImageTarget, registries: &'a Registries) -> WriteOptions<'a> {
        WriteOptions { target, legacy: false, compression: CompressionChoice::default(), registries, leaves: false }
    }

    /// Opens the target: a docker archive or an engine, or else what keeps OCI images. What is in the target's registry
    /// already is mounted from the repositories of these places; `archives` knows earlier archives.
    ///
    /// # Errors
    ///
    /// It cannot be opened, or takes no legacy metadata.
    pub(crate) fn open(&self, from: &[Place], archives: Option<&ArchiveCache>) -> Result<Box<dyn Destination + 'a>> {
        let WriteOptions { target, legacy, compression, registries, .. } = *self;
        if !target.keeps_oci_images() {
            return Ok(Box::new(DockerDestination::new(self, None, archives)));
        }
        if legacy {
            bail!("--legacy: found {target}, expected a docker archive with it");
        }
        Ok(Box::new(OciDestination::open(target, compression, registries, &target.mounts(from))?))
    }
}
