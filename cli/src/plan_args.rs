//! The flags of a plan that `layers` and `build` share.

use crate::bytes::parse_bytes;
use clap::Args;
use layerstone_layering::Patterns;
use layerstone_pipeline::PlanOptions;
use std::path::PathBuf;

/// Which paths a plan keeps together.
#[derive(Args, Default)]
pub struct PlanArgs {
    /// Plan of the image before: its layers are kept, new paths go where they cost least; --strategy has no say then
    #[arg(long, value_name = "OLD.LAYERS.JSON")]
    pub previous: Option<PathBuf>,
    /// Paths to put into a layer of their own: name patterns with commas between; one --pin for each layer
    #[arg(long, alias = "layer", value_name = "PATTERN,...")]
    pin: Vec<Patterns>,
    /// Join layers that hold fewer bytes to others, where it costs least: 5000000, 5M or 5Mi
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    min_layer_size: Option<u64>,
}

impl PlanArgs {
    /// Whether any of them is given.
    pub fn is_given(&self) -> bool {
        self.previous.is_some() || !self.pin.is_empty() || self.min_layer_size.is_some()
    }

    /// What the flags say.
    pub fn options(&self) -> PlanOptions {
        PlanOptions { previous: self.previous.clone(), pinned: self.pin.clone(), min_size: self.min_layer_size }
    }
}
