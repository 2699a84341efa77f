//! `layerstone pull`: an image of a registry into a file, a directory, or an engine.

use super::copy::{How, copy, parse_name};
use crate::args::Common;
use crate::args::key::VerifyKeyArgs;
use crate::args::result::ResultArgs;
use crate::args::transfer::TransferArgs;
use crate::overwrite::Files;
use crate::screen::answer::AnswerArgs;
use anyhow::Result;
use clap::Args;
use layerstone_oci::{Place, Reference};
use layerstone_pipeline::{ImageSource, ImageTarget, check_places, remote_digest, remote_image};
use layerstone_store::Digest;
use std::ffi::OsString;

/// Get an image from a registry
///
/// It does what dockerTools' pullImage does. The digest of every byte is checked. The docker archive depends on the image and its name alone, so that its hash can
/// be fixed; `layerstone prefetch` prints it. Without a digest in REF, the one that it leads to is printed.
#[derive(Args)]
pub struct Options {
    /// The image, HOST/NAME:TAG, HOST/NAME@sha256:HEX, or both
    #[arg(value_name = "REF")]
    reference: String,
    /// Where to write: FILE (- for stdout), oci:DIR, oci-archive:FILE, registry:HOST/NAME:TAG, docker: or podman:
    #[arg(short, long, value_name = "PLACE")]
    output: OsString,
    /// What to call it there [default: what REF calls it]
    #[arg(long = "as", value_name = "NAME:TAG")]
    name: Option<String>,
    /// Pull the images of all architectures, and the index that lists them
    #[arg(long, conflicts_with_all = ["platform", "os", "arch", "variant", "compression"])]
    all: bool,
    /// Take attached files along: SBOMs, signatures, everything that refers to the image, and to these in turn
    #[arg(long, conflicts_with = "compression")]
    referrers: bool,
    #[command(flatten)]
    verify: VerifyKeyArgs,
    #[command(flatten)]
    transfer: TransferArgs,
    #[command(flatten)]
    results: ResultArgs,
    #[command(flatten)]
    answer: AnswerArgs,
}

pub fn run(options: &Options, common: &Common) -> Result<()> {
    options.transfer.compression.choice()?;
    let mut reference = parse_reference(&options.reference)?;
    let target = ImageTarget::parse(&options.output)?;
    let name = options.name.as_deref().map(parse_name).transpose()?;
    options.transfer.check_files(&[], &target, &options.results)?;
    options.verify.keys()?;
    Files::default().reads(options.verify.files()).writes_to(&target).check()?;
    let registries = options.transfer.registries(common);
    check_places([], &target, &registries)?;
    if options.all && reference.digest().is_none() {
        let digest = remote_digest(&reference, &registries)?;
        reference = pinned(reference, digest, common);
    } else if reference.digest().is_none() {
        let wanted = options.transfer.platform.wanted();
        let remote = remote_image(&reference, &wanted, &registries)?;
        let other = remote.platform().filter(|found| remote.is_alone && wanted.rank(found).is_none());
        if let Some(found) = other {
            common.warn(format!("the image is for {found}, and not for {wanted}: {reference}"));
        }
        reference = pinned(reference, remote.digest, common);
    }
    let source = ImageSource::Image(Place::Registry(reference));
    let how = How {
        verb: "pulled",
        all: options.all,
        referrers: options.referrers,
        dry_run: false,
        verify: &options.verify,
        transfer: &options.transfer,
        companions: None,
        erofs_cache: None,
        results: &options.results,
        answer: options.answer,
    };
    copy(&source, &target, name, &how, &registries, common)
}

/// A reference with the digest that it leads to, which is printed: what is pulled is that, even if the tag moves meanwhile.
fn pinned(reference: Reference, digest: Digest, common: &Common) -> Reference {
    let reference = reference.with_digest(digest);
    common.report().notice(&reference.to_string());
    reference
}

/// A reference from the command line, with or without the word for a registry in front.
pub fn parse_reference(text: &str) -> Result<Reference> {
    let bare = text.strip_prefix("registry:").or(text.strip_prefix("docker://"));
    Ok(layerstone_oci::parse_reference(bare.unwrap_or(text)).map_err(layerstone_pipeline::Error::from)?)
}
