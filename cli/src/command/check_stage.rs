//! `layerstone check-stage`: whether a program that replaces a stage wrote what the stage writes, for rules that run it.

mod closure;
mod image;
mod layer;
mod plan;

use crate::args::Common;
use crate::args::read::ReadArgs;
use crate::args::store::StoreArgs;
use anyhow::{Context, Result, bail};
use clap::Args;
use layerstone_store::StorePath;
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
    let context = || format!("the stage {} ({}) is no good", options.stage, options.command.display());
    options.outputs.iter().try_for_each(|output| is_written(output)).with_context(context)?;
    let output = &options.outputs[0];
    match options.stage.as_str() {
        "closure" => options.closure(output),
        "layers" => options.plan(output, common),
        "image" => options.image(common),
        "layer" => options.layer(output),
        _ => options.layer_file(output).map(drop),
    }
    .with_context(context)
}

/// Whether an output is a file. What else it may be would be waited for, or be read without end.
fn is_written(output: &Path) -> Result<()> {
    let metadata = output.metadata().with_context(|| format!("it has not written {}", output.display()))?;
    if !metadata.is_file() {
        bail!("it has not written {}: found no regular file", output.display());
    }
    Ok(())
}
