//! `layerstone check-stage`: whether a program that replaces a stage wrote what the stage writes, for rules that run it.

mod closure;
mod image;
mod layer;
mod no_good;
mod plan;

use crate::args::Common;
use crate::args::read::ReadArgs;
use crate::args::store::StoreArgs;
use anyhow::{Context, Result, bail};
use clap::Args;
use layerstone_store::StorePath;
pub use no_good::NoGood;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Check what a program in the place of a stage has written, as the rules of `ninja` and `make` do
#[derive(Args)]
#[command(hide = true)]
pub struct Options {
    /// The stage
    #[arg(value_name = "STAGE")]
    stage: String,
    /// What it wrote
    #[arg(value_name = "FILE", required = true)]
    outputs: Vec<PathBuf>,
    /// The command line in its place
    #[arg(long, value_name = "COMMAND")]
    command: OsString,
    /// The image spec that it was given
    #[arg(long, value_name = "IMAGE.JSON")]
    spec: Option<PathBuf>,
    /// The closure whose paths a plan must hold
    #[arg(long, value_name = "CLOSURE.JSON")]
    closure: Option<PathBuf>,
    /// Layer file of a layer that the image must have, the bottom one first
    #[arg(long, value_name = "LAYER.JSON")]
    layer: Vec<PathBuf>,
    /// The exit status of that command line, as a shell tells it
    #[arg(long, value_name = "STATUS", default_value_t = 0)]
    status: u8,
    /// Store path that a layer or a closure must hold
    #[arg(long, value_name = "PATH", value_parser = StorePath::parse)]
    path: Vec<StorePath>,
    /// Where the image is
    #[arg(id = "place", long = "place", value_name = "PLACE")]
    target: Option<OsString>,
    #[command(flatten)]
    read: ReadArgs,
    #[command(flatten)]
    store: StoreArgs,
}

pub fn run(options: &Options, common: &Common) -> Result<()> {
    if options.status != 0 {
        return Err(NoGood::failed(options).into());
    }
    options.check(common).map_err(|cause| NoGood::wrote(options, cause).into())
}

impl Options {
    fn check(&self, common: &Common) -> Result<()> {
        self.outputs.iter().try_for_each(|output| is_written(output))?;
        let output = &self.outputs[0];
        match self.stage.as_str() {
            "closure" => self.closure(output),
            "layers" => self.plan(output, common),
            "image" => self.image(common),
            "layer" => self.layer(output),
            _ => self.layer_file(output).map(drop),
        }
    }
}

/// Whether an output is a file. What else it may be would be waited for, or be read without end.
fn is_written(output: &Path) -> Result<()> {
    let metadata = output.metadata().with_context(|| format!("it has not written {}", output.display()))?;
    if !metadata.is_file() {
        bail!("it has not written {}: found no regular file", output.display());
    }
    Ok(())
}
