//! `layerstone detach`: what is attached to an image, away from it.

use super::attach::media_type;
use crate::args::Common;
use crate::args::platform::PlatformArgs;
use crate::args::read::{ReadArgs, parse_name};
use crate::screen::answer::AnswerArgs;
use anyhow::Result;
use clap::Args;
use layerstone_oci::Descriptor;
use layerstone_pipeline::{Meant, detach};
use layerstone_store::Digest;
use serde_json::{Value, json};
use std::ffi::OsString;

/// Take away what is attached to an image
///
/// A registry deletes the manifest; its blobs stay until nobody refers to them and it collects them, and so they do in a layout.
#[derive(Args)]
pub struct Options {
    /// The image: HOST/NAME:TAG or HOST/NAME@sha256:HEX in a registry, or the directory of an OCI layout
    #[arg(value_name = "IMAGE")]
    image: OsString,
    /// What to take away, as `layerstone discover` lists it
    #[arg(value_name = "DIGEST", required_unless_present = "artifact_type")]
    digest: Option<Digest>,
    /// Detach all files of this type: a media type or a word of `layerstone attach --type`
    #[arg(long = "type", value_name = "TYPE", value_parser = media_type, conflicts_with = "digest")]
    artifact_type: Option<String>,
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
    let meant = match (&options.digest, &options.artifact_type) {
        (Some(digest), _) => Meant::Digest(*digest),
        (None, kind) => Meant::Type(kind.clone().unwrap_or_default()),
    };
    let (subject, gone) = detach(&place, &options.platform.wanted(), &meant, &opener)?;
    for (entry, _) in gone.iter().filter(|(_, is_deleted)| !is_deleted) {
        common.warn(format!("taken off the list of referrers, and not deleted: {}", entry.digest));
    }
    let line = |(entry, _): &(Descriptor, bool)| format!("{}\n", entry.digest);
    let value = || json!({"subject": subject, "referrers": gone.iter().map(value_of).collect::<Vec<_>>()});
    options.answer.print("detached", value, || gone.iter().map(line).collect())
}

fn value_of((entry, is_deleted): &(Descriptor, bool)) -> Value {
    let mut value = json!(entry);
    value["deleted"] = (*is_deleted).into();
    value
}
