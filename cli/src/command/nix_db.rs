//! `layerstone nix-db`: a closure to the layer from which Nix in the image knows its store paths.

use crate::args::Common;
use crate::args::base::StageBaseArgs;
use crate::args::layer_output::LayerOutputArgs;
use crate::args::stamp::StampArgs;
use crate::args::step::StepArgs;
use crate::args::store::StoreArgs;
use crate::overwrite::Files;
use anyhow::{Context, Result};
use clap::Args;
use layerstone_closure::Closure;
use layerstone_layer::LayerFile;
use layerstone_pipeline::single_layer::{check_front, plain_blob};
use layerstone_pipeline::{NixDbLayer, check_tar};
use layerstone_root::NixDbPlace;
use layerstone_spec::Spec;
use std::path::PathBuf;

/// Make the layer of Nix's database, for Nix in a container
///
/// It is what Nix there knows of the image's store paths. The paths of the closure are registered, and behind those of the base's database; each has a root for the garbage
/// collector. NAR hashes that the closure does not tell are computed from the store.
#[derive(Args)]
pub struct Options {
    /// The closure
    #[arg(value_name = "CLOSURE.JSON")]
    closure: PathBuf,
    /// Append to the tar of this layer, for a single image: the root, to which `layer --behind` appends store paths then
    #[arg(long, value_name = "ROOT.LAYER.JSON")]
    behind: Option<PathBuf>,
    #[command(flatten)]
    nix: NixOwnerArgs,
    #[command(flatten)]
    output: LayerOutputArgs,
    // The owner is that of the directories that lead to the store.
    #[command(flatten)]
    stamp: StampArgs,
    #[command(flatten)]
    base: StageBaseArgs,
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    step: StepArgs,
}

/// Who owns the database.
#[derive(Args)]
pub struct NixOwnerArgs {
    /// User that owns the store's directory and the database of Nix, for use by this user alone [default: the base's,
    /// or 0]
    #[arg(long, value_name = "N")]
    pub nix_uid: Option<u32>,
    /// Group, likewise [default: the base's, or 0]
    #[arg(long, value_name = "N")]
    pub nix_gid: Option<u32>,
}

impl NixOwnerArgs {
    /// Puts what the flags say over what the spec does.
    pub fn apply(&self, spec: &mut Spec) {
        spec.nix_uid = self.nix_uid.or(spec.nix_uid);
        spec.nix_gid = self.nix_gid.or(spec.nix_gid);
    }
}

pub fn run(options: &Options, common: &Common) -> Result<()> {
    let store = options.store.store()?;
    let mut spec = options.stamp.read_spec()?.unwrap_or_else(|| Spec::new("nix-db"));
    options.nix.apply(&mut spec);
    let (mtime, store_owner) = options.stamp.resolve(Some(&spec))?;
    let closure = Closure::read(&options.closure)?;
    for info in &closure.graph {
        store.parse(info.path.as_str()).with_context(|| options.closure.display().to_string())?;
    }
    check_tar(&options.output.blob, None)?;
    let files = Files::of(&store).reads([&options.closure]).reads_spec(options.stamp.spec.as_deref(), &spec);
    let files = files.reads_layers(&options.behind).reads(options.base.files(Some(&spec)));
    files.writes(&options.step.depfile).writes(options.output.files()).check()?;
    let base = options.base.open(Some(&spec), common)?;
    options.output.probe()?;
    let mut step = options.step.begin(&options.output.files())?;
    step.file(&options.closure);
    step.files(&options.stamp.spec);
    step.files(&options.base.files(Some(&spec)));
    if let Some(behind) = &options.behind {
        step.layer(&store, behind)?;
    }
    let (place, references) = match &options.behind {
        None => (NixDbPlace::OnTop { root: None, store_owner }, Vec::new()),
        Some(file) => {
            let front = LayerFile::read(file)?;
            let root = plain_blob(&front, file)?;
            check_front(&front, &root, common)?;
            (NixDbPlace::Behind { root }, front.references)
        }
    };
    let job = NixDbLayer { spec: &spec, mtime, place, base: base.as_ref(), store: &store };
    let mut layer = LayerFile { references, ..job.make(closure, &options.output.blob)? };
    layer.set_blob(&options.output.file, &options.output.blob)?;
    layer.write(&options.output.file)?;
    Ok(step.finish()?)
}
