//! `layerstone layer`: a plan to layer files, one or all, or to one layer behind a root.

use crate::args::{Common, StampArgs, StoreArgs};
use crate::base_args::BaseArgs;
use crate::cache_args::CacheArgs;
use crate::overwrite::Files;
use crate::packing_args::PackingArgs;
use crate::step_args::StepArgs;
use anyhow::{Context, Result, bail};
use clap::Args;
use layerstone_layer::{CompressionParams, Recipe};
use layerstone_layering::Plan;
use layerstone_pipeline::{
    BuildCache, BuildStep, LayersToMake, NewDirectory, PriorLayers, Record, check_tar, layer_files,
    recipes as recipes_of, single_layer::SingleLayer,
};
use layerstone_spec::Spec;
use layerstone_store::{Store, StorePath};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Make layers of a plan: digests and sizes, and the tars if wanted
///
/// A layer file says what a layer is (diff ID, size) and holds either the name of its tar or the recipe from which
/// anyone makes the same bytes again, `image` among them. The bytes are those of nixpkgs' stream_layered_image.py.
#[derive(Args)]
pub struct Options {
    /// The plan, or a bare JSON list of lists of store paths
    #[arg(value_name = "LAYERS.JSON")]
    plan: PathBuf,
    /// Make this layer, 0 being the bottom one
    #[arg(long, value_name = "I", required_unless_present_any = ["all", "behind", "key"], conflicts_with_all = ["all", "behind"])]
    index: Option<usize>,
    /// Make the layer that has this key, wherever it lies: what `ninja` and `make` call layers
    #[arg(long, value_name = "KEY", conflicts_with_all = ["index", "all", "behind"])]
    key: Option<String>,
    /// Make all layers, as 000.layer.json and so on in a folder; those that an earlier run wrote there and this one does
    /// not are removed, as .layerstone-outputs in the folder tells them
    #[arg(long, conflicts_with = "behind")]
    all: bool,
    /// Append the files of all layers to the tar of this layer, as dockerTools' buildImage does: the layer of a single
    /// image, of the root and its store paths
    #[arg(long, value_name = "ROOT.LAYER.JSON", requires = "blob")]
    behind: Option<PathBuf>,
    /// Write the layer's blob too, instead of the recipe: its tar, compressed if asked
    #[arg(long, value_name = "FILE", conflicts_with = "all")]
    blob: Option<PathBuf>,
    /// Write the blobs too, instead of the recipes, as 000.tar, 000.tar.gz or 000.tar.zst and so on
    #[arg(long, requires = "all", conflicts_with = "index")]
    blobs: bool,
    #[command(flatten)]
    packing: PackingArgs,
    /// Take what layer files in this folder say of layers that have the same recipe, without reading their files
    #[arg(long, value_name = "DIR", conflicts_with_all = ["behind", "blob", "blobs", "tarsum"])]
    known: Option<PathBuf>,
    /// Keep extended attributes and file capabilities
    #[arg(long)]
    xattrs: bool,
    /// Compute docker's tarsum too
    #[arg(long)]
    tarsum: bool,
    /// Layer file to write; with --all, the folder, made if its parent is there
    #[arg(short, long, value_name = "PATH")]
    output: PathBuf,
    #[command(flatten)]
    stamp: StampArgs,
    // Tells --behind the modes of the folders that lead to the store.
    #[command(flatten)]
    base: BaseArgs,
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    cache: CacheArgs,
    #[command(flatten)]
    edge: StepArgs,
}

pub fn run(options: &Options, common: &Common) -> Result<()> {
    let plan = Plan::read(&options.plan)?;
    let store = options.store.store()?;
    let index = options.index_in(&plan)?;
    let spec = options.stamp.read_spec()?;
    let (mtime, owner) = options.stamp.resolve(spec.as_ref())?;
    let xattrs = options.xattrs || spec.as_ref().is_some_and(|spec| spec.xattrs);
    let packing = options.packing.choice()?.or(None);
    options.check_files(spec.as_ref(), &plan, packing, &store)?;
    if let (Some(root), Some(blob)) = (&options.behind, &options.blob) {
        let base = options.base.open(spec.as_ref(), common)?;
        // In an order that no plan decides: the tar has one of its own.
        let paths: BTreeSet<StorePath> = plan.layers.into_iter().flatten().collect();
        let paths: Vec<StorePath> = paths.into_iter().collect();
        let job = SingleLayer {
            root,
            paths: &paths,
            mtime,
            base: base.as_ref(),
            store: &store,
            tarsum: options.tarsum,
            xattrs,
            packing,
        };
        let mut edge = options.edge.begin(&[&options.output, blob])?;
        job.run(&options.output, blob, common)?;
        edge.layer(&store, root)?;
        edge.store_paths(&store, &paths);
        edge.files(&options.base.location(spec.as_ref()).map(|base| base.path));
        return options.finish(edge);
    }
    let memory = options.cache.options().open(&store, common)?;
    memory.tell_hashes(plan.nar_hashes);
    let recipes = |layers: &[Vec<StorePath>]| recipes_of(layers, &store, mtime, &owner, xattrs);
    let Some(index) = index else {
        return make_all(options, recipes(&plan.layers)?, packing, &memory, &store, common);
    };
    let count = plan.layers.len();
    let layer = plan.layers.get(index).with_context(|| {
        format!("no such layer: {}: found {count} layers, expected --index {index} to be less", options.plan.display())
    })?;
    let recipe = recipes(std::slice::from_ref(layer))?;
    let blob = options.blob.iter().cloned().collect();
    let known = options.known.as_deref().map(PriorLayers::read).transpose()?.unwrap_or_default();
    let files = vec![options.output.clone()];
    let mut edge = options.edge.begin(&[&options.output].into_iter().chain(&blob).collect::<Vec<_>>())?;
    edge.recipes(&store, &recipe);
    let tarsum = options.tarsum;
    let job =
        LayersToMake { recipes: recipe, files, blobs: blob, tarsum, packing, known, cache: &memory, record: None };
    job.run(&store, common)?;
    options.finish(edge)
}

impl Options {
    /// Which layer is asked for; none for all.
    fn index_in(&self, plan: &Plan) -> Result<Option<usize>> {
        let Some(key) = &self.key else { return Ok(self.index) };
        let index = (0..plan.layers.len()).find(|index| plan.key(*index).as_ref() == Some(key));
        match index {
            Some(index) => Ok(Some(index)),
            None => bail!("no such layer: {}: found none with the key {key}", self.plan.display()),
        }
    }

    /// Refuses a name that is no tar's, and an output that is one of the inputs.
    fn check_files(
        &self,
        spec: Option<&Spec>,
        plan: &Plan,
        packing: Option<CompressionParams>,
        store: &Store,
    ) -> Result<()> {
        if let Some(blob) = &self.blob {
            check_tar(blob, packing)?;
        }
        let files = Files::of(store).reads([&self.plan]).reads(self.stamp.spec()).reads_layers(&self.behind);
        let files = files.reads(self.base.location(spec).map(|base| base.path)).edge(&self.edge).writes(&self.blob);
        if !self.all {
            return files.writes([&self.output]).check();
        }
        let (layers, blobs) = self.names(plan.layers.len(), packing);
        files.adds_to(&self.output, layers.iter().chain(&blobs).filter_map(|path| path.file_name())).check()
    }

    /// The layer files and the blobs of all layers.
    fn names(&self, count: usize, packing: Option<CompressionParams>) -> (Vec<PathBuf>, Vec<PathBuf>) {
        let names = |ending: &str| (0..count).map(|index| self.output.join(format!("{index:03}.{ending}"))).collect();
        (names("layer.json"), if self.blobs { names(&tar_ending(packing)) } else { Vec::new() })
    }

    /// Tells what was read besides store paths.
    fn finish(&self, mut edge: BuildStep) -> Result<()> {
        // What has a key is the same in any plan that holds it.
        if self.key.is_none() {
            edge.file(&self.plan);
        }
        edge.files(&self.stamp.spec().map(Path::to_owned));
        Ok(edge.finish()?)
    }
}

fn make_all(
    options: &Options,
    recipes: Vec<Recipe>,
    packing: Option<CompressionParams>,
    memory: &BuildCache<'_>,
    store: &Store,
    common: &Common,
) -> Result<()> {
    let folder = &options.output;
    let known = options.known.as_deref().map(PriorLayers::read).transpose()?.unwrap_or_default();
    let made = NewDirectory::make(folder)?;
    let (files, blobs) = options.names(recipes.len(), packing);
    let mut edge = options.edge.begin(&files.iter().chain(&blobs).collect::<Vec<_>>())?;
    edge.recipes(store, &recipes);
    let record = Record::read(folder)?;
    let others = others(folder, recipes.len(), &record)?;
    let tarsum = options.tarsum;
    LayersToMake { recipes, files, blobs, tarsum, packing, known, cache: memory, record: Some(record) }
        .run(store, common)?;
    made.keep();
    for path in others {
        common.warn(format_args!("left alone: {}: no earlier run has recorded it", path.display()));
    }
    options.finish(edge)
}

fn tar_ending(packing: Option<CompressionParams>) -> String {
    format!("tar{}", packing.map_or("", |packing| packing.ending()))
}

/// Numbered layer files of a folder that this plan has no layer for, and that no run of ours is known to have written:
/// whoever names the folder takes them for layers.
fn others(folder: &Path, count: usize, record: &Record) -> Result<Vec<PathBuf>> {
    let is_other = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let number = name.strip_suffix(".layer.json").filter(|text| text.len() >= 3).map(str::parse::<usize>);
        number.is_some_and(|number| number.is_ok_and(|number| number >= count)) && !record.has(&name)
    };
    Ok(layer_files(folder)?.into_iter().filter(is_other).collect())
}
