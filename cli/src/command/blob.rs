//! `layerstone blob`: the bytes of a blob.

use super::pull::parse_reference;
use crate::args::Common;
use crate::args::read::ReadArgs;
use crate::overwrite::Files;
use anyhow::{Context, Result};
use clap::Args;
use layerstone_pipeline::{Error, copy_blob};
use layerstone_store::Output;
use std::io::{Write, stdout};
use std::path::{Path, PathBuf};

/// Get a blob of a registry by its digest, byte for byte
///
/// Layers and configs are blobs, whose digests `layerstone manifest` prints. The digest of what came is checked; a file
/// appears whole or not at all.
#[derive(Args)]
pub struct Options {
    /// The blob, HOST/NAME@sha256:HEX
    #[arg(value_name = "REF")]
    reference: String,
    /// File to write, - for stdout
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
    #[command(flatten)]
    read: ReadArgs,
}

pub fn run(options: &Options, common: &Common) -> Result<()> {
    let reference = parse_reference(&options.reference)?;
    let digest = reference.digest().ok_or_else(|| {
        let message = format!("no blob: {}: found no digest, expected HOST/NAME@sha256:HEX", options.reference);
        Error::advised(message, "`layerstone manifest REF` prints the digests of an image's config and layers")
    })?;
    let registries = options.read.registries(common);
    if options.output == Path::new("-") {
        let mut out = stdout();
        copy_blob(&reference, digest, &mut out, &registries, common)?;
        return out.flush().context("cannot write: standard output");
    }
    Files::default().reads(options.read.files()).writes([&options.output]).check()?;
    let mut output = Output::create(&options.output)?;
    copy_blob(&reference, digest, &mut output, &registries, common)?;
    Ok(output.commit()?)
}
