//! The flag that names layers which are made already, for the stages that lay something over them.

use anyhow::Result;
use clap::Args;
use layerstone_pipeline::{FoundLayer, LayersBelow, Report, layer_files_of};
use layerstone_spec::Spec;
use std::path::PathBuf;

/// Layers below.
#[derive(Args, Default)]
pub struct BelowArgs {
    /// Layer file of an existing layer, or a directory of them from `layer --all`, over the base and below everything
    /// else; one --below for each, bottom first
    #[arg(long, value_name = "LAYER.JSON|DIR", help_heading = "Base image")]
    below: Vec<PathBuf>,
}

impl BelowArgs {
    /// Those of a spec, and over them those that the flags name.
    pub fn read(&self, spec: Option<&Spec>, report: &dyn Report) -> Result<LayersBelow> {
        let named: Vec<PathBuf> = spec.iter().flat_map(|spec| &spec.layers).chain(&self.below).cloned().collect();
        let layers = LayersBelow::read(&named)?;
        layers.warn_of_twins(report);
        Ok(layers)
    }

    /// The layer files that the flags name. Whoever reads a bad one reports it.
    pub fn files(&self) -> Vec<FoundLayer> {
        layer_files_of(&self.below).unwrap_or_default()
    }
}
