//! `layerstone build`: all stages in one process.

mod dry_run;
mod image_args;
mod layers_args;
mod resolve;

use crate::args::Common;
use crate::args::base::BaseArgs;
use crate::args::cache::CacheArgs;
use crate::args::check::CheckArgs;
use crate::args::companion::CompanionArgs;
use crate::args::compression::CompressionArgs;
use crate::args::erofs::ErofsArgs;
use crate::args::known::KnownArgs;
use crate::args::plan::PlanArgs;
use crate::args::registry::RegistryArgs;
use crate::args::result::ResultArgs;
use crate::args::sandbox::SandboxArgs;
use crate::args::script::ScriptArgs;
use crate::args::step::StepArgs;
use crate::args::store::StoreArgs;
use crate::args::strategy::INPUTS;
use crate::command::image::{ArchiveArgs, has_command};
use crate::overwrite::Files;
use crate::screen::answer::AnswerArgs;
use crate::screen::published::{tell_built, tell_built_and_published, tell_published};
use crate::screen::summary::Work;
use anyhow::{Context, Result, bail};
use clap::Args;
use image_args::ImageArgs;
use layers_args::LayersArgs;
use layerstone_layering::Strategy;
use layerstone_pipeline::{
    BuildOptions, Builder, CacheOptions, Error, ImageTarget, Published, Registries, WriteOptions, build_index,
    check_places, publish_image,
};
use layerstone_spec::Spec;
use layerstone_store::Store;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Instant;

/// What the command is called.
const NAME: &str = "build";

/// Make an image in one go: root, closure, layers, layer, image
///
/// Everything comes from an image.json, from flags, or from both, where flags win.
#[derive(Args)]
pub struct Options {
    /// Image spec, - for stdin
    #[arg(id = INPUTS, value_name = "IMAGE.JSON", required_unless_present_any = ["spec_flag", "name", "repo_tag", "strategy"])]
    spec: Option<PathBuf>,
    /// The same, as the stages take it
    #[arg(long = "spec", value_name = "IMAGE.JSON", conflicts_with = INPUTS, hide = true)]
    spec_flag: Option<PathBuf>,
    /// Show the plan and its sizes instead of building; reads no file contents if there is a graph or a database
    #[arg(long, conflicts_with_all = ["digest_file", "metadata_file", "provenance_file"])]
    dry_run: bool,
    /// Where to write: FILE (.tar, .tar.gz, .tar.zst, - for stdout), oci:DIR, oci-archive:FILE,
    /// registry:HOST/NAME:TAG, docker: or podman:
    #[arg(short, long, value_name = "PLACE", required_unless_present = "dry_run")]
    output: Option<OsString>,
    /// Directory that keeps the plan and the layer files, so that the next build reads only new layers; for OCI images
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    #[command(flatten)]
    compression: CompressionArgs,
    #[command(flatten)]
    known: KnownArgs,
    #[command(flatten)]
    erofs: ErofsArgs,
    #[command(flatten)]
    archive: ArchiveArgs,
    #[command(flatten)]
    image: ImageArgs,
    #[command(flatten)]
    layers: LayersArgs,
    #[command(flatten)]
    plan: PlanArgs,
    #[command(flatten)]
    scripts: ScriptArgs,
    #[command(flatten)]
    sandbox: SandboxArgs,
    #[command(flatten)]
    check: CheckArgs,
    #[command(flatten)]
    companions: CompanionArgs,
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

pub fn run(options: &Options, common: &Common) -> Result<()> {
    let since = Instant::now();
    options.compression.choice()?;
    let specs = options.resolve()?;
    let store = options.store.store()?;
    let output = options.output.as_deref().map(ImageTarget::parse).transpose()?;
    options.check_files(&specs, output.as_ref(), &store)?;
    let registries = options.registry.registries(options.base.limits(), common);
    let build = options.build_options(&store, &registries, output.as_ref(), common)?;
    if options.dry_run {
        for (spec, strategy) in &specs {
            let build =
                BuildOptions { state: None, cache: CacheOptions::default(), erofs_cache: None, ..build.clone() };
            dry_run::run(
                spec,
                &Builder::open(spec, strategy.clone(), false, &build)?,
                &store,
                options.answer.is_json(),
                common,
            )?;
        }
        return Ok(());
    }
    let target = output.context("no output: expected -o PLACE")?;
    options.answer.check_stdout(target.is_stdout())?;
    if options.state.is_some() && !target.keeps_oci_images() {
        let message =
            format!("--state: found {target}, expected oci:DIR, oci-archive:FILE or registry:HOST/NAME:TAG with it");
        return Err(Error::advised(message, "-o oci:DIR --state STATE writes what changed into a layout").into());
    }
    build.companions.check(&target)?;
    let legacy = options.archive.legacy;
    check_places([], &target, &registries)?;
    let mut step = options.step.begin(
        &[target.files(), options.results.files().chain(options.companions.outputs()).cloned().collect()].concat(),
    )?;
    let (results, provenance) = (options.results.open()?, options.companions.open()?);
    let runs = specs.iter().all(|(spec, _)| has_command(spec));
    let work = Work { verb: "built", target: &target, runs, since, answer: options.answer };
    match &specs[..] {
        [(spec, strategy)] if build.companions.is_wanted() => {
            let published = publish_image(spec, strategy, &target, &build)?;
            results.write(&published)?;
            provenance.write(&published)?;
            tell_built_and_published(&published, &work, common)?;
        }
        [(spec, strategy)] => {
            let to = WriteOptions {
                target: &target,
                legacy,
                compression: build.compression,
                registries: &registries,
                leaves: true,
            };
            let built = Builder::open(spec, strategy.clone(), false, &build)?.build(&to)?;
            results.write(&Published::from(&built))?;
            tell_built(&built, &work, common)?;
        }
        _ if legacy => bail!("--legacy: found several architectures, expected one with it"),
        specs => {
            let published = build_index(specs, &target, &build)?;
            results.write(&published)?;
            provenance.write(&published)?;
            tell_published(&published, &work, common)?;
        }
    }
    let file = options.layers.strategy.only_input(NAME, options.inputs())?;
    for (spec, _) in &specs {
        step.spec(&store, file.as_deref(), spec)?;
        step.libraries(&store, spec)?;
        step.files(&options.base.file(Some(spec)));
        step.files(options.base.key_files());
    }
    step.files(&options.plan.files().chain(options.known.file()).collect::<Vec<_>>());
    Ok(step.finish()?)
}

impl Options {
    /// The spec, if there is one.
    fn inputs(&self) -> &[PathBuf] {
        self.spec.as_ref().or(self.spec_flag.as_ref()).map_or(&[], std::slice::from_ref)
    }

    fn build_options<'a>(
        &self,
        store: &'a Store,
        registries: &'a Registries,
        target: Option<&ImageTarget>,
        common: &'a Common,
    ) -> Result<BuildOptions<'a>> {
        Ok(BuildOptions {
            state: self.state.clone(),
            plan: self.plan.options()?,
            replaces: target.map(|target| (target.clone(), None)),
            takes_blobs: target.is_some_and(ImageTarget::keeps_oci_images) && !self.archive.legacy,
            base: self.base.named()?,
            verify_keys: self.base.verify_keys()?,
            limits: self.base.limits(),
            scripts: self.scripts.options(),
            sandbox: self.sandbox.options(),
            compression: self.compression.choice()?,
            cache: self.cache.options(),
            known: self.known.image()?,
            erofs_cache: self.erofs.directory.clone(),
            checks: self.check.checks(),
            companions: self.companions.companions(self.layers.strategy.only_input(NAME, self.inputs())?.as_deref())?,
            ..BuildOptions::new(store, registries, common)
        })
    }

    /// Refuses a target that contradicts flags or is one of the inputs.
    fn check_files(&self, specs: &[(Spec, Strategy)], target: Option<&ImageTarget>, store: &Store) -> Result<()> {
        let Some(target) = target else { return Ok(()) };
        target.compression(&self.compression.choice()?)?;
        let file = self.layers.strategy.only_input(NAME, self.inputs())?;
        let mut files =
            Files::of(store).reads(self.plan.files()).reads(self.known.file()).reads(self.layers.strategy.file());
        for (spec, _) in specs {
            files =
                files.reads_spec(file.as_deref(), spec).reads(self.base.file(Some(spec))).reads(self.base.key_files());
        }
        let files = files.reads(self.scripts.files()).reads(self.registry.files());
        let files = files.writes(&self.step.depfile).writes_state(self.state.as_deref()).writes_to(target);
        self.erofs
            .noted(files.reads(self.companions.inputs()).writes(self.results.files()).writes(self.companions.outputs()))
            .check()
    }
}
