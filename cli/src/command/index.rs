//! `layerstone index`: images for several architectures as one.

use super::copy::parse_name;
use crate::args::Common;
use crate::args::result::ResultArgs;
use crate::args::transfer::TransferArgs;
use crate::screen::answer::AnswerArgs;
use crate::screen::published::tell_published;
use crate::screen::summary::Work;
use anyhow::Result;
use clap::Args;
use layerstone_pipeline::{ImageSource, ImageTarget, check_places};
use std::ffi::OsString;
use std::time::Instant;

/// Join images for one architecture each into one image for all
///
/// Each image keeps its manifest. What it runs on is taken from its config; two for the same platform are an error.
#[derive(Args)]
pub struct Options {
    /// The images: image.json files, files or directories of images, registry:REF, docker:NAME or podman:NAME
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<OsString>,
    /// Where to write: oci:DIR, oci-archive:FILE or registry:HOST/NAME:TAG
    #[arg(short, long, value_name = "PLACE")]
    output: OsString,
    /// What to call it there [default: what the first image is called]
    #[arg(long = "as", value_name = "NAME:TAG")]
    name: Option<String>,
    #[command(flatten)]
    transfer: TransferArgs,
    #[command(flatten)]
    results: ResultArgs,
    #[command(flatten)]
    answer: AnswerArgs,
}

pub fn run(options: &Options, common: &Common) -> Result<()> {
    let since = Instant::now();
    let transfer = &options.transfer;
    transfer.compression.choice()?;
    let parse = |image: &OsString| Ok((ImageSource::parse(image)?, image.display().to_string()));
    let sources: Vec<(ImageSource, String)> = options.images.iter().map(parse).collect::<Result<_>>()?;
    let target = ImageTarget::parse(&options.output)?;
    options.answer.check_stdout(target.is_stdout())?;
    let name = options.name.as_deref().map(parse_name).transpose()?;
    transfer.check_files(&sources.iter().map(|(source, _)| source).collect::<Vec<_>>(), &target, &options.results)?;
    let (store, registries) = (transfer.store.store()?, transfer.registries(common));
    check_places(sources.iter().map(|(source, _)| source), &target, &registries)?;
    let results = options.results.open()?;
    let published = transfer.copier(&store, &registries, common)?.index(&sources, &target, name)?;
    results.write(&published)?;
    tell_published(
        &published,
        &Work { verb: "put together", target: &target, runs: false, since, answer: options.answer },
        common,
    )
}
