//! Makes the customisation layer of an image spec, and puts together what it lies on.

use crate::copies::open_copies;
use crate::error::Context;
use crate::{BaseImage, Report, Result};
use layerstone_layer::LayerFile;
use layerstone_root::{Console, RootConfig, build};
use layerstone_spec::Spec;
use layerstone_store::{Limits, Store, open_regular};
use layerstone_tar::{Allowance, LayerTree, Tree};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The files of a base, and of layers over it whose tars these are, bottom first.
///
/// # Errors
///
/// The base or a tar cannot be read.
pub fn tree_below(base: Option<&BaseImage>, layers: &[PathBuf]) -> Result<Option<Arc<Tree>>> {
    if layers.is_empty() {
        return base.filter(|base| base.has_files()).map(BaseImage::tree).transpose();
    }
    let mut tree = base.map(|base| Ok::<_, crate::Error>(base.image()?.tree()?)).transpose()?.unwrap_or_default();
    let allowance = Allowance::default();
    for (number, tar) in (base.map_or(0, |base| base.layer_count())..).zip(layers) {
        let unusable = || format!("cannot use the layer: {}", tar.display());
        let number = u32::try_from(number).context("too many layers")?;
        let file = open_regular(tar).with_context(unusable)?;
        let layer = LayerTree::read_nth(BufReader::new(file), number, &allowance).with_context(unusable)?;
        tree.put(layer).with_context(unusable)?;
    }
    Ok(Some(Arc::new(tree)))
}

/// What the customisation layer of a spec is made with, over these files: what it copies is open.
///
/// # Errors
///
/// Something that it copies cannot be opened.
pub fn root_config(spec: &Spec, store: &Store, below: Option<Arc<Tree>>, limits: Limits) -> Result<RootConfig> {
    Ok(RootConfig { copies: open_copies(spec, limits)?, ..RootConfig::new(spec, store, below) })
}

/// Makes the layer's tar, and reports warnings as they come up.
///
/// # Errors
///
/// Contents cannot be merged, a script fails, or the tar cannot be written.
pub fn make(spec: &Spec, config: &RootConfig, blob: &Path, report: &dyn Report) -> Result<LayerFile> {
    let mut script = None;
    let mut console = Console {
        log: &mut report.script_output(),
        warn: &mut |warning| report.warn(warning),
        running: &mut |name| script = name.map(|name| report.begin_script(name)),
    };
    Ok(build(spec, config, blob, &mut console)?)
}
