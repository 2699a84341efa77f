//! The image of a spec: layers over a base, with the config that both make.

mod config;
mod legacy;
mod read;

pub use config::check_architecture;
pub use read::{FoundLayer, layer_files_of, read_layer};

use crate::destination::{Destination, WriteOptions};
use crate::docker_destination::DockerDestination;
use crate::runnable::{ImageFiles, asks_for_files, doubts};
use crate::{BaseImage, BuildCache, Error, ImageTarget, Report, Result, Tally};
use config::facts;
use layerstone_image::{ImageFacts, LayerFacts};
use layerstone_layer::Layer;
use layerstone_oci::{Config, Image, Place, PutImage, is_mounted};
use layerstone_spec::{LAYERS_OF_DOCKER, Spec};
use layerstone_store::{Digest, Limits, Store};
use legacy::Legacy;
use std::collections::BTreeMap;

/// Annotations of what an image is built on (OCI image-spec, annotations.md).
const BASE_NAME: &str = "org.opencontainers.image.base.name";
const BASE_DIGEST: &str = "org.opencontainers.image.base.digest";

/// An image that was built.
pub struct Built {
    /// `NAME:TAG`, with the registry if it is in one.
    pub reference: String,
    /// What it is where it was written.
    pub image: PutImage,
    /// What became of its layers.
    pub tally: Tally,
}

/// Whether an image is checked before it is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checks {
    /// What keeps it from running is a warning.
    #[default]
    Warn,
    /// It is an error.
    Strict,
    /// Nobody looks.
    None,
}

/// The image of a spec: the layers of the base, and these on top. What is likely wrong with it is reported.
///
/// # Errors
///
/// The spec has no valid name or time, its config does not fit the base's, or a check fails.
pub fn image_of<'a>(
    spec: &'a Spec,
    base: Option<&BaseImage>,
    own: Vec<Layer>,
    checked: (&Store, Checks),
    report: &dyn Report,
) -> Result<Image<'a>> {
    let (facts, warnings) = facts(spec, base)?;
    let layers: Vec<Layer> = base.map_or_else(Vec::new, |base| base.layers_below()).into_iter().chain(own).collect();
    warnings.into_iter().for_each(|warning| report.warn(warning));
    if layers.len() > LAYERS_OF_DOCKER {
        report.warn(format_args!(
            "the image has {} layers, docker loads images of at most {LAYERS_OF_DOCKER}",
            layers.len()
        ));
    }
    let limits = base.map_or_else(Limits::default, |base| base.limits);
    check(&facts, &layers, limits, checked, report)?;
    let described = layers.clone();
    let config = move |diff_ids: &[Digest]| {
        let facts_of = |(layer, diff_id): (&Layer, &Digest)| LayerFacts::of(layer, *diff_id);
        facts.finish(&described.iter().zip(diff_ids).map(facts_of).collect::<Vec<_>>()).config
    };
    Ok(Image {
        name: Some(spec.reference()?),
        layers,
        config: Config::Made(Box::new(config)),
        manifest: None,
        annotations: annotations(spec, base),
        mtime: spec.mtime.seconds()?,
        compression: spec.compression,
    })
}

/// The annotations of an image: those of its spec, and which image of a registry it is built on (OCI image-spec,
/// annotations.md).
fn annotations(spec: &Spec, base: Option<&BaseImage>) -> BTreeMap<String, String> {
    let mut annotations = BTreeMap::new();
    if let Some(origin) = base.and_then(|base| base.origin.as_ref()) {
        let name = if origin.tag().is_some() { origin.tagged() } else { origin.clone() };
        annotations.insert(BASE_NAME.to_owned(), name.to_string());
        annotations.extend(origin.digest().map(|digest| (BASE_DIGEST.to_owned(), digest.to_string())));
    }
    annotations.extend(spec.annotations.clone());
    annotations
}

/// Tells what keeps an image from running.
fn check(
    facts: &ImageFacts,
    layers: &[Layer],
    limits: Limits,
    (store, checks): (&Store, Checks),
    report: &dyn Report,
) -> Result<()> {
    if checks == Checks::None || !asks_for_files(&facts.config) {
        return Ok(());
    }
    if layers.iter().any(|layer| layer.tar.is_none()) {
        report.notice(
            "whether the image runs was not checked: layers of its base were not fetched (--strict fetches them)",
        );
        return Ok(());
    }
    // What is wrong with a layer is told when it is read to be written.
    let Ok(files) = ImageFiles::of_layers(layers, store, limits) else { return Ok(()) };
    let doubts = doubts(&facts.config, &facts.architecture, &files)?;
    if checks == Checks::Strict && !doubts.is_empty() {
        let doubts: Vec<String> = doubts.iter().map(|doubt| format!("\n  {doubt}")).collect();
        let hint = "without --strict this is a warning, --no-check does not look";
        return Err(Error::advised(format_args!("the image would not run:{}", doubts.concat()), hint));
    }
    doubts.iter().for_each(|doubt| report.warn(doubt));
    Ok(())
}

/// Writes the image of layer files. Where a layer is not what the cache says, the error names the files that are not what
/// they were, and the cache forgets the layer.
///
/// # Errors
///
/// A layer is not what it was, or the image cannot be written.
pub fn write_image(
    spec: &Spec,
    base: Option<&BaseImage>,
    layers: Vec<Layer>,
    to: &WriteOptions<'_>,
    checked: (&Store, Checks),
    cache: &BuildCache<'_>,
    report: &dyn Report,
) -> Result<Built> {
    let of_store = layers.clone();
    let written = write(spec, base, layers, to, checked, cache, report);
    let built = written.map_err(|error| cache.explain(error, &of_store))?;
    let below = base.map_or(0, |base| base.layer_count());
    Ok(Built { tally: built.tally.built(below, &[]), ..built })
}

/// Writes an image: the layers of the base, and these on top.
pub(crate) fn write(
    spec: &Spec,
    base: Option<&BaseImage>,
    layers: Vec<Layer>,
    to: &WriteOptions<'_>,
    checked: (&Store, Checks),
    cache: &BuildCache<'_>,
    report: &dyn Report,
) -> Result<Built> {
    refuse_lost_mounts(&layers, to.target)?;
    let from: Vec<Place> = base.and_then(|base| base.origin.clone()).map(Place::Registry).into_iter().collect();
    let destination = to.open(&from, cache.archives.as_ref())?;
    let image = image_of(spec, base, layers, checked, report)?;
    if !to.legacy {
        return write_to(image, &*destination, cache, report);
    }
    let legacy = Legacy::new(spec, base, &image.layers, report)?;
    write_to(image, &DockerDestination::new(to, Some(&legacy), cache.archives.as_ref()), cache, report)
}

/// Refuses a docker archive of an image whose store paths are mounted: it has no place for what says so.
fn refuse_lost_mounts(layers: &[Layer], target: &ImageTarget) -> Result<()> {
    if target.keeps_oci_images() || !layers.iter().any(|layer| is_mounted(&layer.annotations)) {
        return Ok(());
    }
    let message =
        format!("cannot write: {target}: found mount points of nix-snapshotter, expected an OCI image with them");
    Err(Error::advised(
        message,
        "-o oci-archive:FILE, oci:DIR or registry:HOST/NAME:TAG keeps the annotations that name them",
    ))
}

/// Writes an image that was built. The cache describes its layers compressed, and keeps what they become.
pub(crate) fn write_to(
    mut image: Image<'_>,
    destination: &dyn Destination,
    cache: &BuildCache<'_>,
    report: &dyn Report,
) -> Result<Built> {
    let params = destination.compression(&image);
    cache.describe_blobs(&mut image.layers, params);
    let put = destination.write(&image, report)?;
    cache.put_blobs(&image.layers, &put, params);
    let name = put.name.as_ref().expect("the image of a spec has a name");
    let tally = Tally { pushed: destination.pushed(), ..Tally::of(&image.layers, &put) };
    Ok(Built { reference: destination.called(name), image: put, tally })
}
