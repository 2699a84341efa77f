//! `layerstone root`: contents and a script to the customisation layer.

use crate::args::{Common, StampArgs, StoreArgs};
use crate::base::{Base, BaseArgs};
use crate::command::layer::behind::plain_blob;
use crate::command::ready;
use crate::edge::EdgeArgs;
use crate::legacy_args::LegacyArgs;
use crate::overwrite::Files;
use crate::place::check_tar;
use crate::root_args::RootArgs;
use anyhow::{Context, Result, bail};
use clap::Args;
use layerstone_layer::LayerFile;
use layerstone_root::{FakeRoot, Mode, RootSpec, Rule, Script, Which, build};
use layerstone_spec::{Kind, Perm, RootMode, Spec};
use layerstone_store::{Output, Store};
use layerstone_tar::{Allowance, LayerTree, Owner, Tree};
use std::fs::File;
use std::io::{BufReader, stderr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What the command is called.
const NAME: &str = "root";

/// Make the customisation layer: merge contents, run a script
///
/// The folders of all contents are merged as lndir does: folders are made, files become links into the store, links are
/// copied. The first of two that disagree wins. Ready contents give way to all of them. Then the script runs in the layer's folder, with bash -e, an empty
/// environment, and nothing but that folder and TMPDIR to write to.
///
/// The layer file also lists the store paths that the layer refers to, for `closure --layer`.
#[derive(Args)]
pub struct Options {
    /// Store paths to merge, the first one first; links to store paths such as ./result will do
    #[arg(long, value_name = "PATH", num_args = 1..)]
    contents: Vec<PathBuf>,
    /// Script to run in the layer
    #[arg(long, value_name = "FILE")]
    extra_commands: Option<PathBuf>,
    /// Make it an error if contents disagree about a link or file, or about the mode of a folder that is copied
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    root: RootArgs,
    /// Layer file to write
    #[arg(short, long, value_name = "LAYER.JSON")]
    output: PathBuf,
    /// Tar to write
    #[arg(long, value_name = "TAR")]
    blob: PathBuf,
    #[command(flatten)]
    legacy: LegacyArgs,
    #[command(flatten)]
    stamp: StampArgs,
    #[command(flatten)]
    base: BaseArgs,
    /// Layer file of `overlay run` to build on, over the base
    #[arg(long, value_name = "LAYER.JSON", help_heading = "Base image")]
    below: Option<PathBuf>,
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    edge: EdgeArgs,
}

pub fn run(options: &Options, common: &Common) -> Result<()> {
    let store = options.store.store()?;
    let mut spec = options.stamp.read_spec()?.unwrap_or_else(|| Spec::new("root"));
    let (mtime, _) = options.stamp.resolve(Some(&spec))?;
    options.root.apply(NAME, &mut spec)?;
    let base = options.base.open(Some(&spec), common)?;
    spec.contents.extend(options.contents.iter().cloned());
    if let Some(file) = &options.extra_commands {
        if spec.script.is_some() {
            bail!("two scripts: found --extra-commands and one in the spec, expected one of them");
        }
        spec.script = Some(layerstone_spec::Script::File(file.clone()));
    }
    if spec.run_as_root.is_some() && spec.kind == Kind::Single {
        bail!("runAsRoot makes the root of a single image: expected `overlay run --spec` in place of `root`");
    }
    let below = options.below.as_deref().map(read_layer).transpose()?;
    let root = root_spec(&spec, &store, tree_below(base.as_ref(), below)?)?;
    let owner = options.stamp.owner.over(root.owner.clone());
    let numeric = root.numeric && owner.uname.is_empty() && owner.gname.is_empty();
    let root = RootSpec { mtime, owner, numeric, strict: options.strict, ..root };
    check_tar(&options.blob, None)?;
    let files = Files::of(&store).reads_spec(options.stamp.spec(), &spec).reads_layers(&options.below);
    let files = files.reads(options.base.location(Some(&spec)).map(|base| base.path)).edge(&options.edge);
    let files = files.reads(options.legacy.file()).writes(options.legacy.outputs(&options.blob));
    files.writes([&options.output, &options.blob]).check()?;
    if options.output != Path::new("-") {
        // First, so that a bad place is told before the blob is there.
        Output::create(&options.output)?;
    }
    let mut edge = options.edge.begin(&[&options.output, &options.blob])?;
    edge.spec(&store, options.stamp.spec(), &spec)?;
    edge.base(&options.base, Some(&spec));
    if let Some(below) = &options.below {
        edge.layer(&store, below)?;
    }
    let mut layer = make(&root, &options.blob, common)?;
    layer.set_blob(&options.output, &options.blob)?;
    options.legacy.write(&options.blob)?;
    edge.files(options.legacy.file());
    layer.write(&options.output)?;
    edge.finish()
}

/// The customisation layer, or the root of the only layer, that an image spec asks for, over the files of a base.
pub fn root_spec(spec: &Spec, store: &Store, base: Option<Arc<Tree>>) -> Result<RootSpec> {
    let contents = spec.contents.iter().map(|path| store.resolve(path)).collect::<Result<_, _>>()?;
    let script = spec.script.as_ref().map(|script| named_script("extraCommands", script));
    let fake_root = spec
        .fake_root_commands
        .as_ref()
        .map(|script| FakeRoot { script: named_script("fakeRootCommands", script), chroot: spec.enable_fakechroot });
    let owner = match spec.kind {
        // The spec's owner is that of the store paths.
        Kind::Layered => Owner::numeric_root(),
        // The spec's owner is that of all but the store paths.
        Kind::Single => Owner::numbered(spec.owner.uid, spec.owner.gid),
    };
    let mode = match spec.root_mode {
        RootMode::Links => Mode::Links,
        RootMode::Copy => Mode::Copy,
        RootMode::CopyKeepingDirlinks => Mode::CopyKeepingDirlinks,
    };
    Ok(RootSpec {
        store: store.clone(),
        contents,
        mode,
        helpers: spec.helpers.iter().map(|helper| ready::of_store(helper, store)).collect::<Result<_>>()?,
        script,
        fake_root,
        xattrs: spec.xattrs,
        perms: spec.perms.iter().map(rule).collect::<Result<_>>()?,
        mtime: spec.mtime.seconds()?,
        owner,
        numeric: spec.kind == Kind::Layered,
        strict: false,
        base,
        replace: spec.replace,
    })
}

/// A layer that has a tar.
fn read_layer(path: &Path) -> Result<PathBuf> {
    plain_blob(&LayerFile::read(path)?, path)
}

/// The files of a base, and of a layer over it whose tar this is.
pub fn tree_below(base: Option<&Base>, layer: Option<PathBuf>) -> Result<Option<Arc<Tree>>> {
    let Some(tar) = layer else { return base.map(Base::tree).transpose() };
    let unusable = || format!("cannot use the layer: {}", tar.display());
    let mut tree = base.map(|base| base.image.tree()).transpose()?.unwrap_or_default();
    let number = u32::try_from(base.map_or(0, |base| base.image.layers.len())).context("too many layers")?;
    let file = File::open(&tar).with_context(unusable)?;
    tree.put(LayerTree::read_nth(BufReader::new(file), number, &Allowance::default()).with_context(unusable)?)
        .with_context(unusable)?;
    Ok(Some(Arc::new(tree)))
}

fn named_script(name: &str, script: &layerstone_spec::Script) -> Script {
    match script {
        layerstone_spec::Script::File(path) => Script::File(path.clone()),
        layerstone_spec::Script::Text(text) => Script::Text { name: name.to_owned(), text: text.clone() },
    }
}

/// What a rule of a spec is to the root stage.
fn rule(perm: &Perm) -> Result<Rule> {
    let which = match &perm.which {
        layerstone_spec::Which::Path(path) => Which::path(path),
        layerstone_spec::Which::Glob(pattern) => Which::glob(pattern)?,
    };
    let Perm { mode, uid, gid, uname, gname, .. } = perm.clone();
    Ok(Rule { which, mode, uid, gid, uname, gname })
}

/// Makes the layer's tar and tells the warnings.
pub fn make(root: &RootSpec, blob: &Path, common: &Common) -> Result<LayerFile> {
    let made = build(root, blob, &mut stderr())?;
    for warning in &made.warnings {
        common.warn(warning);
    }
    Ok(made.layer)
}
