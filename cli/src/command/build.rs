//! `layerstone build`: all stages in one process.

use crate::args::{Common, OwnerArgs, StoreArgs, parse_time, usage_error};
use crate::command::image::{Built, ImageLayer};
use crate::command::{image, layer, root};
use crate::out::print;
use crate::plan_args::PlanArgs;
use crate::source::{Source, SourceArgs};
use crate::strategy::{self, INPUTS, StrategyArgs};
use crate::table::{Table, size};
use anyhow::{Context, Result, bail};
use clap::Args;
use clap::error::ErrorKind;
use layerstone_closure::{Closure, measure};
use layerstone_image::{Script, Spec, Time};
use layerstone_layer::{Recipe, Source as LayerSource};
use layerstone_layering::{Plan, Settings, Strategy, plan};
use layerstone_stage::{Scratch, Store, StorePath};
use serde_json::Value;
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
    image: ImageArgs,
    #[command(flatten)]
    layers: LayersArgs,
    #[command(flatten)]
    plan: PlanArgs,
    #[command(flatten)]
    store: StoreArgs,
}

/// What the image is and says.
#[derive(Args)]
#[command(next_help_heading = "Image")]
struct ImageArgs {
    /// What the image is called
    #[arg(long)]
    name: Option<String>,
    /// Its tag [default: 32 digits of the image ID]
    #[arg(long)]
    tag: Option<String>,
    /// Command to run, one word for each --cmd
    #[arg(long, value_name = "WORD", allow_hyphen_values = true)]
    cmd: Vec<String>,
    /// What runs the command, one word for each --entrypoint
    #[arg(long, value_name = "WORD", allow_hyphen_values = true)]
    entrypoint: Vec<String>,
    /// Environment variable
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// Folder to run in
    #[arg(long, value_name = "DIR")]
    working_dir: Option<String>,
    /// User to run as
    #[arg(long, value_name = "USER[:GROUP]")]
    user: Option<String>,
    /// Label
    #[arg(long, value_name = "NAME=VALUE")]
    label: Vec<String>,
    /// When the image was made: RFC 3339 or now [default: 1970-01-01T00:00:01Z]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    created: Option<Time>,
    /// Architecture, by any common name [default: this machine's]
    #[arg(long, value_name = "NAME")]
    architecture: Option<String>,
}

/// What goes into it.
#[derive(Args)]
#[command(next_help_heading = "Layers")]
struct LayersArgs {
    /// Store paths to merge into the root, the first one first; links to store paths such as ./result will do
    #[arg(long, value_name = "PATH", num_args = 1..)]
    contents: Vec<PathBuf>,
    /// Script to run in the customisation layer
    #[arg(long, value_name = "FILE")]
    extra_commands: Option<PathBuf>,
    #[command(flatten)]
    source: SourceArgs,
    /// Layers in the image, all together [default: 100]
    #[arg(long, value_name = "N")]
    max_layers: Option<usize>,
    #[command(flatten)]
    strategy: StrategyArgs,
    /// Modification time of all files: seconds since the epoch, RFC 3339, or now [default: 1]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    mtime: Option<Time>,
    #[command(flatten)]
    owner: OwnerArgs,
}

pub fn run(options: &Options, common: &Common) -> Result<()> {
    let (spec, strategy) = options.resolve()?;
    let store = options.store.store()?;
    let settings = options.plan.over(settings(&spec, strategy)?)?;
    if options.dry_run {
        return dry_run(&spec, &settings, &store, common);
    }
    let output = options.output.as_deref().context("no output: expected -o FILE")?;
    build(&spec, &settings, &store, output, common)?.image.tell(output, common)
}

/// An image that was built, layer by layer.
pub struct BuiltLayers {
    pub image: Built,
    /// Of each layer, bottom first: its size in bytes and the store paths that it holds.
    pub layers: Vec<(u64, Vec<StorePath>)>,
}

/// Builds the image that a spec describes, its store paths divided by these settings.
pub fn build(spec: &Spec, settings: &Settings, store: &Store, output: &Path, common: &Common) -> Result<BuiltLayers> {
    let scratch = Scratch::create(&std::env::temp_dir())?;
    let blob = scratch.path().join("root.tar");
    let custom = root::make(&root::root_spec(spec, store)?, &blob, common)?;
    let plan = plan_of(spec, settings, store, custom.references, common)?;
    let recipes = recipes(spec, store, &plan)?;
    let sources = layer::layouts(&recipes, store)?;
    let mut layers: Vec<ImageLayer> = sources.into_iter().zip(recipes).enumerate().map(store_layer).collect();
    let label = PathBuf::from("customisation layer");
    layers.push(ImageLayer {
        source: LayerSource::blob(&blob)?,
        expected: Some(custom.diff_id),
        label,
        store_paths: vec![],
    });
    let sizes = layers.iter().map(|layer| (layer.source.size(), layer.store_paths.clone())).collect();
    let image = image::write(spec, layers, output, common)?;
    Ok(BuiltLayers { image, layers: sizes })
}

fn store_layer((index, (source, recipe)): (usize, (LayerSource, Recipe))) -> ImageLayer {
    let label = PathBuf::from(format!("layer {index}"));
    ImageLayer { source, expected: None, label, store_paths: recipe.paths }
}

fn recipes(spec: &Spec, store: &Store, plan: &Plan) -> Result<Vec<Recipe>> {
    layer::recipes(&plan.layers, store, spec.mtime.seconds()?, &spec.owner)
}

/// How a spec wants its store paths to be divided, by this strategy.
pub fn settings(spec: &Spec, strategy: Strategy) -> Result<Settings> {
    let limit = NonZeroUsize::new(spec.store_layers(0)?).context("no layer left for store paths")?;
    Ok(Settings { strategy, min_size: spec.min_layer_size, ..Settings::new(limit) })
}

/// The plan for all that the spec and the customisation layer refer to.
fn plan_of(
    spec: &Spec,
    settings: &Settings,
    store: &Store,
    references: Vec<StorePath>,
    common: &Common,
) -> Result<Plan> {
    if !spec.include_store_paths {
        return Ok(Plan::default());
    }
    let source = Source::of_spec(spec, store)?;
    let mut roots = source.roots(spec, store)?;
    roots.extend(references);
    let mut closure = match roots.is_empty() {
        true => Closure::default(),
        false => source.closure(&roots, store, false, common)?,
    };
    measure(&mut closure, store)?;
    Ok(plan(&closure, settings)?)
}

fn dry_run(spec: &Spec, settings: &Settings, store: &Store, common: &Common) -> Result<()> {
    let plan = plan_of(spec, settings, store, Vec::new(), common)?;
    let sources = layer::layouts(&recipes(spec, store, &plan)?, store)?;
    let mut table = Table::new(&["layer", "size", "paths", "first path"], &[0, 1, 2]);
    for (index, (source, paths)) in sources.iter().zip(&plan.layers).enumerate() {
        let first = paths.first().map(StorePath::base_name).unwrap_or_default();
        table.row(vec![index.to_string(), size(source.size()), paths.len().to_string(), first.to_owned()]);
    }
    let total: u64 = sources.iter().map(LayerSource::size).sum();
    let paths: usize = plan.layers.iter().map(Vec::len).sum();
    table.row(vec!["all".to_owned(), size(total), paths.to_string()]);
    let script = match &spec.script {
        None => "no script",
        Some(_) => "a script run; what else it refers to would join the paths",
    };
    print(format_args!("{table}and the customisation layer, not made in a dry run: contents merged, {script}\n"))
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
        self.layers.apply(&mut spec);
        spec.reference()?;
        Ok((spec, strategy))
    }
}

impl ImageArgs {
    fn apply(&self, spec: &mut Spec) -> Result<()> {
        if let Some(name) = &self.name {
            spec.name.clone_from(name);
        }
        if let Some(tag) = &self.tag {
            spec.tag = Some(tag.clone());
        }
        if let Some(created) = self.created {
            spec.created = created;
        }
        if let Some(name) = &self.architecture {
            spec.set_architecture(name)?;
        }
        let lists = [("Cmd", &self.cmd), ("Entrypoint", &self.entrypoint), ("Env", &self.env)];
        for (key, words) in lists.into_iter().filter(|(_, words)| !words.is_empty()) {
            spec.config.insert(key.to_owned(), words.clone().into());
        }
        for (key, text) in [("WorkingDir", &self.working_dir), ("User", &self.user)] {
            if let Some(text) = text {
                spec.config.insert(key.to_owned(), text.clone().into());
            }
        }
        if !self.label.is_empty() {
            let pairs = self.label.iter().map(|label| match label.split_once('=') {
                Some((name, value)) => Ok((name.to_owned(), Value::from(value))),
                None => bail!("not a label: {label:?}: expected NAME=VALUE"),
            });
            spec.config.insert("Labels".to_owned(), Value::Object(pairs.collect::<Result<_>>()?));
        }
        Ok(())
    }
}

impl LayersArgs {
    fn apply(&self, spec: &mut Spec) {
        if !self.contents.is_empty() {
            spec.contents.clone_from(&self.contents);
        }
        if let Some(file) = &self.extra_commands {
            spec.script = Some(Script::File(file.clone()));
        }
        spec.references = self.source.over(spec.references.take());
        if let Some(max_layers) = self.max_layers {
            spec.max_layers = max_layers;
        }
        if let Some(mtime) = self.mtime {
            spec.mtime = mtime;
        }
        spec.owner = self.owner.over(spec.owner.clone());
    }
}
