//! `layerstone digest`: the digest of a manifest or an index.

use super::manifest::NamedManifest;
use crate::args::Common;
use crate::screen::answer::AnswerArgs;
use anyhow::Result;
use clap::Args;

/// Print the digest of an image's manifest or index
///
/// With a platform, that of the image for it. NAME@DIGEST always is the same image.
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    named: NamedManifest,
    #[command(flatten)]
    answer: AnswerArgs,
}

pub fn run(options: &Options, common: &Common) -> Result<()> {
    let found = options.named.find(common)?.0;
    options.answer.print("digest", || &found, || format!("{}\n", found.digest))
}
