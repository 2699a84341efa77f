//! `layerstone delete`: an image of a registry.

use super::pull::parse_reference;
use crate::args::Common;
use crate::args::read::ReadArgs;
use crate::screen::answer::AnswerArgs;
use anyhow::Result;
use clap::Args;
use layerstone_oci::media_type;
use layerstone_pipeline::Error;
use serde_json::json;

/// Delete an image from a registry, with all tags that lead to it
///
/// Registries delete manifests by their digests: every tag of the same image goes with it. The images that an index lists
/// stay, and so do blobs until the registry collects what nobody refers to.
#[derive(Args)]
pub struct Options {
    /// The image, HOST/NAME:TAG or HOST/NAME@sha256:HEX
    #[arg(value_name = "REF")]
    reference: String,
    /// Delete it; without this flag, layerstone only says what it would delete
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    read: ReadArgs,
    #[command(flatten)]
    answer: AnswerArgs,
}

pub fn run(options: &Options, common: &Common) -> Result<()> {
    let reference = parse_reference(&options.reference)?;
    let registries = options.read.registries(common);
    let repository = registries.repository(&reference)?;
    let found = repository.manifest(&reference.tag_or_digest())?.descriptor;
    let kind = if media_type::is_index(&found.media_type) { "the index" } else { "the image" };
    let name = format!("{kind} {}@{}", reference.name(), found.digest);
    if !options.yes {
        let message = format!("nothing is deleted: expected --yes to delete {name} with all tags that lead to it");
        return Err(Error::advised(message, "the same again with --yes deletes it").into());
    }
    repository.delete(&found.digest)?;
    let text = || if common.quiet { String::new() } else { format!("deleted {name}\n") };
    options.answer.print("deleted", || json!({"name": reference.name(), "descriptor": found}), text)
}
