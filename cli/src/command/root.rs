//! `layerstone root`: contents and a script to the customisation layer.

use crate::args::Common;
use crate::args::base::StageBaseArgs;
use crate::args::below::BelowArgs;
use crate::args::history::HistoryArgs;
use crate::args::layer_output::LayerOutputArgs;
use crate::args::legacy::LegacyArgs;
use crate::args::root::RootArgs;
use crate::args::sandbox::SandboxArgs;
use crate::args::stamp::StampArgs;
use crate::args::step::StepArgs;
use crate::args::store::StoreArgs;
use crate::overwrite::Files;
use anyhow::{Result, bail};
use clap::Args;
use layerstone_layer::History;
use layerstone_oci::Time;
use layerstone_pipeline::root_layer::{make, root_config, tree_below};
use layerstone_pipeline::{Below, check_tar, copies_comment, libraries, report_libraries, spec_of_copy_layer};
use layerstone_spec::{ImageKind, Script, Spec};
use std::path::PathBuf;

/// What the command is called.
const NAME: &str = "root";

/// Make the customisation layer: merge contents, run a script
///
/// The directories of all contents are merged as lndir does: directories are made, files become links into the store,
/// links are copied. The first of two that disagree wins. Ready contents give way to all of them. Then the script runs
/// in the layer's directory, with bash -e, an empty environment, without a network, and with nothing but that
/// directory and TMPDIR to write to.
///
/// The layer file also lists the store paths that the layer refers to, for `closure --layer`.
#[derive(Args)]
pub struct Options {
    /// Image spec to take contents, scripts, base, time and owner from
    #[arg(id = "IMAGE.JSON", value_name = "IMAGE.JSON", conflicts_with = "spec")]
    image: Option<PathBuf>,
    /// Store paths to merge, the first one first; links to store paths such as ./result will do
    #[arg(long, value_name = "PATH", num_args = 1..)]
    contents: Vec<PathBuf>,
    /// Script to run in the layer
    #[arg(long, value_name = "FILE")]
    extra_commands: Option<PathBuf>,
    /// Fail if contents conflict in a link or file, or in the mode of a copied directory
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    root: RootArgs,
    #[command(flatten)]
    output: LayerOutputArgs,
    #[command(flatten)]
    legacy: LegacyArgs,
    #[command(flatten)]
    history: HistoryArgs,
    #[command(flatten)]
    sandbox: SandboxArgs,
    #[command(flatten)]
    stamp: StampArgs,
    #[command(flatten)]
    base: StageBaseArgs,
    #[command(flatten)]
    below: BelowArgs,
    /// Make the layer of copied files that the spec or --copy calls so, instead of the customisation layer; `libraries` is
    /// that of --with-libraries
    #[arg(long, value_name = "NAME", conflicts_with_all = ["contents", "helper", "extra_commands", "fake_root_commands"])]
    copy_layer: Option<String>,
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    step: StepArgs,
}

pub fn run(options: &Options, common: &Common) -> Result<()> {
    let store = options.store.store()?;
    let stamp = options.stamp();
    let mut whole = stamp.read_spec()?.unwrap_or_else(|| Spec::new("root"));
    whole.mtime = Time::from_seconds(stamp.resolve(Some(&whole))?.0)?;
    options.root.apply(NAME, &mut whole)?;
    let layer = options.copy_layer.as_deref();
    let mut spec = layer.map_or_else(|| Ok(whole.clone()), |name| spec_of_copy_layer(&whole, name))?;
    let base = options.base.open(Some(&spec), common)?;
    spec.contents.extend(options.contents.iter().cloned());
    if let Some(file) = &options.extra_commands {
        if spec.script.is_some() {
            bail!("two scripts: found --extra-commands and one in the spec, expected one of them");
        }
        spec.script = Some(Script::File(file.clone()));
    }
    if let Some(file) = &spec.root_layer {
        bail!("rootLayer: found {}, expected none: the layer is made already", file.display());
    }
    if spec.run_as_root.is_some() && spec.kind == ImageKind::Single {
        bail!("runAsRoot makes the root of a single image: expected `overlay run --spec` in place of `root`");
    }
    let below = options.below.read(Some(&whole), common)?;
    let tree = tree_below(base.as_ref(), &below.tars()?)?;
    let found = Below { base: base.as_ref(), tree: tree.as_deref() };
    let found = libraries(&whole, layer, found, &store, options.base.limits())?;
    let mut config = root_config(&spec, &store, tree, options.base.limits())?;
    config.libraries = report_libraries(found, common)?;
    config.owner = stamp.owner.over(config.owner);
    config.strict = options.strict;
    config.sandbox = options.sandbox.options();
    check_tar(&options.output.blob, None)?;
    let files = Files::of(&store).reads_spec(stamp.spec.as_deref(), &spec).reads_layers(options.below.files());
    let files = files.reads(options.base.files(Some(&spec))).writes(&options.step.depfile);
    let files = files.reads(&options.legacy.file).writes(options.legacy.outputs(&options.output.blob));
    files.writes(options.output.files()).check()?;
    let legacy = options.legacy.read()?;
    options.output.probe()?;
    let mut step = options.step.begin(&options.output.files())?;
    step.spec(&store, stamp.spec.as_deref(), &spec)?;
    if whole.layer_of_libraries() == Some(layer) {
        step.libraries(&store, &whole)?;
    }
    step.files(&options.base.files(Some(&spec)));
    below.files().try_for_each(|file| step.layer(&store, file))?;
    let mut layer =
        common.report().stage("customisation layer", || make(&spec, &config, &options.output.blob, common))?;
    let copied = options.copy_layer.as_deref().map(copies_comment);
    layer.history = options.history.over(History { comment: copied, ..layer.history });
    layer.set_blob(&options.output.file, &options.output.blob)?;
    legacy.map_or(Ok(()), |legacy| legacy.write(&options.output.blob))?;
    step.files(&options.legacy.file);
    layer.write(&options.output.file)?;
    Ok(step.finish()?)
}

impl Options {
    /// Time, owner and spec, which may be named without its flag.
    fn stamp(&self) -> StampArgs {
        let mut stamp = self.stamp.clone();
        stamp.spec = self.image.clone().or(stamp.spec);
        stamp
    }
}
