//! Images from anywhere to anywhere: what `copy`, `push`, `pull`, `index` and `serve` share.
//!
//! An image that has a manifest goes as it is, byte for byte, unless other compression is asked for; one that has none,
//! of a docker archive or of a spec, gets one.

use crate::base_image::{make_plain, open_file_as};
use crate::builder::{Brought, check_spec};
use crate::copy_index::{Listed, Whole};
use crate::image::write_archive;
use crate::open_target::{Arrived, Unfinished, kept_layers, put, put_kept};
use crate::remote::{self, RemoteImage};
use crate::{BuildOptions, Builder, ImageSource, ImageTarget, OpenTarget, Registries, Report, Result, engine};
use layerstone_image::{ImageFile, Merge, StoredImage};
use layerstone_layer::Source;
use layerstone_oci::{Destination, Layer, Location, Reference, Tar, Wanted, drop_annotations_of_bytes, media_type};
use layerstone_spec::Spec;
use layerstone_store::{Digest, Scratch};
use std::collections::BTreeMap;
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

/// What was put: an image, or the index of several with all of them, and where the bytes of some layers are.
pub enum Either {
    /// One image.
    Image(Brought),
    /// An index, and where bytes of its images are until they are copied.
    Index(Whole, Option<Scratch>),
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
    /// A stage fails, or the destination refuses.
    pub fn bring_spec(
        &self,
        spec: &Spec,
        path: &Path,
        several: bool,
        destination: &dyn Destination,
    ) -> Result<Brought> {
        Builder::of_spec(spec, path, several, &self.options)?.put(destination, self.registries.uploads)
    }

    pub(crate) fn report(&self) -> &dyn Report {
        self.options.report
    }

    /// Puts all of an image that is somewhere but its name.
    pub fn bring(&self, origin: &ImageSource, destination: &dyn Destination) -> Result<Brought> {
        if let ImageSource::Registry(reference) = origin
            && !self.options.compression.is_given()
        {
            let remote = remote::image(reference, &self.wanted, self.registries)?;
            return self.bring_remote(&remote, destination);
        }
        let scratch = Scratch::create(&temp_dir())?;
        let opened = self.opened(origin, &scratch)?;
        self.bring_file(&opened, scratch, destination)
    }

    fn bring_file(&self, opened: &Opened, scratch: Scratch, destination: &dyn Destination) -> Result<Brought> {
        let Opened { file, location, wanted } = opened;
        let image = file.image(location, wanted)?;
        let name = name_of(&image, location);
        let arrived = match &image.manifest {
            Some(manifest) if !self.options.compression.is_given() => {
                let layers = kept_layers(&image, manifest);
                put_kept(
                    manifest,
                    image.config_bytes.clone(),
                    layers,
                    destination,
                    self.registries.uploads,
                    self.report(),
                )?
            }
            _ => self.put_again(image, destination)?,
        };
        Ok(Brought { arrived, name, scratch: Some(scratch) })
    }

    /// Puts all of an image that is somewhere but its name: one for several platforms with its index, as it is, unless one
    /// of them is asked for.
    pub fn bring_whole(&self, origin: &ImageSource, destination: &dyn Destination) -> Result<Either> {
        if self.wanted.is_named() {
            return self.bring(origin, destination).map(Either::Image);
        }
        let whole = |listed: Listed<'_>| {
            if self.options.compression.is_given() {
                bail!("--compression: found an image for several platforms, expected --arch NAME with it");
            }
            listed.bring(destination, self.registries, self.report())
        };
        let is_index = |listed: &Listed<'_>| media_type::is_index(&listed.descriptor.media_type);
        if let ImageSource::Registry(reference) = origin {
            let listed = Listed::of_registry(reference, self.registries)?;
            if is_index(&listed) {
                return Ok(Either::Index(whole(listed)?, None));
            }
            return self.bring(origin, destination).map(Either::Image);
        }
        let scratch = Scratch::create(&temp_dir())?;
        let opened = self.opened(origin, &scratch)?;
        let Opened { file, location, .. } = &opened;
        // What has no index is an image, and what has several images says so when one is chosen.
        if let Some(listed) = Listed::of_file(file, location).ok().filter(is_index) {
            match listed.check() {
                Ok(()) => return Ok(Either::Index(whole(listed)?, Some(scratch))),
                Err(e) => self.report().warn(format!(
                    "{location}: one image of its index is taken, others are not there: {}",
                    e.chain_text()
                )),
            }
        }
        self.bring_file(&opened, scratch, destination).map(Either::Image)
    }

    fn bring_remote(&self, remote: &RemoteImage, destination: &dyn Destination) -> Result<Brought> {
        let layers = remote.layers();
        let uploads = self.registries.uploads;
        let arrived = put_kept(&remote.manifest, remote.config.clone(), layers, destination, uploads, self.report())?;
        Ok(Brought { arrived, name: Some(remote.name()), scratch: None })
    }

    /// Compresses the layers of an image anew; its config stays as it is.
    fn put_again(&self, mut image: StoredImage, destination: &dyn Destination) -> Result<Arrived> {
        make_plain(&mut image, self.options.max_unpacked, self.report())?;
        let said = image.manifest.iter().flat_map(|manifest| &manifest.manifest.layers);
        let said = said.map(|descriptor| {
            let mut annotations = descriptor.annotations.clone();
            drop_annotations_of_bytes(&mut annotations);
            annotations
        });
        let said = said.chain(std::iter::repeat(BTreeMap::new()));
        let tar = |(layer, annotations): (&layerstone_image::StoredLayer, _)| {
            Layer::Tar(Tar {
                source: Source::Part(layer.part.clone()),
                diff_id: Some(layer.diff_id),
                compressed: None,
                annotations,
                label: layer.part.name().display().to_string(),
                blobs: None,
            })
        };
        let config = |_: &[Digest]| image.config_bytes.clone();
        let unfinished = Unfinished {
            layers: image.layers.iter().zip(said).map(tar).collect(),
            diff_ids: image.layers.iter().map(|layer| Some(layer.diff_id)).collect(),
            config: &config,
            annotations: image.manifest.as_ref().map(|it| it.manifest.annotations.clone()).unwrap_or_default(),
        };
        let packing = self.options.compression.of_layers(None);
        put(&unfinished, packing, destination, self.registries.uploads, self.report())
    }

    /// Opens an image that is somewhere, what is not a file here being fetched into the work folder.
    fn stored(&self, origin: &ImageSource, scratch: &Scratch) -> Result<(StoredImage, Location)> {
        let Opened { file, location, wanted } = self.opened(origin, scratch)?;
        Ok((file.image(&location, &wanted)?, location))
    }

    /// Opens a file of images, what is not one being fetched into the work folder.
    fn opened(&self, origin: &ImageSource, scratch: &Scratch) -> Result<Opened> {
        let mut wanted = self.wanted.clone();
        // Messages call the image what the command line calls it, whatever file it is in on the way.
        let (path, location) = match origin {
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
                let open = OpenTarget::open(&ImageTarget::OciLayout(path.clone()), self.registries, &[])?;
                let Brought { arrived, name, .. } = self.bring_remote(&remote, open.destination())?;
                open.destination().finish(&arrived.manifest, &arrived.bytes, name.as_ref())?;
                // It was chosen already.
                wanted = Wanted::new(None, None, None).of_base();
                (path, Location::of(reference.to_string()))
            }
        };
        let file = open_file_as(&path, &location.path, self.options.max_unpacked, self.report())?;
        Ok(Opened { file, location, wanted })
    }

    /// Writes a docker archive of an image that is somewhere, or loads it; what it is called there, and its ID.
    pub fn archive(
        &self,
        origin: &ImageSource,
        name: Option<&Reference>,
        write: &mut dyn FnMut(&Merge) -> Result<()>,
    ) -> Result<(Option<Reference>, Digest)> {
        let scratch = Scratch::create(&temp_dir())?;
        let (mut image, location) = self.stored(origin, &scratch)?;
        make_plain(&mut image, self.options.max_unpacked, self.report())?;
        let name = name.cloned().or_else(|| name_of(&image, &location));
        image.references = name.iter().map(ToString::to_string).collect();
        let image_id = image.image_id;
        let mut merge = Merge::default();
        merge.add(&Location::of(&location.path), image)?;
        write(&merge)?;
        Ok((name, image_id))
    }

    /// Writes a docker archive of an image that is somewhere to a place.
    pub fn archive_to(
        &self,
        origin: &ImageSource,
        name: Option<&Reference>,
        place: &ImageTarget,
    ) -> Result<(Option<Reference>, Digest)> {
        let mut write = |merge: &Merge| {
            write_archive(&merge.archive(), place, &self.options.compression, &|_| merge.trailer(), self.report())
                .map(drop)
        };
        self.archive(origin, name, &mut write)
    }
}

/// What an image is called where it is: the whole name rather than a tag alone.
fn name_of(image: &StoredImage, location: &Location) -> Option<Reference> {
    let is_whole = |text: &&String| text.contains(':');
    let full = |text: &str| Reference::unchecked(text).full();
    let matching = |text: &&String| location.reference().is_none_or(|wanted| full(&wanted) == full(text));
    let mut whole = image.references.iter().filter(is_whole);
    let named = image.references.iter().filter(is_whole).find(matching).or_else(|| whole.next());
    named.map(|name| Reference::unchecked(name).tagged())
}
