//! Parses how store paths are divided into layers: by a strategy, by a pipeline, or by a plan that is made already.

use super::Layering;
use super::keys as key;
use super::parse::paths;
use super::root_layer::alone;
use crate::Result;
use layerstone_store::{Fields, string};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The strategy that layeringPipeline belongs to.
const PIPELINE: &str = "pipeline";

/// A pipeline is a strategy by itself, so that `strategy` need not name it.
pub(super) fn read(fields: &mut Fields, directory: &Path) -> Result<Option<Layering>> {
    let strategy = key::STRATEGY.optional(fields, string)?;
    let pipeline = key::LAYERING_PIPELINE.optional(fields, |value| match value {
        Value::Array(_) => Some(Layering::Pipeline(value.clone())),
        _ => Some(Layering::PipelineFile(directory.join(string(value)?))),
    })?;
    match (strategy, pipeline) {
        (Some(name), Some(_)) if name != PIPELINE => {
            Err(key::STRATEGY.error(fields, format!("found {name:?} and layeringPipeline too, expected one of them")))
        }
        (Some(name), None) => Ok(Some(Layering::Strategy(name))),
        (_, pipeline) => Ok(pipeline),
    }
}

/// The plan of the layers of store paths, without what would make one.
pub(super) fn plan(fields: &mut Fields, directory: &Path) -> Result<Option<PathBuf>> {
    alone(fields, key::PLAN, &[key::MIN_LAYER_SIZE, key::STRATEGY, key::LAYERING_PIPELINE], directory)
}

/// Layers that are made already.
pub(super) fn made(fields: &mut Fields, directory: &Path) -> Result<Vec<PathBuf>> {
    let files = key::LAYERS.optional(fields, paths)?.unwrap_or_default();
    Ok(files.into_iter().map(|path| directory.join(path)).collect())
}
