//! `layerstone build`: all stages in one process.

mod dry_run;
pub mod several;
mod spec_args;
mod stack;

use crate::args::{Common, StoreArgs, usage_error};
use crate::base::{Base, BaseArgs};
use crate::command::image;
use crate::command::image::{ArchiveArgs, Built, ImageLayer, Target};
use crate::edge::EdgeArgs;
use crate::memory::{CacheArgs, Memory, OnItsWay};
use crate::overwrite::Files;
use crate::packing_args::PackingArgs;
use crate::place::Place;
use crate::plan_args::PlanArgs;
use crate::registry_args::RegistryArgs;
use crate::root_script::PlaceArgs;
use crate::state::{State, layer_of};
use crate::strategy::{self, INPUTS};
use anyhow::{Context, Result, bail};
use clap::Args;
use clap::error::ErrorKind;
use layerstone_layer::{LayerFile, Packing, Source};
use layerstone_layering::{PlanBase, Settings, Strategy};
use layerstone_spec::{Kind, Spec};
use layerstone_store::{Scratch, Store, StorePath};
use spec_args::{ImageArgs, LayersArgs};
use stack::make;
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
    #[command(flatten)]
    cache: CacheArgs,
    #[command(flatten)]
    edge: EdgeArgs,
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
        cache: &options.cache,
        store: &store,
    };
    options.check_files(&specs, output.as_ref(), &store)?;
    if options.dry_run {
        for (spec, strategy) in &specs {
            let base = options.base.open(Some(spec), common)?;
            let memory = Memory::none();
            dry_run::run(&of.job(spec, strategy.clone(), base.as_ref(), None, &memory)?, common)?;
        }
        return Ok(());
    }
    let place = output.context("no output: expected -o PLACE")?;
    if options.state.is_some() && !place.keeps_oci_images() {
        bail!("--state: found {place}, expected oci:DIR, oci-archive:FILE or registry:HOST/NAME:TAG with it");
    }
    let legacy = options.archive.legacy;
    let target = Target { place: &place, legacy, packing: &options.packing, registry: &options.registry };
    let mut edge = options.edge.begin(&place.files())?;
    match &specs[..] {
        [(spec, strategy)] => of.build(spec, strategy.clone(), &target, common)?.tell(&place, common)?,
        specs => several::run(&of, specs, &target, common)?,
    }
    let file = options.layers.strategy.only_input(NAME, options.spec.as_slice())?;
    for (spec, _) in &specs {
        edge.spec(&store, file.as_deref(), spec)?;
        edge.base(&options.base, Some(spec));
    }
    edge.files(options.plan.previous());
    edge.finish()
}

/// What images are made of besides their specs.
pub struct Of<'a> {
    pub state: Option<&'a Path>,
    pub plan: &'a PlanArgs,
    pub base: &'a BaseArgs,
    pub place: &'a PlaceArgs,
    pub packing: &'a PackingArgs,
    pub cache: &'a CacheArgs,
    pub store: &'a Store,
}

impl Of<'_> {
    fn job<'a>(
        &'a self,
        spec: &'a Spec,
        strategy: Strategy,
        base: Option<&'a Base>,
        state: Option<&'a State>,
        memory: &'a Memory,
    ) -> Result<Job<'a>> {
        let mut settings = settings(spec, strategy, base, self.store)?;
        settings.previous = state.map(State::previous).transpose()?.flatten();
        let settings = self.plan.over(settings)?;
        let packing = self.packing.of_layers(None)?;
        Ok(Job { spec, settings, base, store: self.store, place: self.place, state, memory, packing })
    }

    /// Builds the image of a spec.
    pub fn build(&self, spec: &Spec, strategy: Strategy, target: &Target<'_>, common: &Common) -> Result<Built> {
        let write =
            |layers, base: Option<&Base>, memory: &Memory| image::write(spec, base, layers, target, memory, common);
        self.with_layers(spec, strategy, None, &Scratch::create(&std::env::temp_dir())?, common, write)
    }

    /// Makes the layers of a spec's image, and whatever of them; what comes of that is remembered. `architecture` is
    /// given if the spec is one of several. Some layers are files of the work folder.
    pub fn with_layers(
        &self,
        spec: &Spec,
        strategy: Strategy,
        architecture: Option<&Spec>,
        scratch: &Scratch,
        common: &Common,
        write: impl FnOnce(Vec<ImageLayer>, Option<&Base>, &Memory) -> Result<Built>,
    ) -> Result<Built> {
        let state = self.state.map(|folder| State::open(folder, architecture)).transpose()?;
        let base = self.base.open(Some(spec), common)?;
        let memory = self.cache.open(self.store, common)?;
        let job = self.job(spec, strategy, base.as_ref(), state.as_ref(), &memory)?;
        let layers = make(&job, scratch, common)?;
        let on_their_way = on_their_way(&layers);
        let built = write(layers, base.as_ref(), &memory).map_err(|error| memory.explain(error, &on_their_way))?;
        remember(&job, &on_their_way, &built, common)?;
        Ok(built)
    }
}

/// The layers of the store among those of an image.
pub fn on_their_way(layers: &[ImageLayer]) -> Vec<OnItsWay> {
    let layer = |layer: &ImageLayer| {
        Some(OnItsWay { recipe: layer.recipe.clone()?, source: layer.source.clone(), expected: layer.expected })
    };
    layers.iter().filter_map(layer).collect()
}

/// Remembers the layers of the store that an image was built of.
fn remember(job: &Job<'_>, layers: &[OnItsWay], built: &Built, common: &Common) -> Result<()> {
    let files: Vec<LayerFile> =
        (0..).zip(layers).map(|(index, layer)| layer_of(built, index, layer, job.packing)).collect();
    for (layer, file) in layers.iter().zip(&files) {
        if let Source::Layout(_) = layer.source {
            job.memory.put(&layer.recipe, file, &layer.source)?;
        }
    }
    job.memory.finish();
    if let Some(state) = job.state.filter(|_| built.manifest.is_some())
        && let Err(error) = state.remember(files)
    {
        // The image is where it should be.
        common.warn(format_args!("not remembered for the next build: {error:#}"));
    }
    Ok(())
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
    /// What is known of layers.
    pub memory: &'a Memory,
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
    let image = image::write(job.spec, job.base, layers, target, job.memory, common)?;
    Ok(BuiltLayers { image, layers: sizes })
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

impl Options {
    /// Refuses a place that contradicts flags or is one of the inputs.
    fn check_files(&self, specs: &[(Spec, Strategy)], place: Option<&Place>, store: &Store) -> Result<()> {
        let Some(place) = place else { return Ok(()) };
        place.packing(&self.packing)?;
        let file = self.layers.strategy.only_input(NAME, self.spec.as_slice())?;
        let mut files = Files::of(store).reads(self.plan.previous()).reads(self.layers.strategy.file());
        for (spec, _) in specs {
            files = files.reads_spec(file.as_deref(), spec);
            files = files.reads(self.base.location(Some(spec)).map(|base| base.path));
        }
        let files = files.reads(self.place.files()).reads(self.registry.files());
        files.edge(&self.edge).writes_state(self.state.as_deref()).writes_to(place).check()
    }

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
