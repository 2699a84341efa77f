//! `layerstone copy`: an image from anywhere to anywhere.

use crate::args::Common;
use crate::args::companion::CompanionArgs;
use crate::args::erofs::ErofsArgs;
use crate::args::key::VerifyKeyArgs;
use crate::args::result::ResultArgs;
use crate::args::transfer::TransferArgs;
use crate::overwrite::Files;
use crate::screen::answer::AnswerArgs;
use crate::screen::published::{print_rehearsed, tell_published};
use crate::screen::summary::Work;
use anyhow::{Result, anyhow};
use clap::Args;
use layerstone_oci::{Location, Place, Reference};
use layerstone_pipeline::{Copier, ImageSource, ImageTarget, Published, Registries, check_places};
use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

/// Copy an image from anywhere to anywhere
///
/// SRC is a file or directory of images (FILE[#NAME:TAG], oci:DIR, oci-archive:FILE, docker-archive:FILE, dir:DIR),
/// registry:REF, docker:NAME, podman:NAME, or an image.json. Layers stay as they are compressed, and manifests with them, unless
/// --compression asks for something else; layers that are plain are compressed with gzip where DST keeps OCI images.
#[derive(Args)]
pub struct Options {
    /// Where it is
    #[arg(value_name = "SRC")]
    source: OsString,
    /// Where to write: FILE (- for stdout), oci:DIR, oci-archive:FILE, registry:HOST/NAME:TAG, docker: or podman:
    #[arg(value_name = "DST")]
    target: OsString,
    /// What to call it there [default: what it is called]
    #[arg(long = "as", value_name = "NAME:TAG")]
    name: Option<String>,
    /// Copy the images of all architectures, and the index that lists them
    #[arg(long, conflicts_with_all = ["platform", "os", "arch", "variant", "compression", "erofs_cache"])]
    all: bool,
    /// Take attached files along: SBOMs, signatures, everything that refers to the image, and to these in turn
    #[arg(long, conflicts_with = "compression")]
    referrers: bool,
    /// Show which blobs are there and which would be sent or written, with their sizes, and change nothing
    #[arg(long, conflicts_with_all = ["digest_file", "metadata_file"])]
    dry_run: bool,
    #[command(flatten)]
    verify: VerifyKeyArgs,
    #[command(flatten)]
    transfer: TransferArgs,
    #[command(flatten)]
    erofs: ErofsArgs,
    #[command(flatten)]
    results: ResultArgs,
    #[command(flatten)]
    answer: AnswerArgs,
}

pub fn run(options: &Options, common: &Common) -> Result<()> {
    options.transfer.compression.choice()?;
    let source = ImageSource::parse(&options.source)?;
    let target = ImageTarget::parse(&options.target)?;
    let name = options.name.as_deref().map(parse_name).transpose()?;
    // An archive of one image may be replaced by a copy of it: it is open, and the copy takes its name at the end.
    let is_alone = |location: &Location| !location.path.is_dir() && location.reference().is_none();
    let replaced = matches!(&source, ImageSource::Image(Place::File(location)) if is_alone(location));
    // Any other output is still refused over it.
    options
        .erofs
        .noted(Files::default().reads(source.path()).reads(options.verify.files()).writes(options.results.files()))
        .check()?;
    let read: Vec<&ImageSource> = [&source].into_iter().filter(|_| !replaced).collect();
    options.transfer.check_files(&read, &target, &options.results)?;
    let registries = options.transfer.registries(common);
    let how = How {
        verb: "copied",
        all: options.all,
        referrers: options.referrers,
        dry_run: options.dry_run,
        verify: &options.verify,
        transfer: &options.transfer,
        erofs_cache: options.erofs.directory.as_ref(),
        companions: None,
        results: &options.results,
        answer: options.answer,
    };
    copy(&source, &target, name, &how, &registries, common)
}

/// How an image is copied.
pub struct How<'a> {
    /// What the summary calls it.
    pub verb: &'static str,
    /// With all that its index lists.
    pub all: bool,
    /// With what refers to it.
    pub referrers: bool,
    /// Only what would be done is told.
    pub dry_run: bool,
    /// Who must have signed it.
    pub verify: &'a VerifyKeyArgs,
    pub transfer: &'a TransferArgs,
    /// Directory that keeps the layers as file systems.
    pub erofs_cache: Option<&'a PathBuf>,
    /// What it is published with.
    pub companions: Option<&'a CompanionArgs>,
    pub results: &'a ResultArgs,
    /// How what is done is told.
    pub answer: AnswerArgs,
}

/// Copies an image, and says what it is there.
pub fn copy(
    source: &ImageSource,
    target: &ImageTarget,
    name: Option<Reference>,
    how: &How<'_>,
    registries: &Registries,
    common: &Common,
) -> Result<()> {
    let since = Instant::now();
    how.answer.check_stdout(target.is_stdout())?;
    let spec = if let ImageSource::Spec(path) = source { Some(path.as_path()) } else { None };
    let companions = how.companions.map(|args| args.companions(spec)).transpose()?.unwrap_or_default();
    companions.check_copy(source, target)?;
    check_places([source], target, registries)?;
    let results = how.results.open()?;
    let store = how.transfer.store.store()?;
    let mut copier = how.transfer.copier(&store, registries, common)?;
    copier.referrers = how.referrers;
    copier.options.erofs_cache = how.erofs_cache.cloned();
    copier.options.companions = companions;
    copier.options.verify_keys = how.verify.keys()?;
    let source = &copier.signed(source, how.all)?;
    copier.options.replaces = Some((target.clone(), name.clone()));
    if how.dry_run {
        let rehearsal = Arc::default();
        copier.rehearsal = Some(Arc::clone(&rehearsal));
        copier.options.keeps_state = true;
        let published = copied(&copier, source, target, name, how.all)?;
        return print_rehearsed(&published, &rehearsal, target, how.answer);
    }
    let provenance = how.companions.map(CompanionArgs::open).transpose()?;
    let published = copied(&copier, source, target, name, how.all)?;
    results.write(&published)?;
    provenance.map(|file| file.write(&published)).transpose()?;
    tell_published(&published, &Work { verb: how.verb, target, runs: false, since, answer: how.answer }, common)
}

fn copied(
    copier: &Copier<'_>,
    source: &ImageSource,
    target: &ImageTarget,
    name: Option<Reference>,
    all: bool,
) -> Result<Published> {
    Ok(if all { copier.copy_all(source, target, name)? } else { copier.copy(source, target, name)? })
}

/// A name from the command line.
pub fn parse_name(text: &str) -> Result<Reference> {
    let name = Reference::unchecked(text).tagged();
    Reference::parse_tagged(&name.to_string()).map_err(|e| anyhow!("not a name: {text:?}: {}", e.cause))
}
