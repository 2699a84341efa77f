//! `layerstone image`: layer files and a spec to a docker archive.

use crate::args::Common;
use crate::args::base::BaseArgs;
use crate::args::cache::CacheArgs;
use crate::args::check::CheckArgs;
use crate::args::compression::CompressionArgs;
use crate::args::registry::RegistryArgs;
use crate::args::result::ResultArgs;
use crate::args::step::StepArgs;
use crate::args::store::StoreArgs;
use crate::overwrite::Files;
use crate::screen::answer::AnswerArgs;
use crate::screen::published::tell_built;
use crate::screen::summary::Work;
use anyhow::Result;
use clap::Args;
use layerstone_layer::{Layer, LayerFile};
use layerstone_pipeline::{
    Checks, Error, ImageTarget, Published, WriteOptions, check_architecture, check_layers, check_places,
    layer_files_of, read_layer, write_image,
};
use layerstone_spec::Spec;
use rayon::prelude::*;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Assemble layers into an image
///
/// Layers given by recipe are made again from the store, and every layer's bytes are checked against its diff ID.
/// A docker archive's name decides on its compression: .tar none, .tar.gz gzip, .tar.zst zstd; elsewhere each layer is
/// compressed, as its layer file says or with gzip. A registry is asked for each layer first, and sent what it lacks.
#[derive(Args)]
pub struct Options {
    /// Layer files, the bottom one first; a directory stands for those that `layer --all` has put there
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
    compression: CompressionArgs,
    #[command(flatten)]
    archive: ArchiveArgs,
    #[command(flatten)]
    check: CheckArgs,
    #[command(flatten)]
    results: ResultArgs,
    #[command(flatten)]
    answer: AnswerArgs,
    #[command(flatten)]
    base: BaseArgs,
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    registry: RegistryArgs,
    #[command(flatten)]
    cache: CacheArgs,
    #[command(flatten)]
    step: StepArgs,
}

/// What is in a docker archive besides the image.
#[derive(Args, Default)]
pub struct ArchiveArgs {
    /// Also write the metadata of docker archives before manifest.json, as dockerTools' buildImage does: ID/json and
    /// ID/VERSION of each layer, and repositories
    #[arg(long)]
    pub legacy: bool,
}

/// Whether the image of a spec has a command of its own.
pub fn has_command(spec: &Spec) -> bool {
    ["Cmd", "Entrypoint"].iter().any(|key| spec.config.get(*key).is_some_and(|words| words.get(0).is_some()))
}

pub fn run(options: &Options, common: &Common) -> Result<()> {
    let since = Instant::now();
    let target = ImageTarget::parse(&options.output)?;
    options.answer.check_stdout(target.is_stdout())?;
    let mut spec = Spec::read(&options.spec)?;
    if let Some(reference) = &options.repo_tag {
        let (name, tag) = reference.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).ok_or_else(|| {
            let message = format!("wrong --repo-tag: found {reference:?}, expected NAME:TAG");
            Error::advised(message, "--repo-tag NAME:latest")
        })?;
        (spec.name, spec.tag) = (name.to_owned(), Some(tag.to_owned()));
    }
    let store = options.store.store()?;
    let files = layer_files_of(&options.layers)?;
    let compression = options.compression.choice()?;
    target.compression(&compression)?;
    let read = Files::of(&store).reads_spec(Some(&options.spec), &spec).reads_layers(&files);
    let read =
        read.reads(options.base.file(Some(&spec))).reads(options.base.key_files()).reads(options.registry.files());
    let written = read.writes(&options.step.depfile).writes_to(&target);
    written.writes(options.results.files()).check()?;
    let registries = options.registry.registries(options.base.limits(), common);
    check_places([], &target, &registries)?;
    let mut step = options.step.begin(&[target.files(), options.results.files().cloned().collect()].concat())?;
    let results = options.results.open()?;
    let (limits, cache) = (options.base.limits(), options.cache.options().open(&store, common)?);
    let read = files.iter().map(|file| file.read());
    let read: Vec<LayerFile> = read.collect::<layerstone_pipeline::Result<_>>()?;
    let base = options.base.open(Some(&spec), &registries, &options.cache, common)?;
    if let Some(base) = &base {
        check_architecture(&spec, base, options.check.checks(), common)?;
        // A layer of the right digest may still be no tar.
        base.tree()?;
    }
    if options.check.checks() != Checks::None {
        let named: Vec<(&Path, &LayerFile)> = files.iter().map(|file| &*file.path).zip(&read).collect();
        check_layers(&named, &spec, base.as_ref(), &store, (options.check.checks(), common))?;
    }
    let layers = files.par_iter().zip(read).map(|(file, layer)| read_layer(file, layer, &store, &cache, limits));
    let layers: Vec<Layer> = layers.collect::<Vec<_>>().into_iter().collect::<layerstone_pipeline::Result<_>>()?;
    let legacy = options.archive.legacy;
    let to = WriteOptions { target: &target, legacy, compression, registries: &registries, leaves: false };
    let checked = (&store, options.check.checks());
    let built = write_image(&spec, base.as_ref(), layers, &to, checked, &cache, common)?;
    results.write(&Published::from(&built))?;
    let work = Work { verb: "built", target: &target, runs: has_command(&spec), since, answer: options.answer };
    tell_built(&built, &work, common)?;
    cache.finish();
    step.file(&options.spec);
    step.files(&options.base.file(Some(&spec)));
    step.files(options.base.key_files());
    files.iter().try_for_each(|layer| step.layer(&store, &layer.path))?;
    Ok(step.finish()?)
}
