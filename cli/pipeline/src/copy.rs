//! Images from anywhere: what `copy`, `push`, `pull`, `index` and `serve` share.
//!
//! An image that has a manifest goes as it is, byte for byte, unless other compression is asked for; one that has none,
//! of a docker archive or of a spec, gets one.

use crate::base_image::make_plain;
use crate::blob_source::BlobSource;
use crate::check_spec;
use crate::copy_index::Listed;
use crate::copy_referrers::{Along, put_referrers};
use crate::error::chain_text;
use crate::oci_destination::{PutManifest, Unnamed};
use crate::opener::OpenedFile;
use crate::verify::require_signed;
use crate::{
    BuildOptions, Builder, CacheOptions, Destination, ErofsCache, ImageSource, Opener, Rehearsal, Report, Result,
    Tally, remote,
};
use layerstone_image::StoredImage;
use layerstone_oci::{BlobStore, Config, Image, Location, Place, Platform, Reference, Wanted, media_type};
use layerstone_spec::Spec;
use layerstone_store::{Digest, Scratch};
use serde_json::Value;
use std::fmt::Display;
use std::path::Path;
use std::sync::Arc;

/// Copies images, and makes those of specs, wherever they go.
pub struct Copier<'a> {
    /// Which image of several is meant.
    pub wanted: Wanted,
    /// How images of specs are built, how layers are compressed, how registries are talked to.
    pub options: BuildOptions<'a>,
    /// What the work would do is noted there, and nothing is written or sent.
    pub rehearsal: Option<Arc<Rehearsal>>,
    /// What refers to an image goes with it.
    pub referrers: bool,
}

impl Copier<'_> {
    /// The specs of an image.json: all, or the one for the platform that is wanted.
    ///
    /// # Errors
    ///
    /// The file is no spec, or has none for the platform.
    pub fn specs(&self, path: &Path) -> Result<Vec<Spec>> {
        let mut specs = Spec::read_all(path)?;
        specs.iter_mut().for_each(|spec| self.options.scripts.apply(spec));
        specs.iter().try_for_each(check_spec)?;
        remote::specs_for(&self.wanted, specs, path)
    }

    /// The source, if one of the keys signed it that must have; where there are any, a tag of a registry is replaced by the
    /// digest that is signed. Of a spec the base is looked at when it is opened.
    ///
    /// # Errors
    ///
    /// None of the keys signed it.
    pub fn signed(&self, source: &ImageSource, all: bool) -> Result<ImageSource> {
        match source {
            ImageSource::Image(place) => {
                Ok(ImageSource::Image(require_signed(place, &self.wanted, all, &self.options.opener())?))
            }
            spec @ ImageSource::Spec(_) => Ok(spec.clone()),
        }
    }

    /// Builds the image of a spec, and puts all of it but its name; `path` is the spec's file, and `several` tells that
    /// there are other images beside it.
    ///
    /// # Errors
    ///
    /// A stage fails, or the store refuses.
    pub fn put_spec(&self, spec: &Spec, path: &Path, several: bool, store: &dyn BlobStore) -> Result<PutManifest> {
        Builder::of_spec(spec, path, several, &self.options)?.put(store, self.options.registries.uploads)
    }

    /// Puts all of an image but its name.
    ///
    /// # Errors
    ///
    /// The image is missing or damaged, or the store refuses.
    pub fn put(&self, source: &ImageSource, store: &dyn BlobStore) -> Result<PutManifest> {
        if let Some(image) = self.remote(source)? {
            return self.put_image(&image, store, None);
        }
        let opened = self.opened(source, &self.wanted)?;
        self.put_image(&self.image(&opened)?, store, opened.scratch)
    }

    /// Puts all of an image but its name: one for several platforms with its index, as it is, unless one of them is asked
    /// for; what refers to an image of a file and can be read goes with it, if that is asked for.
    ///
    /// # Errors
    ///
    /// Those of [`Copier::put`]; other compression is asked for.
    pub fn put_listed(&self, source: &ImageSource, store: &dyn BlobStore) -> Result<PutManifest> {
        if self.wanted.is_named {
            return self.put(source, store);
        }
        let along = if self.referrers { Along::Readable } else { Along::Nothing };
        let put_all = |listed: Listed<'_>, along| {
            if self.options.compression.asked.is_some() {
                bail!("--compression: found an image for several platforms, expected --arch NAME with it");
            }
            listed.put(store, self.options.registries, along, self.report())
        };
        let is_index = |listed: &Listed<'_>| media_type::is_index(&listed.descriptor.media_type);
        if let ImageSource::Image(Place::Registry(reference)) = source {
            let listed = Listed::of_registry(reference, self.options.registries)?;
            return if is_index(&listed) { put_all(listed, Along::Nothing) } else { self.put(source, store) };
        }
        let mut opened = self.opened(source, &self.wanted)?;
        let scratch = opened.scratch.take();
        let OpenedFile { file, location, .. } = &opened;
        // What has no index is an image, and what has several images says so when one is chosen.
        if let Some(listed) = Listed::of_file(file, location).ok().filter(is_index) {
            match listed.check() {
                Ok(()) => return Ok(PutManifest { scratch, ..put_all(listed, along)? }),
                Err(e) => self.report().warn(format!(
                    "{location}: one image of its index is taken, others are not there: {}",
                    chain_text(&e)
                )),
            }
        }
        let put = self.put_image(&self.image(&opened)?, store, scratch)?;
        if opened.file.has_manifests() {
            let (image, subjects) = ((&put.descriptor, &put.bytes[..]), [put.descriptor.digest]);
            let (from, registries) = (BlobSource::File(&opened.file), self.options.registries);
            put_referrers(&from, &subjects, image, store, registries, along, self.report())?;
        }
        Ok(put)
    }

    /// An image with its layers as tars, under this name or its own.
    ///
    /// # Errors
    ///
    /// The image is missing or damaged, or its name is none for a docker archive.
    pub fn plain(&self, source: &ImageSource, name: Option<Reference>) -> Result<Image<'static>> {
        let opened = self.opened(source, &self.wanted)?;
        let (mut image, location) = (opened.image()?, &opened.location);
        self.tell_taken(location, Platform::of_config(&image.config), &opened.platforms);
        make_plain(&mut image, self.options.limits, self.report())?;
        let name = name.or_else(|| name_of(&image, location));
        if let Some(name) = &name {
            Reference::parse_tagged(&name.to_string()).map_err(|error| {
                let (text, path) = (name.to_string(), location.path.clone());
                layerstone_image::Error::NoTag { text, path, cause: error.cause }
            })?;
        }
        Ok(image.plain(name))
    }

    pub(crate) fn report(&self) -> &dyn Report {
        self.options.report
    }

    fn put_image(&self, image: &Image<'_>, store: &dyn BlobStore, scratch: Option<Scratch>) -> Result<PutManifest> {
        self.add_file_systems(image)?;
        let to = Unnamed { store, compression: self.options.compression, uploads: self.options.registries.uploads };
        let put = to.write(image, self.report())?;
        let tally = Tally::of(&image.layers, &put);
        Ok(PutManifest::of(put, tally, scratch))
    }

    /// Keeps the layers of an image as file systems, if that is asked for.
    pub(crate) fn add_file_systems(&self, image: &Image<'_>) -> Result<()> {
        let Some(directory) = self.options.erofs_cache.as_deref().filter(|_| self.rehearsal.is_none()) else {
            return Ok(());
        };
        let mut layers = image.layers.clone();
        if let Config::Bytes(config) = &image.config {
            let diff_ids = diff_ids(config);
            // What else an artifact lists is no layer.
            layers.truncate(diff_ids.len());
            layers.iter_mut().zip(diff_ids).for_each(|(layer, diff_id)| layer.diff_id = Some(diff_id));
        }
        ErofsCache::open(directory, self.options.limits)?.add(&mut layers, self.report())
    }

    /// An image of a registry that goes as it is.
    fn remote(&self, source: &ImageSource) -> Result<Option<Image<'static>>> {
        match source {
            ImageSource::Image(Place::Registry(reference)) if self.options.compression.asked.is_none() => {
                let stage = format!("manifest of {reference}");
                let fetch = || remote::image(reference, &self.wanted, self.options.registries);
                let remote = self.report().stage(&stage, fetch)?;
                self.tell_taken(reference, remote.platform(), &remote.platforms);
                Ok(Some(remote.as_stored()))
            }
            _ => Ok(None),
        }
    }

    /// The image of a file: as it is, or with its layers as tars if it has no manifest or other compression is asked for.
    fn image(&self, opened: &OpenedFile) -> Result<Image<'static>> {
        let mut image = opened.image()?;
        self.tell_taken(&opened.location, Platform::of_config(&image.config), &opened.platforms);
        let name = name_of(&image, &opened.location);
        let as_stored = image.as_stored(name.clone()).filter(|_| self.options.compression.asked.is_none());
        if let Some(image) = as_stored {
            return Ok(image);
        }
        make_plain(&mut image, self.options.limits, self.report())?;
        Ok(image.plain(name))
    }

    /// Says which image of several was taken, if nobody said which.
    fn tell_taken(&self, name: &dyn Display, taken: Option<Platform>, platforms: &[String]) {
        if let (Some(taken), false, [_, _, ..]) = (taken, self.wanted.is_named, platforms) {
            let platforms = platforms.join(", ");
            self.report()
                .notice(&format!("{name}: the image for {taken} is taken, of {platforms} (--platform, --all)"));
        }
    }

    /// Opens the file of an image.
    pub(crate) fn opened(&self, source: &ImageSource, wanted: &Wanted) -> Result<OpenedFile> {
        match source {
            ImageSource::Spec(path) => bail!("found a spec, expected an image: {}", path.display()),
            // What only passes through would take the room of what is used again.
            ImageSource::Image(place) => {
                Opener { cache: CacheOptions::default(), ..self.options.opener() }.open(place, wanted)
            }
        }
    }
}

/// The diff IDs that a config tells; none if it is that of an artifact.
fn diff_ids(config: &[u8]) -> Vec<Digest> {
    let config: Value = serde_json::from_slice(config).unwrap_or_default();
    let diff_ids = config.pointer("/rootfs/diff_ids").cloned().unwrap_or_default();
    serde_json::from_value(diff_ids).unwrap_or_default()
}

/// What an image is called where it is: a name with its tag rather than a tag alone.
fn name_of(image: &StoredImage, location: &Location) -> Option<Reference> {
    let is_name = |text: &&String| text.contains(':');
    let full = |text: &str| Reference::unchecked(text).full();
    let matching = |text: &&String| location.reference().is_none_or(|wanted| full(&wanted) == full(text));
    let mut names = image.references.iter().filter(is_name);
    let named = image.references.iter().filter(is_name).find(matching).or_else(|| names.next());
    named.map(|name| Reference::unchecked(name).tagged())
}
