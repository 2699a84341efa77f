//! `layerstone tarsum`: docker's tarsum of a tar.

use crate::screen::answer::AnswerArgs;
use anyhow::{Context, Result};
use clap::Args;
use layerstone_tar::tarsum;
use serde_json::json;
use std::fs::File;
use std::io::stdin;
use std::path::{Path, PathBuf};

/// Print docker's tarsum of a tar
///
/// tarsum.v1 with sha256, as docker's pkg/tarsum computes it: a sum over the members, in which their order and times do
/// not count.
#[derive(Args)]
pub struct Options {
    /// The tar, uncompressed
    #[arg(default_value = "-")]
    file: PathBuf,
    #[command(flatten)]
    answer: AnswerArgs,
}

pub fn run(options: &Options) -> Result<()> {
    let sum = if options.file == Path::new("-") {
        tarsum(stdin().lock()).context("cannot read: standard input")?
    } else {
        let context = || format!("cannot read: {}", options.file.display());
        tarsum(File::open(&options.file).with_context(context)?).with_context(context)?
    };
    options.answer.print("tarsum", || json!({"tarsum": sum}), || format!("{sum}\n"))
}
