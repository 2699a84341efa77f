//! `layerstone check`: what keeps an image from being read or from running.

use crate::args::Common;
use crate::args::transfer::TransferArgs;
use crate::screen::answer::AnswerArgs;
use crate::screen::fit::clean;
use crate::screen::table::counted;
use anyhow::{Result, bail};
use clap::Args;
use layerstone_pipeline::{CheckedImage, ImageSource};
use serde_json::json;
use std::ffi::OsString;

/// Check what keeps an image from being read or from running
///
/// Of an image.json all is done that a build does, but nothing is written. Of an image every layer is read and compared
/// with its diff ID. Then the config is checked: keys and types, a command that no layer holds, an interpreter or a library
/// that is missing, programs of another architecture, users that no passwd has. Status 1 if something is found.
#[derive(Args)]
pub struct Options {
    /// The image: an image.json, a file or folder of images, registry:REF, docker:NAME or podman:NAME
    #[arg(value_name = "IMAGE")]
    image: OsString,
    #[command(flatten)]
    answer: AnswerArgs,
    #[command(flatten)]
    transfer: TransferArgs,
}

pub fn run(options: &Options, common: &Common) -> Result<()> {
    let transfer = &options.transfer;
    let (store, registries) = (transfer.store.store()?, transfer.registries(common));
    let copier = transfer.copier(&store, &registries, common)?;
    let source = ImageSource::parse(&options.image)?;
    transfer.check_sources([&source])?;
    let images = copier.check(&source)?;
    let text = || if common.quiet { String::new() } else { images.iter().map(text).collect() };
    options.answer.print("check", || json!({"images": images.iter().map(value).collect::<Vec<_>>()}), text)?;
    match images.iter().map(|image| image.faults.len()).sum() {
        0 => Ok(()),
        count => bail!("not as it should be: found {}: {}", counted(count, "fault"), options.image.display()),
    }
}

fn value(CheckedImage { name, platform, layers, faults }: &CheckedImage) -> serde_json::Value {
    json!({"name": name, "platform": platform, "layers": layers, "faults": faults})
}

fn text(CheckedImage { name, platform, layers, faults }: &CheckedImage) -> String {
    let platform = platform.as_ref().map(|platform| format!(" ({platform})")).unwrap_or_default();
    let layers = counted(*layers, "layer");
    let faults: Vec<String> = faults.iter().map(|fault| format!("  {}\n", clean(&fault.to_string()))).collect();
    let outcome = if faults.is_empty() { "no fault found" } else { "found" };
    format!("{}{platform}: {layers}, {outcome}\n{}", clean(name), faults.concat())
}
