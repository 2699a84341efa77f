//! `layerstone build`: all stages in one process.

mod dry_run;
mod spec_args;

use crate::args::{Common, StoreArgs, usage_error};
use crate::base::{Base, BaseArgs};
use crate::command::image::{ArchiveArgs, Built, ImageLayer, Target};
use crate::command::layer::behind;
use crate::command::{image, layer, nix_db, overlay, root};
use crate::plan_args::PlanArgs;
use crate::root_script::{self, PlaceArgs};
use crate::source::Source;
use crate::strategy::{self, INPUTS};
use anyhow::{Context, Result, bail};
use clap::Args;
use clap::error::ErrorKind;
use layerstone_closure::{Closure, measure};
use layerstone_image::{Kind, RootMode, Script, Spec};
use layerstone_layer::{LayerFile, Recipe, Source as LayerSource};
use layerstone_layering::{Base as PlanBase, Plan, Settings, Strategy, plan};
use layerstone_overlay::Hooks;
use layerstone_root::NixDbPlace;
use layerstone_stage::{Scratch, Store, StorePath};
use spec_args::{ImageArgs, LayersArgs};
use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

/// What the command is called.
const NAME: &str = "build";

/// Make an image in one go: root, closure, layers, layer, image
///
/// Everything comes from an image.json, from flags, or from both, where flags win.
#[derive(Args)]
pub struct Options {
    /// Image spec, - for stdin
    #[arg(id = INPUTS, value_name = "IMAGE.JSON", required_unless_present_any = ["name", "strategy"])]
    spec: Option<PathBuf>,
    /// Show the plan and its sizes instead of building; reads no file contents if there is a graph or a database
    #[arg(long)]
    dry_run: bool,
    /// Image to write: .tar, .tar.gz, .tar.zst, or - for an uncompressed one on stdout
    #[arg(short, long, value_name = "FILE", required_unless_present = "dry_run")]
    output: Option<PathBuf>,
    #[command(flatten)]
    archive: ArchiveArgs,
    #[command(flatten)]
    image: ImageArgs,
    #[command(flatten)]
    layers: LayersArgs,
    #[command(flatten)]
    plan: PlanArgs,
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    base: BaseArgs,
    #[command(flatten)]
    store: StoreArgs,
}

pub fn run(options: &Options, common: &Common) -> Result<()> {
    let (spec, strategy) = options.resolve()?;
    let store = options.store.store()?;
    let base = options.base.open(Some(&spec), common)?;
    let base = base.as_ref();
    let settings = options.plan.over(settings(&spec, strategy, base, &store)?)?;
    let job = Job { spec: &spec, settings, base, store: &store, place: &options.place };
    if options.dry_run {
        return dry_run::run(&job, common);
    }
    let output = options.output.as_deref().context("no output: expected -o FILE")?;
    let target = Target { output, legacy: options.archive.legacy };
    build(&job, &target, common)?.image.tell(output, common)
}

/// What an image is made of, and how.
pub struct Job<'a> {
    pub spec: &'a Spec,
    /// How its store paths are divided; which of them the base holds.
    pub settings: Settings,
    pub base: Option<&'a Base>,
    pub store: &'a Store,
    /// Where its root script runs.
    pub place: &'a PlaceArgs,
}

/// An image that was built, layer by layer.
pub struct BuiltLayers {
    pub image: Built,
    /// Of each layer that is not the base's, bottom first: its size in bytes and the store paths that it holds.
    pub layers: Vec<(u64, Vec<StorePath>)>,
}

/// Builds an image.
pub fn build(job: &Job<'_>, target: &Target<'_>, common: &Common) -> Result<BuiltLayers> {
    let scratch = Scratch::create(&std::env::temp_dir())?;
    let blob = scratch.path().join("root.tar");
    let ran = job.spec.run_as_root.as_ref().map(|script| run_as_root(job, script, &scratch, common)).transpose()?;
    let layers = match (job.spec.kind, ran) {
        (Kind::Layered, ran) => {
            let below = ran.as_ref().map(|ran| ran.blob.clone());
            let root = root::root_spec(job.spec, job.store, root::tree_below(job.base, below)?)?;
            let mut custom = root::make(&root, &blob, common)?;
            custom.references.extend(ran.iter().flat_map(|ran| ran.layer.references.iter().cloned()));
            layers(job, &scratch, &blob, custom, ran, common)?
        }
        (Kind::Single, Some(ran)) => vec![single(job, &scratch, ran.blob, ran.layer, common)?],
        (Kind::Single, None) => {
            let tree = job.base.map(Base::tree).transpose()?;
            let custom = root::make(&root::root_spec(job.spec, job.store, tree)?, &blob, common)?;
            vec![single(job, &scratch, blob, custom, common)?]
        }
    };
    let sizes = layers.iter().map(|layer| (layer.source.size(), layer.store_paths.clone())).collect();
    let image = image::write(job.spec, job.base, layers, target, common)?;
    Ok(BuiltLayers { image, layers: sizes })
}

/// The layer that a root script has made.
struct RootLayer {
    layer: LayerFile,
    blob: PathBuf,
}

/// Runs the root script over the base: in a single image with the contents in its layer, and extraCommands after it.
fn run_as_root(job: &Job<'_>, script: &Script, scratch: &Scratch, common: &Common) -> Result<RootLayer> {
    let is_single = job.spec.kind == Kind::Single;
    let extra_commands = job.spec.script.as_ref().filter(|_| is_single).map(root_script::text).transpose()?;
    let contents = match is_single {
        true => overlay::run::contents(job.spec, job.store, job.base)?,
        false => None,
    };
    let script = root_script::text(script)?;
    let texts = [Some(&script), extra_commands.as_ref()];
    let closure = script_closure(job, &texts.into_iter().flatten().collect::<Vec<_>>(), common)?;
    let run = root_script::Job {
        hooks: Hooks { extra_commands, ..Hooks::default() },
        script,
        contents,
        closure: closure.as_ref(),
        base: job.base,
        // They are checked when they are copied into the image, unless something is kept of them before.
        checks_base: job.place.keeps_bases(),
        store: job.store,
        spec: job.spec,
        place: job.place,
    };
    let blob = scratch.path().join("run.tar");
    Ok(RootLayer { layer: root_script::make(run, &blob, common)?, blob })
}

/// What root scripts see of the store: all that contents, config and the scripts themselves refer to. None if that is
/// nothing.
fn script_closure(job: &Job<'_>, texts: &[&Vec<u8>], common: &Common) -> Result<Option<Closure>> {
    let source = Source::of_spec(job.spec, job.store)?;
    let linked = Spec { root_mode: RootMode::Links, ..job.spec.clone() };
    let mut roots = source.roots(&linked, job.store)?;
    for text in texts {
        roots.extend(source.mentioned(text, job.store)?);
    }
    match roots.is_empty() {
        true => Ok(None),
        false => source.closure(&roots, job.store, false, common).map(Some),
    }
}

/// Layers of store paths, the customisation layer on top, and above it the database of Nix if there is to be one.
fn layers(
    job: &Job<'_>,
    scratch: &Scratch,
    blob: &Path,
    custom: LayerFile,
    ran: Option<RootLayer>,
    common: &Common,
) -> Result<Vec<ImageLayer>> {
    let closure = measured_closure(job, custom.references, common)?;
    let plan = plan(&closure, &job.settings)?;
    if let Some(base) = job.base.filter(|_| !plan.layers.is_empty()) {
        base.check_store(job.store)?;
    }
    let recipes = recipes(job, &plan)?;
    let sources = layer::layouts(&recipes, job.store)?;
    let mut layers: Vec<ImageLayer> = sources.into_iter().zip(recipes).enumerate().map(store_layer).collect();
    if let Some(RootLayer { layer, blob }) = ran {
        let source = LayerSource::blob(&blob)?;
        let comment = Some("runAsRoot".to_owned());
        layers.push(ImageLayer { comment, ..ImageLayer::new(source, Some(layer.diff_id), "layer of the root script") });
    }
    let source = LayerSource::blob(blob)?;
    layers.push(ImageLayer::new(source, Some(custom.diff_id), "customisation layer"));
    if job.spec.include_nix_db {
        let root = Some(blob.to_owned());
        let place = NixDbPlace::OnTop { root, store_owner: job.spec.owner.clone() };
        let blob = scratch.path().join("nix-db.tar");
        let layer = nix_db(job, place, closure, &blob)?;
        let source = LayerSource::blob(&blob)?;
        layers.push(ImageLayer {
            comment: layer.comment,
            ..ImageLayer::new(source, Some(layer.diff_id), nix_db::COMMENT)
        });
    }
    Ok(layers)
}

/// The layer of the database of Nix.
fn nix_db(job: &Job<'_>, place: NixDbPlace, closure: Closure, blob: &Path) -> Result<LayerFile> {
    let mtime = job.spec.mtime.seconds()?;
    nix_db::Job { spec: job.spec, mtime, place, base: job.base, store: job.store }.make(closure, blob)
}

fn store_layer((index, (source, recipe)): (usize, (LayerSource, Recipe))) -> ImageLayer {
    ImageLayer { store_paths: recipe.paths, ..ImageLayer::new(source, None, format!("layer {index}")) }
}

/// One layer: the root, the database of Nix if there is to be one, and behind it the store paths that the base does not
/// hold.
fn single(
    job: &Job<'_>,
    scratch: &Scratch,
    mut blob: PathBuf,
    custom: LayerFile,
    common: &Common,
) -> Result<ImageLayer> {
    let closure = closure_of(job, custom.references, common)?;
    if job.spec.include_nix_db {
        let root = std::mem::replace(&mut blob, scratch.path().join("nix-db.tar"));
        nix_db(job, NixDbPlace::Behind { root }, closure.clone(), &blob)?;
    }
    let held = &job.settings.base.paths;
    let paths = closure.graph.into_iter().map(|info| info.path).filter(|path| !held.contains(path));
    let paths: Vec<StorePath> = paths.collect::<BTreeSet<_>>().into_iter().collect();
    let source = behind::layout(&blob, &paths, job.spec.mtime.seconds()?, job.base, job.store, job.spec.xattrs)?;
    let comment = Some(behind::comment(&paths));
    Ok(ImageLayer { comment, store_paths: paths, ..ImageLayer::new(source, None, "layer") })
}

fn recipes(job: &Job<'_>, plan: &Plan) -> Result<Vec<Recipe>> {
    layer::recipes(&plan.layers, job.store, job.spec.mtime.seconds()?, &job.spec.owner, job.spec.xattrs)
}

/// How a spec wants its store paths to be divided, by this strategy, over a base.
pub fn settings(spec: &Spec, strategy: Strategy, base: Option<&Base>, store: &Store) -> Result<Settings> {
    let base = match base {
        None => PlanBase::default(),
        Some(base) => {
            let paths = base.held(store.dir())?.paths.into_keys().collect();
            PlanBase { layers: base.image.layers.len(), paths }
        }
    };
    let left = match spec.kind {
        Kind::Layered => spec.store_layers(base.layers + usize::from(spec.run_as_root.is_some()))?,
        Kind::Single => 1,
    };
    let limit = NonZeroUsize::new(left + base.layers).context("no layer left for store paths")?;
    Ok(Settings { strategy, base, min_size: spec.min_layer_size, ..Settings::new(limit) })
}

/// All that the spec and the customisation layer refer to, with NAR sizes.
fn measured_closure(job: &Job<'_>, references: Vec<StorePath>, common: &Common) -> Result<Closure> {
    let mut closure = closure_of(job, references, common)?;
    measure(&mut closure, job.store)?;
    Ok(closure)
}

/// All that the spec and the customisation layer refer to.
fn closure_of(job: &Job<'_>, references: Vec<StorePath>, common: &Common) -> Result<Closure> {
    if !job.spec.include_store_paths {
        return Ok(Closure::default());
    }
    let source = Source::of_spec(job.spec, job.store)?;
    let mut roots = source.roots(job.spec, job.store)?;
    roots.extend(references);
    match roots.is_empty() {
        true => Ok(Closure::default()),
        false => source.closure(&roots, job.store, false, common),
    }
}

impl Options {
    /// The spec with the flags over it, and the strategy that one of them names.
    fn resolve(&self) -> Result<(Spec, Strategy)> {
        let file = self.layers.strategy.only_input(NAME, self.spec.as_slice())?;
        let mut spec = match (&file, &self.image.name) {
            (Some(path), _) => Spec::read(path)?,
            (None, Some(name)) => Spec::new(name),
            (None, None) => {
                let message = "no image: expected IMAGE.JSON or --name <NAME>";
                return Err(usage_error(NAME, ErrorKind::MissingRequiredArgument, message));
            }
        };
        let strategy = match self.layers.strategy.strategy()? {
            Some(strategy) => strategy,
            None => strategy::of_spec(&spec, &file.unwrap_or_default().display().to_string())?,
        };
        self.image.apply(&mut spec)?;
        self.layers.apply(&mut spec)?;
        self.place.apply(&mut spec);
        if spec.run_as_root.is_some() && spec.kind == Kind::Single && spec.fake_root_commands.is_some() {
            bail!("fakeRootCommands: found runAsRoot too, expected one of them in an image of kind \"single\"");
        }
        spec.reference()?;
        if spec.kind == Kind::Single && (self.layers.is_for_layered() || self.plan.is_given()) {
            let message = "--max-layers, --strategy, --previous, --layer, --min-layer-size, --uname and --gname: \
                expected an image of kind layered with them";
            return Err(usage_error(NAME, ErrorKind::ArgumentConflict, message));
        }
        Ok((spec, strategy))
    }
}
