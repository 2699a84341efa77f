//! `layerstone layer`: a plan to layer files, one or all, or to one layer behind a root.

mod output;

use crate::args::Common;
use crate::args::base::StageBaseArgs;
use crate::args::cache::CacheArgs;
use crate::args::compression::CompressionArgs;
use crate::args::erofs::ErofsArgs;
use crate::args::history::HistoryArgs;
use crate::args::stamp::StampArgs;
use crate::args::step::StepArgs;
use crate::args::store::StoreArgs;
use crate::message::usage_error::conflict;
use crate::overwrite::Files;
use anyhow::{Context, Result};
use clap::Args;
use layerstone_layer::History;
use layerstone_layering::Plan;
use layerstone_pipeline::single_layer::SingleLayer;
use layerstone_pipeline::{
    BuildStep, Error, LayersToMake, MountLayer, NewBlob, PriorLayers, Record, TarLayer, check_tar, make_directory,
    recipes,
};
use layerstone_store::{StorePath, counted};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What the command is called.
const NAME: &str = "layer";

/// Make the layers of a plan, or a layer of a tar
///
/// What is written are digests and sizes, and the tars if they are wanted. A layer file says what a layer is (diff ID, size) and holds either the name of its tar or the recipe from which
/// anyone makes the same bytes again, `image` among them. The bytes are those of nixpkgs' stream_layered_image.py.
#[derive(Args)]
pub struct Options {
    /// The plan, or a bare JSON list of lists of store paths
    #[arg(value_name = "LAYERS.JSON", required_unless_present = "tar")]
    plan: Option<PathBuf>,
    /// Make a layer of this tar, plain or compressed, instead of the layers of a plan; the tar does not change
    #[arg(long, value_name = "FILE", conflicts_with_all = ["plan", "index", "key", "all", "behind", "known", "xattrs"])]
    tar: Option<PathBuf>,
    /// Make this layer, 0 being the bottom one
    #[arg(long, value_name = "I", required_unless_present_any = ["all", "behind", "key", "tar", "mounts"], conflicts_with_all = ["all", "behind"])]
    index: Option<usize>,
    /// Make the layer with this key, as rules of `ninja` and `make` do
    #[arg(long, value_name = "KEY", conflicts_with_all = ["index", "all", "behind"])]
    key: Option<String>,
    /// Make all layers, as 000.layer.json and so on in a directory; outputs of an earlier run that are not needed any
    /// more are removed, by the list in .layerstone-outputs
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
    /// Make one layer of empty mount points for all store paths, whose annotations name the paths, for containerd's
    /// nix-snapshotter
    #[arg(long, requires = "blob", conflicts_with_all = ["tar", "index", "key", "all", "behind", "known", "xattrs", "tarsum", "erofs_cache"])]
    mounts: bool,
    /// List the store paths of --mounts in the file store-paths of this directory, and name it alone, as
    /// nix-snapshotter 0.3 has it: a path of the store
    #[arg(long, value_name = "DIR", requires = "mounts")]
    nix_closure: Option<PathBuf>,
    #[command(flatten)]
    compression: CompressionArgs,
    #[command(flatten)]
    erofs: ErofsArgs,
    /// Take layers with the same recipe from the layer files in this directory, without reading store paths
    #[arg(id = "known", long = "known", value_name = "DIR", conflicts_with_all = ["behind", "blob", "blobs", "tarsum"])]
    prior: Option<PathBuf>,
    /// Keep extended attributes and file capabilities
    #[arg(long)]
    xattrs: bool,
    /// Compute docker's tarsum too
    #[arg(long)]
    tarsum: bool,
    /// Layer file to write; with --all, the directory, made if its parent is there
    #[arg(short, long, value_name = "PATH")]
    output: PathBuf,
    #[command(flatten)]
    history: HistoryArgs,
    #[command(flatten)]
    stamp: StampArgs,
    // Gives --behind the modes of the directories that lead to the store.
    #[command(flatten)]
    base: StageBaseArgs,
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    cache: CacheArgs,
    #[command(flatten)]
    step: StepArgs,
}

pub fn run(options: &Options, common: &Common) -> Result<()> {
    let Some(file) = &options.plan else { return options.run_tar(common) };
    let plan = Plan::read(file)?;
    let store = options.store.store()?;
    let index = options.index_in(&plan)?;
    let spec = options.stamp.read_spec()?;
    let (mtime, owner) = options.stamp.resolve(spec.as_ref())?;
    let xattrs = options.xattrs || spec.as_ref().is_some_and(|spec| spec.xattrs);
    let (tarsum, compression) = (options.tarsum, options.compression.choice()?.or(None));
    options.check_files(spec.as_ref(), &plan, compression, &store)?;
    let erofs_cache = options.erofs.open(options.base.limits())?;
    let erofs_cache = erofs_cache.as_ref();
    if let (true, Some(path)) = (options.mounts, &options.blob) {
        let (paths, closure) = (&plan.layers.into_iter().flatten().collect(), options.nix_closure.as_deref());
        let step = options.step.begin(&[&options.output, path])?;
        MountLayer { paths, mtime, store: &store, closure }.run(
            &options.output,
            NewBlob { path, compression },
            common,
        )?;
        return options.finish(step);
    }
    if let (Some(root), Some(blob)) = (&options.behind, &options.blob) {
        let base = options.base.open(spec.as_ref(), common)?;
        // In an order that no plan decides: the tar has one of its own.
        let paths: BTreeSet<StorePath> = plan.layers.into_iter().flatten().collect();
        let paths = &Vec::from_iter(paths);
        let (base, store) = (base.as_ref(), &store);
        let job = SingleLayer {
            root,
            paths,
            mtime,
            base,
            store,
            tarsum,
            xattrs,
            compression,
            erofs_cache,
            history: options.history.over(History::default()),
        };
        let mut step = options.step.begin(&[&options.output, blob])?;
        job.run(&options.output, blob, common)?;
        step.layer(store, root)?;
        step.store_paths(store, paths);
        step.files(&options.base.files(spec.as_ref()));
        return options.finish(step);
    }
    let cache = options.cache.options().open(&store, common)?;
    cache.set_nar_hashes(plan.nar_hashes);
    let count = plan.layers.len();
    let layers = match index {
        None => &plan.layers[..],
        Some(index) => plan.layers.get(index..=index).ok_or_else(|| {
            let plan = file.display();
            let found = counted(count, "layer");
            let message = format!("no such layer: {plan}: found {found}, expected --index {index} to be less");
            Error::advised(message, "--index 0 is the bottom layer; --all makes all of them")
        })?,
    };
    let recipes = recipes(layers, &store, mtime, &owner, xattrs)?;
    let prior = options.prior.as_deref().map(PriorLayers::read).transpose()?.unwrap_or_default();
    let directory = options.all.then_some(&options.output);
    let mut made = directory.map(|directory| make_directory(directory)).transpose()?;
    let (files, blobs) = options.outputs(count, compression);
    let mut step = options.step.begin(&[&files[..], &blobs].concat())?;
    step.recipes(&store, &recipes);
    let record = made.as_ref().map(Record::read).transpose()?;
    let unrecorded = record.as_ref().map(|record| output::unrecorded(&options.output, count, record)).transpose()?;
    let history = options.history.over(History::default());
    LayersToMake { recipes, files, blobs, tarsum, history, compression, prior, cache: &cache, erofs_cache, record }
        .run(&store, common)?;
    made.iter_mut().for_each(|made| made.keep());
    for path in unrecorded.into_iter().flatten() {
        common.warn(format_args!("left alone: {}: no earlier run has recorded it", path.display()));
    }
    options.finish(step)
}

impl Options {
    /// Makes a layer of a tar.
    fn run_tar(&self, common: &Common) -> Result<()> {
        let tar = self.tar.as_deref().context("no plan: expected one, or --tar")?;
        let compression = self.compression.choice()?;
        if self.blob.is_none() && compression.asked.is_some() {
            return Err(conflict(
                NAME,
                "--compression: expected --blob with it, as the blob of --tar is the tar itself",
            ));
        }
        let compression = compression.or(None);
        if let Some(blob) = &self.blob {
            check_tar(blob, compression)?;
        }
        let store = self.store.store()?;
        let files = Files::of(&store).reads([tar]).writes(&self.step.depfile);
        self.erofs.noted(files.writes(&self.blob).writes([&self.output])).check()?;
        let mut step =
            self.step.begin(&[Some(&self.output), self.blob.as_ref()].into_iter().flatten().collect::<Vec<_>>())?;
        let blob = self.blob.as_deref().map(|path| NewBlob { path, compression });
        let history = self.history.over(History::default());
        TarLayer { tar, limits: self.base.limits(), tarsum: self.tarsum, history: &history }.run(
            &self.output,
            blob,
            self.erofs.open(self.base.limits())?.as_ref(),
            common,
        )?;
        step.file(tar);
        Ok(step.finish()?)
    }

    /// Which layer is asked for; none for all.
    fn index_in(&self, plan: &Plan) -> Result<Option<usize>> {
        let Some(key) = &self.key else { return Ok(self.index) };
        let index = (0..plan.layers.len()).find(|index| plan.key(*index).as_ref() == Some(key));
        let plan = || self.plan.as_deref().unwrap_or(Path::new("")).display();
        let missing = || {
            let message = format!("no such layer: {}: found none with the key {key}", plan());
            Error::advised(message, "--index N makes a layer by its place, 0 being the bottom one")
        };
        Ok(Some(index.ok_or_else(missing)?))
    }

    /// Notes what was read besides store paths.
    fn finish(&self, mut step: BuildStep) -> Result<()> {
        // A layer with a key is the same in any plan that has it.
        if self.key.is_none() {
            step.files(&self.plan);
        }
        step.files(&self.stamp.spec);
        Ok(step.finish()?)
    }
}
