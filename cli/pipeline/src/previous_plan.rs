//! The plan of the image before, which a new plan keeps: a plan file, or an image wherever it is, by the store paths of
//! its layers.
//!
//! An image of ours says in annotations which store paths a layer holds, and one of nixpkgs in its history, so that the
//! manifest and the config are all that is fetched of a registry. The layers of any other are looked into.

use crate::base_image::make_plain;
use crate::known_layers::KnownLayers;
use crate::{Error, ImageTarget, Opener, Result, remote};
use layerstone_image::{Error as ImageError, ImageSummary, store_paths_of};
use layerstone_layering::{Plan, Previous};
use layerstone_oci::{Location, Place, Reference, StoredManifest, Wanted, split_kind};
use layerstone_registry::Error as RegistryError;
use layerstone_store::StorePath;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The word for the image that an output replaces.
const AUTO: &str = "auto";

/// Where the plan of the image before is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PreviousPlan {
    /// A plan file; `-` is standard input.
    File(PathBuf),
    /// An image.
    Image(Place),
    /// The image that the output replaces, if there is one.
    Replaced,
}

impl PreviousPlan {
    /// Reads what `--previous` says: `auto`, a place, or a file of either kind, told apart by its first byte.
    ///
    /// # Errors
    ///
    /// It names no place.
    pub fn parse(text: &OsStr) -> Result<PreviousPlan> {
        if text == AUTO {
            return Ok(PreviousPlan::Replaced);
        }
        if split_kind(text).is_some() {
            return Ok(PreviousPlan::Image(Place::parse(text)?));
        }
        match Location::parse(text) {
            location if location.reference().is_some() || holds_image(&location.path) => {
                Ok(PreviousPlan::Image(Place::parse(text)?))
            }
            location => Ok(PreviousPlan::File(location.path)),
        }
    }

    /// The file or directory that is read, if it is one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            PreviousPlan::File(path) => Some(path),
            PreviousPlan::Image(place) => place.path(),
            PreviousPlan::Replaced => None,
        }
    }

    /// Reads which layers an image has, and how they were made.
    ///
    /// # Errors
    ///
    /// It cannot be read or fetched, or is no image.
    pub(crate) fn layers(&self, images: &PreviousImages<'_>) -> Result<KnownLayers> {
        match self {
            PreviousPlan::File(path) => {
                bail!("--known: found no image at {}, expected one, or auto", path.display())
            }
            PreviousPlan::Image(place) => images.layers(place),
            PreviousPlan::Replaced => {
                let Some(place) = &images.replaced else { return Ok(KnownLayers::default()) };
                match images.layers(place) {
                    Err(error) if is_missing(&error) => Ok(KnownLayers::default()),
                    layers => layers,
                }
            }
        }
    }

    /// Reads it.
    ///
    /// # Errors
    ///
    /// It cannot be read or fetched, or is neither a plan nor an image.
    pub(crate) fn read(&self, images: &PreviousImages<'_>) -> Result<Option<Previous>> {
        match self {
            PreviousPlan::File(path) => Ok(Some(Previous::read(path)?)),
            PreviousPlan::Image(place) => Ok(Some(Previous::new(&place.to_string(), images.plan(place)?))),
            PreviousPlan::Replaced => {
                let Some(place) = &images.replaced else { return Ok(None) };
                match images.plan_of(place) {
                    Ok(plan) => Ok(Some(Previous::replaced(&place.to_string(), plan))),
                    Err(error) if is_missing(&error) => Ok(None),
                    Err(error) => Err(error),
                }
            }
        }
    }
}

/// Whether a path leads to an image rather than to a plan, which is JSON. What is no file is not read twice.
fn holds_image(path: &Path) -> bool {
    if !path.is_file() {
        return path.is_dir();
    }
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(64).read_to_end(&mut start));
    let first = start.iter().find(|byte| !byte.is_ascii_whitespace());
    // What cannot be read is told as a plan that cannot be.
    read.is_ok() && first.is_some_and(|byte| !matches!(byte, b'{' | b'['))
}

/// How the image before is found and read.
pub struct PreviousImages<'a> {
    /// The image that the output replaces, if it may be there.
    pub replaced: Option<Place>,
    /// The store whose paths count.
    pub store_dir: &'a str,
    /// The platform that is meant, of an image for several.
    pub wanted: Wanted,
    /// How images are opened.
    pub opener: Opener<'a>,
}

impl PreviousImages<'_> {
    /// The plan of an image.
    ///
    /// # Errors
    ///
    /// It cannot be read or fetched, or holds no store path.
    pub fn plan(&self, place: &Place) -> Result<Plan> {
        let plan = self.plan_of(place)?;
        if plan.layers.is_empty() {
            bail!("no plan: {place}: found no store path of {} in its layers", self.store_dir);
        }
        Ok(plan)
    }

    /// How the layers of an image were made, by its manifest; of a docker archive, which has none, nothing is known.
    fn layers(&self, place: &Place) -> Result<KnownLayers> {
        let PreviousImages { wanted, opener, .. } = self;
        if let Place::Registry(reference) = place {
            let image = remote::image(reference, wanted, opener.registries)?;
            return Ok(KnownLayers::of(&image.manifest.manifest, &image.config));
        }
        let image = opener.open(place, wanted)?.image()?;
        let known = |stored: &StoredManifest| KnownLayers::of(&stored.manifest, &image.config_bytes);
        Ok(image.manifest.as_ref().map(known).unwrap_or_default())
    }

    /// The store paths of the layers that have some, bottom first.
    fn plan_of(&self, place: &Place) -> Result<Plan> {
        let PreviousImages { store_dir, wanted, opener, .. } = self;
        if let Place::Registry(reference) = place {
            let image = remote::image(reference, wanted, opener.registries)?;
            let summary = ImageSummary::of_manifest(&image.manifest, &image.config, &reference.to_string())?;
            if let Some(plan) = plan_of_summary(&summary, store_dir) {
                return Ok(plan);
            }
            // Nothing says what the layers hold, so that they are needed.
        }
        let mut image = opener.open(place, wanted)?.image()?;
        if let Some(plan) = plan_of_summary(&ImageSummary::of(&image)?, store_dir) {
            return Ok(plan);
        }
        make_plain(&mut image, opener.limits, opener.report)?;
        let layers = store_paths_of(&image, store_dir)?.layers;
        Ok(plan_of_layers(layers.into_iter().map(|paths| paths.into_keys().collect())))
    }
}

/// The plan that annotations or the history of an image tell; none if they name no path of the store.
fn plan_of_summary(summary: &ImageSummary, store_dir: &str) -> Option<Plan> {
    let is_ours = |path: &StorePath| path.store_dir() == store_dir;
    let paths =
        |paths: &[String]| paths.iter().filter_map(|path| StorePath::parse(path).ok()).filter(is_ours).collect();
    let plan = plan_of_layers(summary.layers.iter().map(|layer| paths(&layer.store_paths)));
    Some(plan).filter(|plan| !plan.layers.is_empty())
}

/// A path that several layers hold counts as one of the lowest, as a plan has each once.
fn plan_of_layers(layers: impl Iterator<Item = Vec<StorePath>>) -> Plan {
    let mut seen = BTreeSet::new();
    let layers = layers.map(|layer| layer.into_iter().filter(|path| seen.insert(path.clone())).collect::<Vec<_>>());
    Plan::new(layers.filter(|layer| !layer.is_empty()).collect())
}

/// Whether an image that may be missing is missing.
fn is_missing(error: &Error) -> bool {
    matches!(
        error,
        Error::Registry(RegistryError::NotFound { .. })
            | Error::Image(ImageError::NoSuchImage { .. })
            | Error::NoImage { .. }
    )
}

impl ImageTarget {
    /// The image that one of this name replaces there, if it may be there; `flag` asked for it.
    ///
    /// # Errors
    ///
    /// The target is an engine or stdout, of which that is not known.
    pub fn replaced(&self, name: Option<&Reference>, flag: &str) -> Result<Option<Place>> {
        match self {
            _ if self.is_stdout() => bail!("{flag} auto: found -, expected an output that can be read"),
            ImageTarget::Engine(_) => bail!("{flag} auto: found {self}, expected a file, oci:DIR or a registry"),
            ImageTarget::Archive(path) | ImageTarget::DockerArchive(path) | ImageTarget::OciArchive(path) => {
                Ok(path.exists().then(|| Place::File(Location::of(path))))
            }
            ImageTarget::OciLayout(path) => {
                let is_there = path.join("index.json").exists();
                let of = |name: &Reference| Location {
                    name: Some(name.name().to_owned()),
                    tag: Some(name.tag_or_latest().to_owned()),
                    ..Location::of(path)
                };
                Ok(name.filter(|_| is_there).map(|name| Place::File(of(name))))
            }
            ImageTarget::Registry(reference) => {
                let own = name.and_then(Reference::tag);
                let place = |tag: &str| Reference::new(reference.name(), Some(tag)).ok().map(Place::Registry);
                Ok(reference.tag().or(own).and_then(place))
            }
        }
    }
}
