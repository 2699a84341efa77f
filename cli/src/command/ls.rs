//! `layerstone ls`: the tags of a repository.

use super::pull::parse_reference;
use crate::args::Common;
use crate::args::read::ReadArgs;
use crate::screen::answer::AnswerArgs;
use anyhow::Result;
use clap::Args;
use layerstone_pipeline::Error;
use serde_json::json;

/// List the tags of a repository in a registry, one a line
///
/// All pages of the registry's list are read. The tags are sorted by their bytes.
#[derive(Args)]
pub struct Options {
    /// The repository, HOST/NAME
    #[arg(value_name = "REPO")]
    repository: String,
    #[command(flatten)]
    answer: AnswerArgs,
    #[command(flatten)]
    read: ReadArgs,
}

pub fn run(options: &Options, common: &Common) -> Result<()> {
    let reference = parse_reference(&options.repository)?;
    if reference.tag().is_some() || reference.digest().is_some() {
        let message = format!("found {:?}, expected HOST/NAME without a tag or a digest", options.repository);
        return Err(Error::advised(message, "`layerstone ls HOST/NAME` lists the tags").into());
    }
    let registries = options.read.registries(common);
    let tags = registries.repository(&reference)?.tags()?;
    let text = || tags.iter().map(|tag| format!("{}\n", tag.escape_debug())).collect();
    options.answer.print("ls", || json!({"name": reference.name(), "tags": tags}), text)
}
