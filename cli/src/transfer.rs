//! Images from anywhere to anywhere: what `copy`, `push`, `pull`, `index` and `serve` share.
//!
//! An image that has a manifest goes as it is, byte for byte, unless other compression is asked for; one that has none,
//! of a docker archive or of a spec, gets one.

use crate::args::{Common, StoreArgs};
use crate::base::{BaseArgs, UnpackingArgs, make_plain, open_file_as};
use crate::command::build::{Of, check};
use crate::command::image::{Built, Target, engine, oci, write_archive};
use crate::fetch::{self, PlatformArgs, RemoteImage};
use crate::memory::CacheArgs;
use crate::origin::Origin;
use crate::outgoing::{Arrived, Keeper, Unfinished, kept_layers, put, put_kept};
use crate::overwrite::Files;
use crate::packing_args::PackingArgs;
use crate::place::Place;
use crate::plan_args::PlanArgs;
use crate::registry_args::RegistryArgs;
use crate::root_script::PlaceArgs;
use crate::strategy;
use crate::whole::{Listed, Whole};
use anyhow::{Result, bail};
use clap::Args;
use layerstone_image::{ImageFile, Merge, StoredImage};
use layerstone_layer::Source;
use layerstone_oci::{Destination, Layer, Location, Reference, Tar, Wanted, drop_annotations_of_bytes, media_type};
use layerstone_spec::Spec;
use layerstone_store::{Digest, Scratch};
use std::collections::BTreeMap;
use std::env::temp_dir;
use std::path::{Path, PathBuf};

/// How images are moved.
#[derive(Args)]
pub struct TransferArgs {
    #[command(flatten)]
    pub platform: PlatformArgs,
    /// Folder that remembers the plan and the layers of an image that is made of a spec
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    #[command(flatten)]
    pub packing: PackingArgs,
    #[command(flatten)]
    pub unpacking: UnpackingArgs,
    #[command(flatten)]
    pub store: StoreArgs,
    #[command(flatten)]
    pub registry: RegistryArgs,
    #[command(flatten)]
    pub place: PlaceArgs,
    #[command(flatten)]
    pub cache: CacheArgs,
}

/// What was put: an image, or the index of several with all of them, and where the bytes of some layers are.
pub enum Either {
    Image(Brought),
    Index(Whole, Option<Scratch>),
}

/// An image that is where it should be but for its name.
pub struct Brought {
    pub arrived: Arrived,
    /// What it calls itself; none if it does not.
    pub name: Option<Reference>,
    /// Where the bytes of some of its layers are, for whoever makes them only when they are asked for.
    pub scratch: Option<Scratch>,
}

/// A file of images, and which of them is meant.
struct Opened {
    file: ImageFile,
    location: Location,
    wanted: Wanted,
}

impl TransferArgs {
    /// The specs of an image.json: all, or the one for the platform that is named.
    pub fn specs(&self, path: &Path) -> Result<Vec<Spec>> {
        let mut specs = Spec::read_all(path)?;
        specs.iter_mut().for_each(|spec| self.place.apply(spec));
        specs.iter().try_for_each(check)?;
        fetch::specs_for(&self.platform.wanted(), specs, path)
    }

    /// Refuses a place that contradicts flags, or is one of the inputs.
    pub fn check_files(&self, origins: &[&Origin], place: &Place) -> Result<()> {
        place.packing(&self.packing)?;
        let mut files = Files::of(&self.store.store()?).reads(self.registry.files());
        for origin in origins {
            if let Origin::Spec(path) = origin {
                for spec in Spec::read_all(path)? {
                    files = files.reads_spec(Some(path), &spec);
                }
            } else {
                files = files.reads(origin.path());
            }
        }
        files.writes_state(self.state.as_deref()).writes_to(place).check()
    }

    /// Puts all of an image but its name. `architecture` is the spec itself if it is one of several.
    pub fn bring_spec(
        &self,
        spec: &Spec,
        path: &Path,
        architecture: Option<&Spec>,
        destination: &dyn Destination,
        packing: &PackingArgs,
        common: &Common,
    ) -> Result<Brought> {
        let (plan, base, place) = (PlanArgs::default(), BaseArgs::default(), &self.place);
        let store = self.store.store()?;
        let state = self.state.as_deref();
        let cache = &self.cache;
        let of = Of { state, plan: &plan, base: &base, place, packing, cache, store: &store };
        let strategy = strategy::of_spec(spec, &path.display().to_string())?;
        let nowhere = Place::Archive(PathBuf::new());
        let target = Target { place: &nowhere, legacy: false, packing, registry: &self.registry };
        let scratch = Scratch::create(&temp_dir())?;
        let mut brought = None;
        of.with_layers(spec, strategy, architecture, &scratch, common, |layers, base, memory| {
            let arrived = oci::put_layers_of(spec, base, layers, destination, &target, memory, common)?;
            let built = Built {
                reference: spec.reference()?.for_image(&arrived.image_id).to_string(),
                image_id: arrived.image_id,
                diff_ids: arrived.diff_ids.clone(),
                manifest: Some(arrived.manifest.clone()),
                placed: arrived.layers.clone(),
                layers_below: base.map_or(0, |base| base.image.layers.len()),
            };
            brought = Some((Some(Reference::unchecked(&built.reference)), arrived));
            Ok(built)
        })?;
        let (name, arrived) = brought.expect("it was made");
        Ok(Brought { arrived, name, scratch: Some(scratch) })
    }

    /// Puts all of an image that is somewhere but its name.
    pub fn bring(
        &self,
        origin: &Origin,
        destination: &dyn Destination,
        packing: &PackingArgs,
        common: &Common,
    ) -> Result<Brought> {
        if let Origin::Registry(reference) = origin
            && !packing.is_given()
        {
            let remote = fetch::image(reference, &self.platform, &self.registry)?;
            return self.bring_remote(&remote, destination, common);
        }
        let scratch = Scratch::create(&temp_dir())?;
        let opened = self.opened(origin, &scratch, common)?;
        self.bring_file(&opened, scratch, destination, packing, common)
    }

    fn bring_file(
        &self,
        opened: &Opened,
        scratch: Scratch,
        destination: &dyn Destination,
        packing: &PackingArgs,
        common: &Common,
    ) -> Result<Brought> {
        let Opened { file, location, wanted } = opened;
        let image = file.image(location, wanted)?;
        let name = name_of(&image, location);
        let arrived = match &image.manifest {
            Some(manifest) if !packing.is_given() => {
                let layers = kept_layers(&image, manifest);
                put_kept(manifest, image.config_bytes.clone(), layers, destination, self.registry.uploads(), common)?
            }
            _ => self.put_again(image, destination, packing, common)?,
        };
        Ok(Brought { arrived, name, scratch: Some(scratch) })
    }

    /// Puts all of an image that is somewhere but its name: one for several platforms with its index, as it is, unless one
    /// of them is asked for.
    pub fn bring_whole(
        &self,
        origin: &Origin,
        destination: &dyn Destination,
        packing: &PackingArgs,
        common: &Common,
    ) -> Result<Either> {
        if self.platform.is_given() {
            return self.bring(origin, destination, packing, common).map(Either::Image);
        }
        let whole = |listed: Listed<'_>| {
            if packing.is_given() {
                bail!("--compression: found an image for several platforms, expected --arch NAME with it");
            }
            listed.bring(destination, &self.registry, common)
        };
        let is_index = |listed: &Listed<'_>| media_type::is_index(&listed.descriptor.media_type);
        if let Origin::Registry(reference) = origin {
            let listed = Listed::of_registry(reference, &self.registry)?;
            if is_index(&listed) {
                return Ok(Either::Index(whole(listed)?, None));
            }
            return self.bring(origin, destination, packing, common).map(Either::Image);
        }
        let scratch = Scratch::create(&temp_dir())?;
        let opened = self.opened(origin, &scratch, common)?;
        let Opened { file, location, .. } = &opened;
        // What has no index is an image, and what has several images says so when one is chosen.
        if let Some(listed) = Listed::of_file(file, location).ok().filter(is_index) {
            match listed.check() {
                Ok(()) => return Ok(Either::Index(whole(listed)?, Some(scratch))),
                Err(e) => {
                    common.warn(format!("{location}: one image of its index is taken, others are not there: {e:#}"))
                }
            }
        }
        self.bring_file(&opened, scratch, destination, packing, common).map(Either::Image)
    }

    fn bring_remote(&self, remote: &RemoteImage, destination: &dyn Destination, common: &Common) -> Result<Brought> {
        let layers = remote.layers();
        let uploads = self.registry.uploads();
        let arrived = put_kept(&remote.manifest, remote.config.clone(), layers, destination, uploads, common)?;
        Ok(Brought { arrived, name: Some(remote.name()), scratch: None })
    }

    /// Compresses the layers of an image anew; its config stays as it is.
    fn put_again(
        &self,
        mut image: StoredImage,
        destination: &dyn Destination,
        packing: &PackingArgs,
        common: &Common,
    ) -> Result<Arrived> {
        make_plain(&mut image, self.unpacking.max(), common)?;
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
        let packing = packing.of_layers(None)?;
        put(&unfinished, packing, destination, self.registry.uploads(), common)
    }

    /// Opens an image that is somewhere, what is not a file here being fetched into the work folder.
    fn stored(&self, origin: &Origin, scratch: &Scratch, common: &Common) -> Result<(StoredImage, Location)> {
        let Opened { file, location, wanted } = self.opened(origin, scratch, common)?;
        Ok((file.image(&location, &wanted)?, location))
    }

    /// Opens a file of images, what is not one being fetched into the work folder.
    fn opened(&self, origin: &Origin, scratch: &Scratch, common: &Common) -> Result<Opened> {
        let mut wanted = self.platform.wanted();
        // Messages call the image what the command line calls it, whatever file it is in on the way.
        let (path, location) = match origin {
            Origin::Spec(path) => bail!("found a spec, expected an image: {}", path.display()),
            Origin::File(location) => (location.path.clone(), location.clone()),
            Origin::Engine(engine, name) => {
                let path = scratch.path().join("saved.tar");
                engine::save(*engine, name, &path)?;
                (path, Location::of(format!("{}:{name}", engine.program())))
            }
            Origin::Registry(reference) => {
                let remote = fetch::image(reference, &self.platform, &self.registry)?;
                if let Some(kind) = remote.manifest.manifest.artifact() {
                    bail!("not an image: {reference}: found an artifact of type {kind}");
                }
                let path = scratch.path().join("fetched");
                let keeper = Keeper::open(&Place::OciLayout(path.clone()), &self.registry, &[])?;
                let Brought { arrived, name, .. } = self.bring_remote(&remote, keeper.destination(), common)?;
                keeper.destination().finish(&arrived.manifest, &arrived.bytes, name.as_ref())?;
                // It was chosen already.
                wanted = Wanted::new(None, None, None).of_base();
                (path, Location::of(reference.to_string()))
            }
        };
        let file = open_file_as(&path, &location.path, self.unpacking.max(), common)?;
        Ok(Opened { file, location, wanted })
    }

    /// Writes a docker archive of an image that is somewhere, or loads it; what it is called there, and its ID.
    pub fn archive(
        &self,
        origin: &Origin,
        name: Option<&Reference>,
        write: &mut dyn FnMut(&Merge) -> Result<()>,
        common: &Common,
    ) -> Result<(Option<Reference>, Digest)> {
        let scratch = Scratch::create(&temp_dir())?;
        let (mut image, location) = self.stored(origin, &scratch, common)?;
        make_plain(&mut image, self.unpacking.max(), common)?;
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
        origin: &Origin,
        name: Option<&Reference>,
        place: &Place,
        common: &Common,
    ) -> Result<(Option<Reference>, Digest)> {
        let mut write = |merge: &Merge| {
            write_archive(&merge.archive(), place, &self.packing, &|_| merge.trailer(), common).map(drop)
        };
        self.archive(origin, name, &mut write, common)
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
