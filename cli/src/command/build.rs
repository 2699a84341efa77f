//! `layerstone build`: all stages in one process.

mod dry_run;
pub mod several;
mod spec_args;

use crate::args::{Common, StoreArgs, usage_error};
use crate::base::{Base, BaseArgs};
use crate::command::image::{ArchiveArgs, Built, ImageLayer, LayerBlob, Target};
use crate::command::layer::behind;
use crate::command::{image, layer, nix_db, overlay, root};
use crate::packing_args::PackingArgs;
use crate::place::Place;
use crate::plan_args::PlanArgs;
use crate::registry_args::RegistryArgs;
use crate::root_script::{self, PlaceArgs};
use crate::source::Source;
use crate::state::{State, default_packing, remembered};
use crate::strategy::{self, INPUTS};
use anyhow::{Context, Result, bail};
use clap::Args;
use clap::error::ErrorKind;
use layerstone_closure::{Closure, measure};
use layerstone_image::{Kind, RootMode, Script, Spec};
use layerstone_layer::{LayerFile, Packing, Recipe, Source as LayerSource};
use layerstone_layering::{Base as PlanBase, Plan, Settings, Strategy, plan};
use layerstone_overlay::Hooks;
use layerstone_root::NixDbPlace;
use layerstone_stage::{Scratch, Store, StorePath};
use spec_args::{ImageArgs, LayersArgs};
use std::collections::BTreeSet;
use std::ffi::OsString;
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
    /// Where to write: FILE (.tar, .tar.gz, .tar.zst, - for stdout), oci:DIR, oci-archive:FILE,
    /// registry:HOST/NAME:TAG, docker: or podman:
    #[arg(short, long, value_name = "PLACE", required_unless_present = "dry_run")]
    output: Option<OsString>,
    /// Folder that remembers the plan and the layers for the next build, which reads only what is new then; for OCI
    /// images
    #[arg(long, value_name = "DIR")]
    state: Option<PathBuf>,
    #[command(flatten)]
    packing: PackingArgs,
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
    #[command(flatten)]
    registry: RegistryArgs,
}

pub fn run(options: &Options, common: &Common) -> Result<()> {
    options.packing.packing(None)?;
    let specs = options.resolve()?;
    let store = options.store.store()?;
    let output = options.output.as_deref().map(Place::parse).transpose()?;
    let of = Of {
        state: options.state.as_deref(),
        plan: &options.plan,
        base: &options.base,
        place: &options.place,
        packing: &options.packing,
        store: &store,
    };
    if options.dry_run {
        for (spec, strategy) in &specs {
            let base = options.base.open(Some(spec), common)?;
            dry_run::run(&of.job(spec, strategy.clone(), base.as_ref(), None)?, common)?;
        }
        return Ok(());
    }
    let place = output.context("no output: expected -o PLACE")?;
    let legacy = options.archive.legacy;
    let target = Target { place: &place, legacy, packing: &options.packing, registry: &options.registry };
    match &specs[..] {
        [(spec, strategy)] => of.build(spec, strategy.clone(), &target, common)?.tell(&place, common),
        specs => several::run(&of, specs, &target, common),
    }
}

/// What images are made of besides their specs.
pub struct Of<'a> {
    pub state: Option<&'a Path>,
    pub plan: &'a PlanArgs,
    pub base: &'a BaseArgs,
    pub place: &'a PlaceArgs,
    pub packing: &'a PackingArgs,
    pub store: &'a Store,
}

impl Of<'_> {
    fn job<'a>(
        &'a self,
        spec: &'a Spec,
        strategy: Strategy,
        base: Option<&'a Base>,
        state: Option<&'a State>,
    ) -> Result<Job<'a>> {
        let mut settings = settings(spec, strategy, base, self.store)?;
        settings.previous = state.map(State::previous).transpose()?.flatten();
        let settings = self.plan.over(settings)?;
        let packing = self.packing.packing(default_packing())?;
        Ok(Job { spec, settings, base, store: self.store, place: self.place, state, packing })
    }

    /// Builds the image of a spec.
    pub fn build(&self, spec: &Spec, strategy: Strategy, target: &Target<'_>, common: &Common) -> Result<Built> {
        let write = |layers, base: Option<&Base>| image::write(spec, base, layers, target, common);
        self.with_layers(spec, strategy, None, common, write)
    }

    /// Makes the layers of a spec's image, and whatever of them; what comes of that is remembered. `architecture` is
    /// given if the spec is one of several.
    pub fn with_layers(
        &self,
        spec: &Spec,
        strategy: Strategy,
        architecture: Option<&Spec>,
        common: &Common,
        write: impl FnOnce(Vec<ImageLayer>, Option<&Base>) -> Result<Built>,
    ) -> Result<Built> {
        let state = self.state.map(|folder| State::open(folder, architecture)).transpose()?;
        let base = self.base.open(Some(spec), common)?;
        let job = self.job(spec, strategy, base.as_ref(), state.as_ref())?;
        let scratch = Scratch::create(&std::env::temp_dir())?;
        let layers = make(&job, &scratch, common)?;
        let remembered = remembered(&layers);
        let built = write(layers, base.as_ref())?;
        if let Some(state) = state.as_ref().filter(|_| built.manifest.is_some()) {
            state.remember(&remembered, &built, job.packing)?;
        }
        Ok(built)
    }
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
    /// What is known of an earlier build.
    pub state: Option<&'a State>,
    /// How layers are compressed where an image has layers that are.
    pub packing: Option<Packing>,
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
    let layers = make(job, &scratch, common)?;
    let sizes = layers.iter().map(|layer| (layer.source.size(), layer.store_paths.clone())).collect();
    let image = image::write(job.spec, job.base, layers, target, common)?;
    Ok(BuiltLayers { image, layers: sizes })
}

/// Makes the layers of an image, bottom first, those of a base left out; blobs of some are in the work folder.
fn make(job: &Job<'_>, scratch: &Scratch, common: &Common) -> Result<Vec<ImageLayer>> {
    let blob = scratch.path().join("root.tar");
    let ran = job.spec.run_as_root.as_ref().map(|script| run_as_root(job, script, scratch, common)).transpose()?;
    Ok(match (job.spec.kind, ran) {
        (Kind::Layered, ran) => {
            let below = ran.as_ref().map(|ran| ran.blob.clone());
            let root = root::root_spec(job.spec, job.store, root::tree_below(job.base, below)?)?;
            let mut custom = root::make(&root, &blob, common)?;
            custom.references.extend(ran.iter().flat_map(|ran| ran.layer.references.iter().cloned()));
            layers(job, scratch, &blob, custom, ran, common)?
        }
        (Kind::Single, Some(ran)) => vec![single(job, scratch, ran.blob, ran.layer, common)?],
        (Kind::Single, None) => {
            let tree = job.base.map(Base::tree).transpose()?;
            let custom = root::make(&root::root_spec(job.spec, job.store, tree)?, &blob, common)?;
            vec![single(job, scratch, blob, custom, common)?]
        }
    })
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
    let mut layers = store_layers(job, recipes)?;
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

/// The layers of these recipes; the files of those that are known are not looked at.
fn store_layers(job: &Job<'_>, recipes: Vec<Recipe>) -> Result<Vec<ImageLayer>> {
    let known = |recipe: &Recipe| job.state.and_then(|state| state.known(recipe, job.packing));
    let unknown: Vec<&Recipe> = recipes.iter().filter(|recipe| known(recipe).is_none()).collect();
    let mut sources = layer::layouts(&unknown, job.store)?.into_iter();
    let mut layers = Vec::new();
    for (index, recipe) in recipes.iter().enumerate() {
        let known = known(recipe);
        let source = match known {
            Some(known) => LayerSource::later(job.store, recipe, known.size),
            None => sources.next().expect("every layer that is not known was laid out"),
        };
        let blob = known.and_then(|known| Some(LayerBlob::Packed(known.compression?, (&known.descriptor).into())));
        layers.push(ImageLayer {
            store_paths: recipe.paths.clone(),
            blob,
            recipe: Some(recipe.clone()),
            ..ImageLayer::new(source, known.map(|known| known.diff_id), format!("layer {index}"))
        });
    }
    Ok(layers)
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
    /// The specs with the flags over them, and the strategy that one of them names.
    fn resolve(&self) -> Result<Vec<(Spec, Strategy)>> {
        let file = self.layers.strategy.only_input(NAME, self.spec.as_slice())?;
        let specs = match (&file, &self.image.name) {
            (Some(path), _) => Spec::read_all(path)?,
            (None, Some(name)) => vec![Spec::new(name)],
            (None, None) => {
                let message = "no image: expected IMAGE.JSON or --name <NAME>";
                return Err(usage_error(NAME, ErrorKind::MissingRequiredArgument, message));
            }
        };
        specs.into_iter().map(|spec| self.resolve_one(file.as_deref(), spec)).collect()
    }

    fn resolve_one(&self, file: Option<&Path>, mut spec: Spec) -> Result<(Spec, Strategy)> {
        let strategy = match self.layers.strategy.strategy()? {
            Some(strategy) => strategy,
            None => strategy::of_spec(&spec, &file.unwrap_or(Path::new("")).display().to_string())?,
        };
        self.image.apply(&mut spec)?;
        self.layers.apply(&mut spec)?;
        self.place.apply(&mut spec);
        check(&spec)?;
        if spec.kind == Kind::Single && (self.layers.is_for_layered() || self.plan.is_given()) {
            let message = "--max-layers, --strategy, --previous, --layer, --min-layer-size, --uname and --gname: \
                expected an image of kind layered with them";
            return Err(usage_error(NAME, ErrorKind::ArgumentConflict, message));
        }
        Ok((spec, strategy))
    }
}

/// What no single key tells.
pub fn check(spec: &Spec) -> Result<()> {
    if spec.run_as_root.is_some() && spec.kind == Kind::Single && spec.fake_root_commands.is_some() {
        bail!("fakeRootCommands: found runAsRoot too, expected one of them in an image of kind \"single\"");
    }
    spec.reference()?;
    Ok(())
}
