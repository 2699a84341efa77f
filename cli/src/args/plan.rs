//! The flags of a plan that `layers` and `build` share.

use crate::args::rates::RatesArgs;
use anyhow::Result;
use clap::Args;
use layerstone_layering::Patterns;
use layerstone_pipeline::{PlanOptions, PreviousPlan};
use layerstone_store::parse_bytes;
use std::ffi::OsString;
use std::path::PathBuf;

/// The flag that names the image before.
#[derive(Args, Default)]
pub struct PreviousArgs {
    /// The last image, or its plan: its layers are kept, new paths go where they cost least, and --strategy is ignored;
    /// auto is the image that the output replaces
    #[arg(long, value_name = "PLACE|OLD.LAYERS.JSON|auto")]
    previous: Option<OsString>,
}

impl PreviousArgs {
    /// Whether it is given.
    pub fn is_given(&self) -> bool {
        self.previous.is_some()
    }

    /// What the flag says.
    pub fn plan(&self) -> Result<Option<PreviousPlan>> {
        Ok(self.previous.as_deref().map(PreviousPlan::parse).transpose()?)
    }

    /// The file that is read.
    pub fn file(&self) -> Option<PathBuf> {
        self.plan().ok()??.path().map(PathBuf::from)
    }
}

/// Which paths a plan keeps together.
#[derive(Args, Default)]
pub struct PlanArgs {
    #[command(flatten)]
    previous: PreviousArgs,
    /// Paths that get a layer of their own: name patterns, separated by commas; one --pin for each layer
    #[arg(long, alias = "layer", value_name = "PATTERN,...")]
    pin: Vec<Patterns>,
    /// Join layers that hold fewer bytes to others, where it costs least: 5000000, 5M or 5Mi
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    min_layer_size: Option<u64>,
    #[command(flatten)]
    pub rates: RatesArgs,
}

impl PlanArgs {
    /// Whether any of them is given.
    pub fn is_given(&self) -> bool {
        self.previous.is_given() || !self.pin.is_empty() || self.min_layer_size.is_some() || self.rates.is_given()
    }

    /// The files of the image before and of rates.
    pub fn files(&self) -> impl Iterator<Item = PathBuf> {
        self.previous.file().into_iter().chain(self.rates.file().map(PathBuf::from))
    }

    /// What the flags say.
    pub fn options(&self) -> Result<PlanOptions> {
        let (previous, pinned) = (self.previous.plan()?, self.pin.clone());
        Ok(PlanOptions { previous, pinned, min_size: self.min_layer_size, rates: self.rates.rates()? })
    }
}
