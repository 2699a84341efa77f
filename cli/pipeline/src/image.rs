//! An image: its layers on their way, and what it is where it was written.

mod config;
mod legacy;
pub(crate) mod oci;
mod read;

pub use read::{layer_files_of, read_layer};

use crate::build_cache::StoreLayer;
use crate::error::Context;
use crate::image_layer::ImageLayer;
use crate::open_target::{Arrived, OpenTarget};
use crate::{BaseImage, BuildCache, CompressionChoice, ImageTarget, Registries, Report, Result, engine};
use config::facts;
use layerstone_image::{Archive, LayerFacts, LayerMember, MANIFEST_NAME, Target as ArchiveTarget, Trailer};
use layerstone_layer::{CompressionParams, Progress};
use layerstone_oci::{Descriptor, LayerOutcome};
use layerstone_spec::Spec;
use layerstone_store::{Digest, Output};
use legacy::Legacy;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{IsTerminal, Write, stdout};
use std::os::fd::AsFd;
use std::path::Path;

/// An image that was written.
pub struct Built {
    /// `NAME:TAG`, with the registry if it is in one.
    pub reference: String,
    /// sha256 of its config.
    pub image_id: Digest,
    /// The layers' diff IDs, bottom first.
    pub diff_ids: Vec<Digest>,
    /// Its manifest, where it has one.
    pub manifest: Option<Descriptor>,
    /// What each of its layers is there, if it has a manifest.
    pub placed: Vec<LayerOutcome>,
    /// How many of its layers are the base's.
    pub layers_below: usize,
}

impl Built {
    /// An image that has arrived under a name.
    pub(crate) fn of(reference: String, arrived: &Arrived, base: Option<&BaseImage>) -> Built {
        Built {
            reference,
            image_id: arrived.image_id,
            diff_ids: arrived.diff_ids.clone(),
            manifest: Some(arrived.manifest.clone()),
            placed: arrived.layers.clone(),
            layers_below: base.map_or(0, |base| base.image.layers.len()),
        }
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
}

impl<'a> WriteOptions<'a> {
    /// No legacy metadata, and the usual compression.
    pub fn new(target: &'a ImageTarget, registries: &'a Registries) -> WriteOptions<'a> {
        WriteOptions { target, legacy: false, compression: CompressionChoice::default(), registries }
    }
}

/// Writes an image: the layers of the base, and these on top. Where a layer is not what the cache says, the error names
/// the files that are not what they were, and the cache forgets the layer.
///
/// # Errors
///
/// A layer is not what it was, or the image cannot be written.
pub fn write_image(
    spec: &Spec,
    base: Option<&BaseImage>,
    layers: Vec<ImageLayer>,
    to: &WriteOptions<'_>,
    cache: &BuildCache<'_>,
    report: &dyn Report,
) -> Result<Built> {
    let of_store = StoreLayer::among(&layers);
    write(spec, base, layers, to, cache, report).map_err(|error| cache.explain(error, &of_store))
}

/// Writes an image: the layers of the base, and these on top.
pub(crate) fn write(
    spec: &Spec,
    base: Option<&BaseImage>,
    layers: Vec<ImageLayer>,
    to: &WriteOptions<'_>,
    cache: &BuildCache<'_>,
    report: &dyn Report,
) -> Result<Built> {
    match to.target {
        place if !place.keeps_oci_images() => write_docker_archive(spec, base, layers, to, report),
        place if to.legacy => bail!("--legacy: found {place}, expected a docker archive with it"),
        place => {
            let open = OpenTarget::open(place, to.registries, &[])?;
            let built = oci::write(spec, base, layers, &open, (to.compression, to.registries.uploads), cache, report)?;
            open.report_sent(report);
            Ok(built)
        }
    }
}

fn write_docker_archive(
    spec: &Spec,
    base: Option<&BaseImage>,
    layers: Vec<ImageLayer>,
    to: &WriteOptions<'_>,
    report: &dyn Report,
) -> Result<Built> {
    let (facts, warnings) = facts(spec, base, layers.len())?;
    warnings.into_iter().for_each(|warning| report.warn(warning));
    let reference = spec.reference()?;
    let layers: Vec<ImageLayer> = base.map_or_else(Vec::new, BaseImage::layers).into_iter().chain(layers).collect();
    let legacy = match to.legacy {
        true => Some(Legacy::new(spec, &facts, base, &layers, report)?),
        false => None,
    };
    let (members, places) = members(&layers, legacy.as_ref());
    let archive = Archive { before: &[], layers: members, mtime: spec.mtime.seconds()? };
    let all = |diff_ids: &[Digest]| -> Vec<Digest> { places.iter().map(|&place| diff_ids[place]).collect() };
    let finished = |diff_ids: &[Digest]| {
        let layer = |(index, (layer, diff_id)): (usize, (&ImageLayer, Digest))| {
            let facts = layer.facts(diff_id);
            LayerFacts { name: legacy.as_ref().map_or(facts.name, |legacy| legacy.layer_name(index)), ..facts }
        };
        facts.finish(&layers.iter().zip(all(diff_ids)).enumerate().map(layer).collect::<Vec<_>>())
    };
    let trailer = |diff_ids: &[Digest]| -> Trailer {
        let image = finished(diff_ids);
        let reference = reference.for_image(&image.image_id).to_string();
        let manifest = image.manifest(std::slice::from_ref(&reference));
        let mut members = legacy.as_ref().map_or(Trailer::new(), |legacy| legacy.trailer(&reference));
        members.extend([(image.config_name(), image.config), (MANIFEST_NAME.to_owned(), manifest)]);
        members
    };
    let diff_ids = write_archive(&archive, to.target, &to.compression, &trailer, report)?;
    let image_id = finished(&diff_ids).image_id;
    let (reference, diff_ids) = (reference.for_image(&image_id).to_string(), all(&diff_ids));
    let layers_below = base.map_or(0, |base| base.image.layers.len());
    Ok(Built { reference, image_id, diff_ids, manifest: None, placed: Vec::new(), layers_below })
}

/// The layers as members of an archive, and the member of each. One that stands twice, as far as its digest is known, is
/// stored once, but for legacy metadata, in which it has two IDs.
fn members(layers: &[ImageLayer], legacy: Option<&Legacy>) -> (Vec<LayerMember>, Vec<usize>) {
    let (mut members, mut places, mut known) = (Vec::new(), Vec::new(), BTreeMap::new());
    for (index, layer) in layers.iter().enumerate() {
        let next = members.len();
        let place = match (legacy, layer.expected) {
            (None, Some(digest)) => *known.entry(digest).or_insert(next),
            _ => next,
        };
        if place == next {
            let member = LayerMember::new(layer.source.clone(), layer.expected, layer.label.clone());
            members.push(LayerMember { name: legacy.map(|legacy| legacy.layer_name(index)), ..member });
        }
        places.push(place);
    }
    (members, places)
}

/// Writes an archive to a file, compressed as the flags or its name say, to stdout for `-`, or into what loads images.
pub fn write_archive(
    archive: &Archive<'_>,
    place: &ImageTarget,
    packing: &CompressionChoice,
    trailer: &dyn Fn(&[Digest]) -> Trailer,
    report: &dyn Report,
) -> Result<Vec<Digest>> {
    let count = archive.layers.len();
    let pipe = |out: &mut (dyn Write + Send), name: &Path, packing: Option<CompressionParams>| {
        let write = |meter: &Progress| archive.write(ArchiveTarget::Pipe(out, name), packing, trailer, meter);
        report.during("writing", Some(archive.work(false)), count, write)
    };
    let output = match place {
        ImageTarget::Engine(engine) => return engine::load(*engine, |out, name| pipe(out, name, None)),
        place => place.path().expect("it is a file"),
    };
    if place.is_stdout() {
        let out = stdout();
        if out.is_terminal() {
            bail!("stdout is a terminal: expected a file or a pipe, such as `| docker load`");
        }
        // Past std's line buffer, which would look for newlines in the tar.
        let mut out = File::from(out.as_fd().try_clone_to_owned().context("cannot write: stdout")?);
        return Ok(pipe(&mut out, Path::new("stdout"), place.packing(packing)?)?);
    }
    let packing = place.packing(packing)?;
    let mut file = Output::create(output)?;
    let work = archive.work(file.is_seekable());
    let write = |meter: &_| archive.write(ArchiveTarget::File(&mut file), packing, trailer, meter);
    let diff_ids = report.during("writing", Some(work), count, write)?;
    file.commit()?;
    Ok(diff_ids)
}
