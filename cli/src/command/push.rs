//! `layerstone push`: an image into a registry, only what it lacks.

use super::copy::{How, copy};
use super::pull::parse_reference;
use crate::args::Common;
use crate::args::companion::CompanionArgs;
use crate::args::key::VerifyKeyArgs;
use crate::args::result::ResultArgs;
use crate::args::transfer::TransferArgs;
use crate::overwrite::Files;
use crate::screen::answer::AnswerArgs;
use anyhow::{Result, bail};
use clap::Args;
use layerstone_pipeline::{Error, ImageSource, ImageTarget, refuse_no_registry, refuse_other_kind};
use std::ffi::OsString;
use std::path::Path;

/// Put an image into a registry, sending only what it lacks
///
/// The registry is asked for each blob first. Blobs of an image that is made of an image.json come straight from the
/// store, without an image file in between; with --state, layers that stayed are not even read. What is not there is
/// sent, several at a time, or taken over from --mount-from; what breaks off is taken up again.
#[derive(Args)]
pub struct Options {
    /// The image: an image.json, a file or directory of images, registry:REF, docker:NAME or podman:NAME
    #[arg(value_name = "IMAGE")]
    image: OsString,
    /// Where to put it, HOST/NAME:TAG [default tag: the image's own]
    #[arg(value_name = "REF")]
    reference: String,
    /// Push the images of all architectures, and the index that lists them
    #[arg(long, conflicts_with_all = ["platform", "os", "arch", "variant", "compression"])]
    all: bool,
    /// Take attached files along: SBOMs, signatures, everything that refers to the image, and to these in turn
    #[arg(long, conflicts_with = "compression")]
    referrers: bool,
    #[command(flatten)]
    companions: CompanionArgs,
    /// Show which blobs are there and which would be sent or written, with their sizes, and change nothing
    #[arg(long, conflicts_with_all = ["digest_file", "metadata_file", "provenance_file"])]
    dry_run: bool,
    #[command(flatten)]
    transfer: TransferArgs,
    #[command(flatten)]
    results: ResultArgs,
    #[command(flatten)]
    answer: AnswerArgs,
}

pub fn run(options: &Options, common: &Common) -> Result<()> {
    options.transfer.compression.choice()?;
    refuse_other_kind(&options.reference)?;
    if Path::new(&options.reference).is_file() && !Path::new(&options.image).exists() {
        let message =
            format!("found the file {} in place of HOST/NAME:TAG, expected IMAGE before REF", options.reference);
        return Err(Error::advised(message, "the other way round: `layerstone push IMAGE HOST/NAME:TAG`").into());
    }
    let reference = parse_reference(&options.reference)?;
    refuse_no_registry(&options.reference)?;
    if reference.digest().is_some() {
        bail!("found a digest, expected HOST/NAME:TAG to push to: {reference}");
    }
    let (source, target) = (ImageSource::parse(&options.image)?, ImageTarget::Registry(reference));
    options.transfer.check_files(&[&source], &target, &options.results)?;
    let files = Files::default().reads(source.path()).reads(options.companions.inputs());
    files.writes(options.results.files()).writes(options.companions.outputs()).check()?;
    let registries = options.transfer.registries(common);
    let how = How {
        verb: "pushed",
        all: options.all,
        referrers: options.referrers,
        dry_run: options.dry_run,
        verify: &VerifyKeyArgs::default(),
        transfer: &options.transfer,
        erofs_cache: None,
        companions: Some(&options.companions),
        results: &options.results,
        answer: options.answer,
    };
    copy(&source, &target, None, &how, &registries, common)
}
