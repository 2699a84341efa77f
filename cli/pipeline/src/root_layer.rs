//! The customisation layer of an image spec: what the root stage is told, and the layer that it makes.

use crate::error::Context;
use crate::{BaseImage, Report, Result};
use layerstone_layer::LayerFile;
use layerstone_root::{FakeRoot, Helper, Mode, RootSpec, Rule, Script, Which, build};
use layerstone_spec::{Helper as Named, Kind, Perm, RootMode, Spec};
use layerstone_store::Store;
use layerstone_tar::{Allowance, LayerTree, Owner, Tree};
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
        helpers: spec.helpers.iter().map(|helper| of_store(helper, store)).collect::<Result<_>>()?,
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

/// The files of a base, and of a layer over it whose tar this is.
pub fn tree_below(base: Option<&BaseImage>, layer: Option<PathBuf>) -> Result<Option<Arc<Tree>>> {
    let Some(tar) = layer else { return base.map(BaseImage::tree).transpose() };
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
pub fn make(root: &RootSpec, blob: &Path, report: &dyn Report) -> Result<LayerFile> {
    let made = build(root, blob, &mut report.script_output())?;
    for warning in &made.warnings {
        report.warn(warning);
    }
    Ok(made.layer)
}

/// The helper that is named, its package found in the store.
pub fn of_store(helper: &Named, store: &Store) -> Result<Helper> {
    Ok(match helper {
        Named::FakeNss { extra_passwd_lines, extra_group_lines } => Helper::FakeNss {
            extra_passwd_lines: extra_passwd_lines.clone(),
            extra_group_lines: extra_group_lines.clone(),
        },
        Named::Tmp => Helper::Tmp,
        Named::ShadowSetup => Helper::ShadowSetup,
        Named::UsrBinEnv(package) => Helper::UsrBinEnv(store.resolve(package)?),
        Named::BinSh(package) => Helper::BinSh(store.resolve(package)?),
        Named::CaCertificates(package) => Helper::CaCertificates(store.resolve(package)?),
    })
}
