//! The strategy that an image spec asks for.

use crate::Result;
use layerstone_layering::{Pipeline, Strategy};
use layerstone_spec::{Layering, SPEC_FORMAT, Spec};
use layerstone_store::Error;

/// The strategy that an image spec asks for; `name` is the spec's, for messages.
pub fn strategy_of(spec: &Spec, name: &str) -> Result<Strategy> {
    Ok(match &spec.layering {
        None => Strategy::default(),
        Some(Layering::Strategy(strategy)) => strategy.parse().map_err(|e| Error::Malformed {
            format: SPEC_FORMAT,
            name: name.to_owned(),
            cause: format!("strategy: {e}"),
        })?,
        Some(Layering::Pipeline(operations)) => {
            let operations = operations.to_string();
            Strategy::Pipeline(Pipeline::parse(operations.as_bytes(), &format!("{name}: layeringPipeline"))?)
        }
        Some(Layering::PipelineFile(file)) => Strategy::Pipeline(Pipeline::read(file)?),
    })
}
