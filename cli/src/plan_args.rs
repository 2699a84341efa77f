//! The flags of a plan that `layers` and `build` share.

use crate::bytes::parse_bytes;
use anyhow::Result;
use clap::Args;
use layerstone_layering::{Patterns, Previous, Settings};
use std::path::PathBuf;

/// Which paths a plan keeps together.
#[derive(Args, Default)]
pub struct PlanArgs {
    /// Plan of the image before: its layers are kept, new paths go where they cost least; --strategy has no say then
    #[arg(long, value_name = "OLD.LAYERS.JSON")]
    previous: Option<PathBuf>,
    /// Paths to put into a layer of their own: name patterns with commas between; one --layer for each layer
    #[arg(long, value_name = "PATTERN,...")]
    layer: Vec<Patterns>,
    /// Join layers that hold fewer bytes to others, where it costs least: 5000000, 5M or 5Mi
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    min_layer_size: Option<u64>,
}

impl PlanArgs {
    /// Whether any of them is given.
    pub fn is_given(&self) -> bool {
        self.previous.is_some() || !self.layer.is_empty() || self.min_layer_size.is_some()
    }

    /// The plan of the image before.
    pub fn previous(&self) -> Option<&PathBuf> {
        self.previous.as_ref()
    }

    /// Settings with the flags over them.
    pub fn over(&self, settings: Settings) -> Result<Settings> {
        Ok(Settings {
            previous: self.previous.as_deref().map(Previous::read).transpose()?.or(settings.previous),
            pinned: if self.layer.is_empty() { settings.pinned } else { self.layer.clone() },
            min_size: self.min_layer_size.unwrap_or(settings.min_size),
            ..settings
        })
    }
}
