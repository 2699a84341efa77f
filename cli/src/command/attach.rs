//! `layerstone attach`: files to an image.

use crate::args::Common;
use crate::args::companion::Form;
use crate::args::platform::PlatformArgs;
use crate::args::read::{ReadArgs, parse_name};
use crate::args::time::parse_time;
use crate::screen::answer::AnswerArgs;
use anyhow::Result;
use clap::Args;
use layerstone_oci::{InvalidKind, Time, parse_media_type};
use layerstone_pipeline::{Attached, Attachment, Attested, attach, attest};
use serde_json::json;
use std::env::var_os;
use std::ffi::OsString;
use std::path::PathBuf;

/// Attach files to an image: an SBOM, provenance, a report
///
/// The files become an artifact whose subject is the image (a referrer): it lies beside the image and is found by the image's digest, which stays what it is.
/// An image for several platforms is its index, unless --platform picks one of it.
#[derive(Args)]
pub struct Options {
    /// The image: HOST/NAME:TAG or HOST/NAME@sha256:HEX in a registry, or the directory of an OCI layout
    #[arg(value_name = "IMAGE")]
    image: OsString,
    /// The files
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// What the files are: spdx, cyclonedx, provenance, in-toto, vex, sarif, or a media type
    #[arg(long = "type", value_name = "TYPE", value_parser = media_type)]
    media_type: String,
    /// Type of the whole artifact [default: the type of the files]
    #[arg(long, value_name = "TYPE", value_parser = media_type)]
    artifact_type: Option<String>,
    /// Annotation of the artifact; one --annotation for each
    #[arg(long, value_name = "KEY=VALUE", value_parser = annotation)]
    annotation: Vec<(String, String)>,
    /// Time of the artifact [default: $SOURCE_DATE_EPOCH, or none]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    created: Option<Time>,
    /// Put the files into the index of the image instead, in the form of this program; an image without an index gets
    /// one, and its name leads to a new digest
    #[arg(long, value_name = "FORM", conflicts_with_all = ["artifact_type", "annotation", "created"])]
    attest: Option<Form>,
    #[command(flatten)]
    platform: PlatformArgs,
    #[command(flatten)]
    read: ReadArgs,
    #[command(flatten)]
    answer: AnswerArgs,
}

pub fn run(options: &Options, common: &Common) -> Result<()> {
    let place = parse_name(&options.image)?;
    let registries = options.read.registries(common);
    let opener = options.read.opener(&registries, common);
    let attachment = Attachment {
        files: options.files.clone(),
        media_type: options.media_type.clone(),
        artifact_type: options.artifact_type.as_ref().unwrap_or(&options.media_type).clone(),
        annotations: options.annotation.iter().cloned().collect(),
        created: options.created.or(var_os("SOURCE_DATE_EPOCH").map(|_| Time::Now)),
    };
    if let Some(Form::Buildkit) = options.attest {
        let Attested { subject, manifest, index } = attest(&place, &options.platform.wanted(), &attachment, &opener)?;
        let value = || json!({"subject": subject, "descriptor": manifest, "index": index});
        return options.answer.print("attached", value, || format!("{}\n", index.digest));
    }
    let Attached { subject, referrer } = attach(&place, &options.platform.wanted(), &attachment, &opener)?;
    let value = || json!({"subject": subject, "descriptor": referrer});
    options.answer.print("attached", value, || format!("{}\n", referrer.digest))
}

/// Reads a word or a media type.
pub fn media_type(text: &str) -> Result<String, InvalidKind> {
    parse_media_type(text)
}

/// Reads `KEY=VALUE`.
fn annotation(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("found {text:?}, expected KEY=VALUE")),
    }
}
