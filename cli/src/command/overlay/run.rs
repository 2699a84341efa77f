//! `layerstone overlay run`: a script as root over a base image, to the layer of what it changes.

mod hook_args;

use crate::args::Common;
use crate::args::base::StageBaseArgs;
use crate::args::layer_output::LayerOutputArgs;
use crate::args::legacy::LegacyArgs;
use crate::args::script::ScriptArgs;
use crate::args::step::StepArgs;
use crate::args::store::StoreArgs;
use crate::args::time::parse_time;
use crate::overwrite::Files;
use anyhow::{Result, bail};
use clap::Args;
use hook_args::HookArgs;
use layerstone_closure::Closure;
use layerstone_layer::History;
use layerstone_oci::Time;
use layerstone_overlay::Hooks;
use layerstone_pipeline::check_tar;
use layerstone_pipeline::root_script::{COMMENT, RootScript, contents, make, text};
use layerstone_spec::{ImageKind, RootMode, Script, Spec};
use layerstone_store::Store;
use std::path::{Path, PathBuf};

/// Run a script as root over a base image, and write what it changes as a layer
///
/// The script sees the files of the base as its root, with a /dev, /proc and /sys of its own, the store paths of
/// --store-closure, no network, and a clean environment. A script without #! is read by /bin/sh -e. What it adds, changes
/// and deletes becomes the layer; the layer file also lists the store paths that the layer refers to.
///
/// It runs in a virtual machine (KVM), or without KVM in a user namespace, or in an emulated machine: see `overlay
/// probe`. All of them give the same bytes.
#[derive(Args)]
pub struct Options {
    /// Image spec to take base, script (runAsRoot), sizes and times from; of a single image contents and extraCommands too
    #[arg(id = "IMAGE.JSON", value_name = "IMAGE.JSON")]
    image: Option<PathBuf>,
    /// Script to run as root
    #[arg(long, value_name = "FILE", required_unless_present_any = ["spec", "IMAGE.JSON"])]
    script: Option<PathBuf>,
    /// The same, as the other stages take it
    #[arg(long, value_name = "IMAGE.JSON", conflicts_with = "IMAGE.JSON", hide = true)]
    spec: Option<PathBuf>,
    /// Store paths whose files are copied into the layer first
    #[arg(long, value_name = "PATH", num_args = 1..)]
    contents: Vec<PathBuf>,
    /// Closure file or references graph of the store paths that scripts see; programs of its top paths are in PATH
    #[arg(long, value_name = "CLOSURE.JSON")]
    store_closure: Option<PathBuf>,
    /// Script to run last, in the layer's directory
    #[arg(long, value_name = "FILE")]
    extra_commands: Option<PathBuf>,
    #[command(flatten)]
    output: LayerOutputArgs,
    #[command(flatten)]
    legacy: LegacyArgs,
    #[command(flatten)]
    hooks: HookArgs,
    #[command(flatten)]
    scripts: ScriptArgs,
    /// Latest modification time in the layer: a date with a time and a zone or without, @SECONDS, or now [default: 1970-01-01T00:00:01Z]
    #[arg(long, value_name = "TIME", value_parser = parse_time, help_heading = "Time of the files")]
    mtime: Option<Time>,
    #[command(flatten)]
    base: StageBaseArgs,
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    step: StepArgs,
}

pub fn run(options: &Options, common: &Common) -> Result<()> {
    let store = options.store.store()?;
    let closure = options.store_closure.as_deref().map(Closure::read).transpose()?;
    let spec = options.resolve()?;
    options.check_files(&spec, &store)?;
    let base = options.base.open(Some(&spec), common)?;
    let Some(script) = &spec.run_as_root else {
        bail!("no script: expected --script FILE, or runAsRoot in the spec");
    };
    let scripts = options.scripts.options();
    let job = RootScript {
        script: text(script)?,
        hooks: Hooks { extra_commands: spec.script.as_ref().map(text).transpose()?, ..options.hooks.read()? },
        contents: contents(&spec, &store, base.as_ref(), options.base.limits(), common)?,
        closure: closure.as_ref(),
        base: base.as_ref(),
        checks_base: true,
        store: &store,
        spec: &spec,
        options: &scripts,
        limits: options.base.limits(),
    };
    let legacy = options.legacy.read()?;
    options.output.probe()?;
    let mut step = options.step.begin(&options.output.files())?;
    step.spec(&store, options.spec(), &spec)?;
    step.files(&options.store_closure);
    step.files(&options.base.files(Some(&spec)));
    options.hooks.files().into_iter().for_each(|file| step.files(file));
    let mut layer = make(job, &options.output.blob, common)?;
    // A single image's one layer says what it is when store paths are behind it.
    if spec.kind == ImageKind::Layered {
        layer.history = History::comment(COMMENT);
    }
    layer.set_blob(&options.output.file, &options.output.blob)?;
    legacy.map_or(Ok(()), |legacy| legacy.write(&options.output.blob))?;
    step.files(&options.legacy.file);
    layer.write(&options.output.file)?;
    Ok(step.finish()?)
}

impl Options {
    /// Refuses a name that is no tar's, and an output that is one of the inputs.
    fn check_files(&self, spec: &Spec, store: &Store) -> Result<()> {
        check_tar(&self.output.blob, None)?;
        let files = Files::of(store).reads_spec(self.spec(), spec).reads(&self.store_closure);
        let files = files.reads(self.base.files(Some(spec))).reads(self.scripts.files());
        let files = self.hooks.files().into_iter().fold(files, Files::reads);
        let files = files.reads(&self.legacy.file).writes(self.legacy.outputs(&self.output.blob));
        files.writes(&self.step.depfile).writes(self.output.files()).check()
    }

    /// The spec's file.
    fn spec(&self) -> Option<&Path> {
        self.image.as_deref().or(self.spec.as_deref())
    }

    /// What is to be run: what the spec says of it, and the flags over that.
    fn resolve(&self) -> Result<Spec> {
        let mut spec = match self.spec() {
            Some(path) => Spec::read(path)?,
            None => Spec { kind: ImageKind::Single, root_mode: RootMode::Copy, ..Spec::new("run") },
        };
        if spec.kind == ImageKind::Layered {
            // What belongs to the customisation layer, which lies above.
            (spec.contents, spec.helpers, spec.copy, spec.script) = (Vec::new(), Vec::new(), Vec::new(), None);
        }
        spec.contents.extend(self.contents.iter().cloned());
        spec.run_as_root = self.script.clone().map(Script::File).or(spec.run_as_root);
        spec.script = self.extra_commands.clone().map(Script::File).or(spec.script);
        spec.mtime = self.mtime.unwrap_or(spec.mtime);
        self.scripts.options().apply(&mut spec);
        Ok(spec)
    }
}
