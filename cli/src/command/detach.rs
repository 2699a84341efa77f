//! `layerstone detach`: what is attached to an image, away from it.

use super::attach::media_type;
use crate::args::Common;
use crate::args::platform::PlatformArgs;
use crate::args::read::{ReadArgs, parse_name};
use crate::screen::answer::AnswerArgs;
use crate::screen::fit::clean;
use anyhow::Result;
use clap::Args;
use layerstone_pipeline::{Detached, Meant, detach};
use layerstone_store::{Digest, Error as StoreError};
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
    #[arg(value_name = "DIGEST", required_unless_present = "artifact_type", value_parser = digest)]
    digest: Option<String>,
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
        (Some(digest), _) => Meant::Digest(digest.clone()),
        (None, kind) => Meant::Type(kind.clone().unwrap_or_default()),
    };
    let (subject, gone) = detach(&place, &options.platform.wanted(), &meant, &opener)?;
    for it in gone.iter().filter(|it| !it.is_deleted) {
        common.warn(format!("taken off the list of referrers, and not deleted: {}", it.digest));
    }
    let line = |it: &Detached| format!("{}\n", clean(&it.digest));
    let value = || json!({"subject": subject, "referrers": gone.iter().map(value_of).collect::<Vec<_>>()});
    options.answer.print("detached", value, || gone.iter().map(line).collect())
}

/// A digest as layouts may list it: of sha256, or of another algorithm (image-spec, descriptor.md, "Digests").
fn digest(text: &str) -> Result<String, StoreError> {
    let is_other = text.split_once(':').is_some_and(|(algorithm, encoded)| {
        let is_word = |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric());
        algorithm != "sha256" && is_word(algorithm) && is_word(encoded)
    });
    if is_other { Ok(text.to_owned()) } else { text.parse::<Digest>().map(|digest| digest.to_string()) }
}

fn value_of(detached: &Detached) -> Value {
    let mut value = detached.entry.clone();
    value["deleted"] = detached.is_deleted.into();
    value
}
