//! `layerstone image`: layer files and a spec to a docker archive.

mod config;
pub mod engine;
mod legacy;
pub mod oci;
mod read;

use crate::args::{Common, StoreArgs};
use crate::base::{Base, BaseArgs};
use crate::command::build::on_their_way;
use crate::edge::EdgeArgs;
use crate::memory::{CacheArgs, Memory};
use crate::out::print;
use crate::outgoing::Keeper;
use crate::overwrite::Files;
use crate::packing_args::PackingArgs;
use crate::place::Place;
use crate::registry_args::RegistryArgs;
use anyhow::{Context, Result, bail};
use clap::Args;
use config::facts;
use layerstone_image::{Archive, LayerFacts, LayerMember, MANIFEST_NAME, Target as ArchiveTarget, Trailer};
use layerstone_layer::{BlobCache, CompressionParams, Progress, Recipe, Source};
use layerstone_oci::{Descriptor, LayerOutcome};
use layerstone_spec::Spec;
use layerstone_store::{Digest, Output, StorePath};
use layerstone_tar::Part;
use legacy::Legacy;
use rayon::prelude::*;
use read::{layer_files_of, read_layer};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::{IsTerminal, Write, stdout};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Assemble layers into an image
///
/// Layers given by recipe are made again from the store, and every layer's bytes are checked against its diff ID.
/// A docker archive's name decides on its compression: .tar none, .tar.gz gzip, .tar.zst zstd; elsewhere each layer is
/// compressed, as its layer file says or with gzip. A registry is asked for each layer first, and sent what it lacks.
#[derive(Args)]
pub struct Options {
    /// Layer files, the bottom one first; a folder stands for those that `layer --all` has put there
    #[arg(value_name = "LAYER.JSON", required = true)]
    layers: Vec<PathBuf>,
    /// Image spec: name, tag, config, …
    #[arg(long, value_name = "IMAGE.JSON")]
    spec: PathBuf,
    /// Where to write: FILE (- for stdout), oci:DIR, oci-archive:FILE, registry:HOST/NAME:TAG, docker: or podman:
    #[arg(short, long, value_name = "PLACE")]
    output: OsString,
    /// What the image is called, instead of the spec's name and tag; the last one of several
    #[arg(short = 't', long, alias = "repo_tag", value_name = "NAME:TAG", overrides_with = "repo_tag")]
    repo_tag: Option<String>,
    #[command(flatten)]
    packing: PackingArgs,
    #[command(flatten)]
    archive: ArchiveArgs,
    #[command(flatten)]
    base: BaseArgs,
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    registry: RegistryArgs,
    #[command(flatten)]
    cache: CacheArgs,
    #[command(flatten)]
    edge: EdgeArgs,
}

/// What is in a docker archive besides the image.
#[derive(Args, Default)]
pub struct ArchiveArgs {
    /// Also write what docker archives held before there was a manifest.json: ID/json and ID/VERSION of each layer, and
    /// repositories, as dockerTools' buildImage does
    #[arg(long)]
    pub legacy: bool,
}

pub fn run(options: &Options, common: &Common) -> Result<()> {
    let place = Place::parse(&options.output)?;
    let mut spec = Spec::read(&options.spec)?;
    if let Some(reference) = &options.repo_tag {
        let (name, tag) = reference
            .rsplit_once(':')
            .filter(|(_, tag)| !tag.contains('/'))
            .with_context(|| format!("wrong --repo-tag: found {reference:?}, expected NAME:TAG"))?;
        (spec.name, spec.tag) = (name.to_owned(), Some(tag.to_owned()));
    }
    let store = options.store.store()?;
    let files = layer_files_of(&options.layers)?;
    place.packing(&options.packing)?;
    let read = Files::of(&store).reads_spec(Some(&options.spec), &spec).reads_layers(&files);
    let read = read.reads(options.base.location(Some(&spec)).map(|base| base.path)).reads(options.registry.files());
    read.edge(&options.edge).writes_to(&place).check()?;
    let mut edge = options.edge.begin(&place.files())?;
    let (max, memory) = (options.base.max(), options.cache.open(&store, common)?);
    let layers = files.par_iter().map(|path| read_layer(path, &store, &memory, max));
    let layers: Vec<ImageLayer> = layers.collect::<Vec<_>>().into_iter().collect::<Result<_>>()?;
    let base = options.base.open(Some(&spec), common)?;
    if let Some(base) = &base {
        // A layer of the right digest may still be no tar.
        base.tree()?;
    }
    let legacy = options.archive.legacy;
    let target = Target { place: &place, legacy, packing: &options.packing, registry: &options.registry };
    let on_their_way = on_their_way(&layers);
    let written = write(&spec, base.as_ref(), layers, &target, &memory, common);
    written.map_err(|error| memory.explain(error, &on_their_way))?.tell(&place, common)?;
    memory.finish();
    edge.file(&options.spec);
    edge.base(&options.base, Some(&spec));
    files.iter().try_for_each(|layer| edge.layer(&store, layer))?;
    edge.finish()
}

/// A layer on its way into an image.
pub struct ImageLayer {
    pub source: Source,
    /// Diff ID, if it is known.
    pub expected: Option<Digest>,
    /// What messages call it.
    pub label: PathBuf,
    /// The store paths that it holds; none for a customisation layer.
    pub store_paths: Vec<StorePath>,
    /// What the history says about it; none for what the store paths tell.
    pub comment: Option<String>,
    /// What is known of it compressed.
    pub blob: Option<LayerBlob>,
    /// What makes it from the store, if that is to be remembered.
    pub recipe: Option<Recipe>,
    /// Where it is kept when it is compressed.
    pub blobs: Option<BlobCache>,
}

/// A layer as registries keep it.
pub enum LayerBlob {
    /// What it is when it is compressed so.
    Packed(CompressionParams, Descriptor),
    /// It is there.
    Stored(Descriptor, Part),
}

impl ImageLayer {
    /// A layer without store paths.
    pub fn new(source: Source, expected: Option<Digest>, label: impl Into<PathBuf>) -> ImageLayer {
        let label = label.into();
        ImageLayer {
            source,
            expected,
            label,
            store_paths: Vec::new(),
            comment: None,
            blob: None,
            recipe: None,
            blobs: None,
        }
    }

    /// Whether it is known what it is when it is compressed so, or it goes as it is.
    pub fn is_packed(&self, packing: CompressionParams) -> bool {
        match &self.blob {
            Some(LayerBlob::Packed(known, _)) => *known == packing,
            Some(LayerBlob::Stored(..)) => true,
            None => false,
        }
    }

    fn facts(&self, diff_id: Digest) -> LayerFacts {
        let paths: Vec<&str> = self.store_paths.iter().map(StorePath::as_str).collect();
        match &self.comment {
            Some(comment) => LayerFacts::new(diff_id, comment),
            None if paths.is_empty() => LayerFacts::customisation(diff_id),
            None => LayerFacts::of_paths(diff_id, &paths),
        }
    }
}

/// An image that was written.
pub struct Built {
    pub reference: String,
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
    /// Says what was written, unless stdout holds the image itself.
    pub fn tell(&self, place: &Place, common: &Common) -> Result<()> {
        if place.is_stdout() || common.quiet {
            return Ok(());
        }
        match (&self.manifest, place) {
            (Some(manifest), Place::Registry(_)) => print(format_args!("{}@{}\n", self.reference, manifest.digest)),
            _ => print(format_args!("{} {}\n", self.reference, self.image_id)),
        }
    }
}

/// Where an image goes, and how.
pub struct Target<'a> {
    pub place: &'a Place,
    /// Whether a docker archive holds legacy metadata.
    pub legacy: bool,
    pub packing: &'a PackingArgs,
    pub registry: &'a RegistryArgs,
}

/// Writes an image: the layers of the base, and these on top.
pub fn write(
    spec: &Spec,
    base: Option<&Base>,
    layers: Vec<ImageLayer>,
    target: &Target<'_>,
    memory: &Memory,
    common: &Common,
) -> Result<Built> {
    match target.place {
        place if !place.keeps_oci_images() => write_docker_archive(spec, base, layers, target, common),
        place if target.legacy => bail!("--legacy: found {place}, expected a docker archive with it"),
        place => {
            let since = Instant::now();
            let keeper = Keeper::open(place, target.registry, &[])?;
            let built = oci::write(spec, base, layers, &keeper, target, memory, common)?;
            keeper.tell(since, common);
            Ok(built)
        }
    }
}

fn write_docker_archive(
    spec: &Spec,
    base: Option<&Base>,
    layers: Vec<ImageLayer>,
    target: &Target<'_>,
    common: &Common,
) -> Result<Built> {
    let (facts, warnings) = facts(spec, base, layers.len())?;
    warnings.into_iter().for_each(|warning| common.warn(warning));
    let reference = spec.reference()?;
    let layers: Vec<ImageLayer> = base.map_or_else(Vec::new, Base::layers).into_iter().chain(layers).collect();
    let legacy = match target.legacy {
        true => Some(Legacy::new(spec, &facts, base, &layers, common)?),
        false => None,
    };
    let (members, places) = members(&layers, legacy.as_ref());
    let archive = Archive { base: None, directories: &[], layers: members, mtime: spec.mtime.seconds()? };
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
    let diff_ids = write_archive(&archive, target.place, target.packing, &trailer, common)?;
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
    place: &Place,
    packing: &PackingArgs,
    trailer: &dyn Fn(&[Digest]) -> Trailer,
    common: &Common,
) -> Result<Vec<Digest>> {
    let count = archive.layers.len();
    let pipe = |out: &mut (dyn Write + Send), name: &Path, packing: Option<CompressionParams>| {
        let write = |progress: &Progress| archive.write(ArchiveTarget::Pipe(out, name), packing, trailer, progress);
        common.progress().during("writing", Some(archive.work(false)), count, write)
    };
    let output = match place {
        Place::Engine(engine) => return engine::load(*engine, |out, name| pipe(out, name, None)),
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
    let write = |progress: &_| archive.write(ArchiveTarget::File(&mut file), packing, trailer, progress);
    let diff_ids = common.progress().during("writing", Some(work), count, write)?;
    file.commit()?;
    Ok(diff_ids)
}
