//! `layerstone image`: layer files and a spec to a docker archive.

mod legacy;

use crate::args::{Common, StoreArgs};
use crate::base::{Base, BaseArgs};
use crate::out::print;
use anyhow::{Context, Result, bail};
use clap::Args;
use layerstone_image::{
    Archive, ImageFacts, LAYERS_OF_DOCKER, LayerFacts, LayerMember, MANIFEST_NAME, Spec, Target as ArchiveTarget,
    Trailer,
};
use layerstone_layer::{Codec, LayerFile, Packing, Source, store_layout};
use layerstone_stage::{Digest, Output, Store, StorePath};
use legacy::Legacy;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{IsTerminal, stdout};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Assemble layers into an image that docker loads
///
/// Layers given by recipe are made again from the store, and every layer's bytes are checked against its diff ID. The
/// output's name decides on compression: .tar none, .tar.gz gzip, .tar.zst zstd.
#[derive(Args)]
pub struct Options {
    /// Layer files, the bottom one first
    #[arg(value_name = "LAYER.JSON", required = true)]
    layers: Vec<PathBuf>,
    /// Image spec: name, tag, config, …
    #[arg(long, value_name = "IMAGE.JSON")]
    spec: PathBuf,
    /// Image to write, - for stdout
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    archive: ArchiveArgs,
    #[command(flatten)]
    base: BaseArgs,
    #[command(flatten)]
    store: StoreArgs,
}

/// What is in a docker archive besides the image.
#[derive(Args)]
pub struct ArchiveArgs {
    /// Also write what docker archives held before there was a manifest.json: ID/json and ID/VERSION of each layer, and
    /// repositories, as dockerTools' buildImage does
    #[arg(long)]
    pub legacy: bool,
}

pub fn run(options: &Options, common: &Common) -> Result<()> {
    let spec = Spec::read(&options.spec)?;
    let store = options.store.store()?;
    let layers: Vec<ImageLayer> = options.layers.iter().map(|path| read_layer(path, &store)).collect::<Result<_>>()?;
    let base = options.base.open(Some(&spec), common)?;
    if let Some(base) = &base {
        // A layer of the right digest may still be no tar.
        base.tree()?;
    }
    let target = Target { output: &options.output, legacy: options.archive.legacy };
    let built = write(&spec, base.as_ref(), layers, &target, common)?;
    built.tell(&options.output, common)
}

fn read_layer(path: &Path, store: &Store) -> Result<ImageLayer> {
    let layer = LayerFile::read(path)?;
    let source = match (&layer.recipe, layer.blob_path(path)) {
        (Some(recipe), _) => {
            let store = Store::new(&recipe.store, store.root())?;
            Source::Layout(store_layout(&store, recipe)?)
        }
        (None, Some(blob)) => Source::blob(&blob)?,
        (None, None) => bail!("no blob and no recipe: {}", path.display()),
    };
    if source.size() != layer.size {
        let (found, expected) = (source.size(), layer.size);
        bail!("wrong size: {}: found a layer of {found} bytes, expected {expected}", path.display());
    }
    let LayerFile { diff_id, store_paths, comment, .. } = layer;
    Ok(ImageLayer { store_paths, comment, ..ImageLayer::new(source, Some(diff_id), path) })
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
}

impl ImageLayer {
    /// A layer without store paths.
    pub fn new(source: Source, expected: Option<Digest>, label: impl Into<PathBuf>) -> ImageLayer {
        ImageLayer { source, expected, label: label.into(), store_paths: Vec::new(), comment: None }
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
}

impl Built {
    /// Says what was written, unless stdout holds the image itself.
    pub fn tell(&self, output: &Path, common: &Common) -> Result<()> {
        if output == Path::new("-") || common.quiet {
            return Ok(());
        }
        print(format_args!("{} {}\n", self.reference, self.image_id))
    }
}

/// Where an image goes.
pub struct Target<'a> {
    /// The archive's file, - for stdout.
    pub output: &'a Path,
    /// Whether it holds legacy metadata.
    pub legacy: bool,
}

/// Writes an image: the layers of the base, and these on top.
pub fn write(
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
    let archive = Archive { base: None, layers: members, mtime: spec.mtime.seconds()? };
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
        let reference = reference.for_image(&image.image_id);
        let manifest = image.manifest(std::slice::from_ref(&reference));
        let mut members = legacy.as_ref().map_or(Trailer::new(), |legacy| legacy.trailer(&reference));
        members.extend([(image.config_name(), image.config), (MANIFEST_NAME.to_owned(), manifest)]);
        members
    };
    let diff_ids = write_archive(&archive, target.output, &trailer, common)?;
    let image_id = finished(&diff_ids).image_id;
    Ok(Built { reference: reference.for_image(&image_id), image_id, diff_ids: all(&diff_ids) })
}

/// What the image says, and what the user should know about it; so many layers come on top of the base.
fn facts(spec: &Spec, base: Option<&Base>, layers: usize) -> Result<(ImageFacts, Vec<String>)> {
    let mut warnings = spec.warnings();
    let Some(Base { image, .. }) = base else { return Ok((spec.facts()?, warnings)) };
    warnings.extend(spec.warnings_over(&image.config, &image.name)?);
    let total = image.layers.len() + layers;
    if total > LAYERS_OF_DOCKER {
        warnings.push(format!("the image has {total} layers, docker loads images of at most {LAYERS_OF_DOCKER}"));
    }
    Ok((spec.facts_over(&image.config, &image.name)?, warnings))
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

/// Writes an archive to a file, compressed as its name says, or to stdout for `-`.
pub fn write_archive(
    archive: &Archive<'_>,
    output: &Path,
    trailer: &dyn Fn(&[Digest]) -> Trailer,
    common: &Common,
) -> Result<Vec<Digest>> {
    let count = archive.layers.len();
    if output == Path::new("-") {
        let out = stdout();
        if out.is_terminal() {
            bail!("stdout is a terminal: expected a file or a pipe, such as `| docker load`");
        }
        // Past std's line buffer, which would look for newlines in the tar.
        let mut out = File::from(out.as_fd().try_clone_to_owned().context("cannot write: stdout")?);
        let name = Path::new("stdout");
        let write = |meter: &_| archive.write(ArchiveTarget::Pipe(&mut out, name), None, trailer, meter);
        return Ok(common.progress().during("writing", Some(archive.work(false)), count, write)?);
    }
    let packing = Codec::of_name(output.as_os_str().as_bytes()).map(Packing::from);
    let mut file = Output::create(output)?;
    let work = archive.work(file.is_seekable());
    let write = |meter: &_| archive.write(ArchiveTarget::File(&mut file), packing, trailer, meter);
    let diff_ids = common.progress().during("writing", Some(work), count, write)?;
    file.commit()?;
    Ok(diff_ids)
}
