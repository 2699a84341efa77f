//! The flags for make and ninja.

use anyhow::Result;
use clap::Args;
use layerstone_pipeline::{BuildStep, StepOptions};
use std::path::{Path, PathBuf};

/// What build tools need from a stage.
#[derive(Args, Clone, Default)]
#[command(next_help_heading = "For make and ninja")]
pub struct StepArgs {
    /// Leave outputs alone that would get the bytes they have
    #[arg(long)]
    restat: bool,
    /// Write which files and store paths were read, as a rule of make
    #[arg(long, value_name = "FILE")]
    pub depfile: Option<PathBuf>,
    /// What that rule is for [default: the first output]
    #[arg(long, value_name = "NAME", requires = "depfile")]
    depfile_target: Option<PathBuf>,
}

impl StepArgs {
    /// Notes what exists of these outputs; `-`, standard output, is none.
    pub fn begin<P: AsRef<Path>>(&self, outputs: &[P]) -> Result<BuildStep> {
        let StepArgs { restat, depfile, depfile_target } = self.clone();
        Ok(BuildStep::begin(StepOptions { restat, depfile, depfile_target }, outputs)?)
    }
}
