//! Images from anywhere: what `copy`, `push`, `pull`, `index` and `serve` share.
//!
//! An image that has a manifest goes as it is, byte for byte, unless other compression is asked for; one that has none,
//! of a docker archive or of a spec, gets one.

use crate::base_image::{make_plain, open_file_as};
use crate::builder::check_spec;
use crate::copy_index::Listed;
use crate::error::chain_text;
use crate::oci_destination::{OciDestination, PutManifest, Unnamed};
use crate::{BuildOptions, Builder, Destination, ImageSource, ImageTarget, Registries, Report, Result, engine, remote};
use layerstone_image::{ImageFile, StoredImage};
use layerstone_oci::{BlobStore, Image, Location, Reference, Wanted, media_type};
use layerstone_spec::Spec;
use layerstone_store::Scratch;
use std::env::temp_dir;
use std::path::Path;

/// Copies images, and makes those of specs, wherever they go.
pub struct Copier<'a> {
    /// Which image of several is meant.
    pub wanted: Wanted,
    /// How images of specs are built, and how layers are compressed.
    pub options: BuildOptions<'a>,
    /// The registries of sources and destinations.
    pub registries: &'a Registries,
}

/// A file of images, and which of them is meant.
struct Opened {
    file: ImageFile,
    location: Location,
    wanted: Wanted,
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

    /// Builds the image of a spec, and puts all of it but its name; `path` is the spec's file, and `several` tells that
    /// there are other images beside it.
    ///
    /// # Errors
    ///
    /// A stage fails, or the store refuses.
    pub fn put_spec(&self, spec: &Spec, path: &Path, several: bool, store: &dyn BlobStore) -> Result<PutManifest> {
        Builder::of_spec(spec, path, several, &self.options)?.put(store, self.registries.uploads)
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
        let scratch = Scratch::create(&temp_dir())?;
        let opened = self.opened(source, &scratch)?;
        self.put_image(&self.image(&opened)?, store, Some(scratch))
    }

    /// Puts all of an image but its name: one for several platforms with its index, as it is, unless one of them is asked
    /// for.
    ///
    /// # Errors
    ///
    /// Those of [`Copier::put`]; other compression is asked for.
    pub fn put_listed(&self, source: &ImageSource, store: &dyn BlobStore) -> Result<PutManifest> {
        if self.wanted.is_named {
            return self.put(source, store);
        }
        let put_all = |listed: Listed<'_>| {
            if self.options.compression.asked.is_some() {
                bail!("--compression: found an image for several platforms, expected --arch NAME with it");
            }
            listed.put(store, self.registries, self.report())
        };
        let is_index = |listed: &Listed<'_>| media_type::is_index(&listed.descriptor.media_type);
        if let ImageSource::Registry(reference) = source {
            let listed = Listed::of_registry(reference, self.registries)?;
            return if is_index(&listed) { put_all(listed) } else { self.put(source, store) };
        }
        let scratch = Scratch::create(&temp_dir())?;
        let opened = self.opened(source, &scratch)?;
        let Opened { file, location, .. } = &opened;
        // What has no index is an image, and what has several images says so when one is chosen.
        if let Some(listed) = Listed::of_file(file, location).ok().filter(is_index) {
            match listed.check() {
                Ok(()) => return Ok(PutManifest { scratch: Some(scratch), ..put_all(listed)? }),
                Err(e) => self.report().warn(format!(
                    "{location}: one image of its index is taken, others are not there: {}",
                    chain_text(&e)
                )),
            }
        }
        self.put_image(&self.image(&opened)?, store, Some(scratch))
    }

    /// An image with its layers as tars, under this name or its own; what is fetched for it is in the scratch directory.
    ///
    /// # Errors
    ///
    /// The image is missing or damaged, or its name is none for a docker archive.
    pub fn plain(&self, source: &ImageSource, name: Option<Reference>, scratch: &Scratch) -> Result<Image<'static>> {
        let Opened { file, location, wanted } = self.opened(source, scratch)?;
        let mut image = file.image(&location, &wanted)?;
        make_plain(&mut image, self.options.limits, self.report())?;
        let name = name.or_else(|| name_of(&image, &location));
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
        let to = Unnamed { store, compression: self.options.compression, uploads: self.registries.uploads };
        Ok(PutManifest::of(to.write(image, self.report())?, scratch))
    }

    /// An image of a registry that goes as it is.
    fn remote(&self, source: &ImageSource) -> Result<Option<Image<'static>>> {
        match source {
            ImageSource::Registry(reference) if self.options.compression.asked.is_none() => {
                Ok(Some(remote::image(reference, &self.wanted, self.registries)?.as_stored()))
            }
            _ => Ok(None),
        }
    }

    /// The image of a file: as it is, or with its layers as tars if it has no manifest or other compression is asked for.
    fn image(&self, opened: &Opened) -> Result<Image<'static>> {
        let mut image = opened.file.image(&opened.location, &opened.wanted)?;
        let name = name_of(&image, &opened.location);
        let as_stored = image.as_stored(name.clone()).filter(|_| self.options.compression.asked.is_none());
        if let Some(image) = as_stored {
            return Ok(image);
        }
        make_plain(&mut image, self.options.limits, self.report())?;
        Ok(image.plain(name))
    }

    /// Opens a file of images; what is none is fetched into the scratch directory.
    fn opened(&self, source: &ImageSource, scratch: &Scratch) -> Result<Opened> {
        let mut wanted = self.wanted.clone();
        // Messages call the image what the command line calls it, whatever file it is in on the way.
        let (path, location) = match source {
            ImageSource::Spec(path) => bail!("found a spec, expected an image: {}", path.display()),
            ImageSource::File(location) => (location.path.clone(), location.clone()),
            ImageSource::Engine(engine, name) => {
                let path = scratch.path().join("saved.tar");
                engine::save(*engine, name, &path)?;
                (path, Location::of(format!("{}:{name}", engine.program())))
            }
            ImageSource::Registry(reference) => {
                let remote = remote::image(reference, &self.wanted, self.registries)?;
                if let Some(kind) = remote.manifest.manifest.artifact() {
                    bail!("not an image: {reference}: found an artifact of type {kind}");
                }
                let path = scratch.path().join("fetched");
                let layout = ImageTarget::OciLayout(path.clone());
                let compression = self.options.compression;
                let fetched = OciDestination::open(&layout, compression, self.registries, &[])?;
                fetched.write(&remote.as_stored(), self.report())?;
                // It was chosen already.
                wanted = Wanted::new(None, None, None).of_base();
                (path, Location::of(reference.to_string()))
            }
        };
        let file = open_file_as(&path, &location.path, self.options.limits, self.report())?;
        Ok(Opened { file, location, wanted })
    }
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
