//! Makes the customisation layer of an image spec, and puts together what it lies on.

use crate::error::Context;
use crate::{BaseImage, Report, Result};
use layerstone_layer::LayerFile;
use layerstone_root::{Console, RootConfig, build};
use layerstone_spec::Spec;
use layerstone_store::open_regular;
use layerstone_tar::{Allowance, LayerTree, Tree};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The files of a base, and of a layer over it whose tar this is.
pub fn tree_below(base: Option<&BaseImage>, layer: Option<PathBuf>) -> Result<Option<Arc<Tree>>> {
    let Some(tar) = layer else { return base.map(BaseImage::tree).transpose() };
    let unusable = || format!("cannot use the layer: {}", tar.display());
    let mut tree = base.map(|base| base.image.tree()).transpose()?.unwrap_or_default();
    let number = u32::try_from(base.map_or(0, |base| base.image.layers.len())).context("too many layers")?;
    let file = open_regular(&tar).with_context(unusable)?;
    tree.put(LayerTree::read_nth(BufReader::new(file), number, &Allowance::default()).with_context(unusable)?)
        .with_context(unusable)?;
    Ok(Some(Arc::new(tree)))
}

/// Makes the layer's tar, and reports warnings as they come up.
///
/// # Errors
///
/// Contents cannot be merged, a script fails, or the tar cannot be written.
pub fn make(spec: &Spec, config: &RootConfig, blob: &Path, report: &dyn Report) -> Result<LayerFile> {
    let mut console = Console { log: &mut report.script_output(), warn: &mut |warning| report.warn(warning) };
    Ok(build(spec, config, blob, &mut console)?)
}
