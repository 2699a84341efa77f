//! `layerstone inspect`: what a stage file or an image is, and what two images differ in.

mod diff;
mod image;
mod stage_file;

use crate::args::Common;
use crate::out::print;
use crate::platform_args::PlatformArgs;
use crate::read_args::{ReadArgs, parse_place};
use anyhow::{Context, Result};
use clap::{ArgAction, Args};
use layerstone_image::ImageSummary;
use layerstone_oci::{Location, Place};
use layerstone_pipeline::{Opener, open_file_as};
use layerstone_store::Scratch;
use serde_json::Value;
use std::env::temp_dir;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

const USAGE: &str = "\
layerstone inspect [--json] <FILE|IMAGE>
       layerstone inspect --diff <OLD> <NEW> [--store <DIR>] [--json]";

/// Show what a stage file or an image is, or what two images differ in
#[derive(Args)]
#[command(override_usage = USAGE)]
pub struct Options {
    /// Closure, plan, layer file, image spec or references graph, - for stdin; or an image: FILE[#NAME:TAG], oci:DIR,
    /// registry:REF, docker:NAME, or any other place
    #[arg(value_name = "FILE|IMAGE", required_unless_present = "diff")]
    file: Option<OsString>,
    /// Show which layers of NEW whoever has OLD must still receive, and the store paths that were added, removed and
    /// changed by name
    #[arg(long, num_args = 2, action = ArgAction::Set, value_names = ["OLD", "NEW"], conflicts_with = "file")]
    diff: Vec<OsString>,
    /// The store directory of the images
    #[arg(long, value_name = "DIR", default_value = "/nix/store", requires = "diff", conflicts_with = "file")]
    store: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    platform: PlatformArgs,
    #[command(flatten)]
    read: ReadArgs,
}

pub fn run(options: &Options, common: &Common) -> Result<()> {
    let registries = options.read.registries(common);
    let opener = options.read.opener(&registries, common);
    if let [old, new] = &options.diff[..] {
        return diff::run(&parse_place(old)?, &parse_place(new)?, options, &opener);
    }
    let text = options.file.as_deref().context("no file: expected FILE or IMAGE")?;
    if text == "-" {
        let scratch = Scratch::create(&temp_dir())?;
        let spooled = scratch.path().join("stdin");
        let mut file = File::create_new(&spooled).context("cannot make a temporary file")?;
        io::copy(&mut io::stdin().lock(), &mut file).context("cannot read: stdin")?;
        return show(&spooled, Path::new("-"), options, &opener);
    }
    let place = parse_place(text)?;
    match &place {
        Place::File(location) if location.reference().is_none() => {
            show(&location.path, &location.path, options, &opener)
        }
        place => print(image::one(place, options, &opener)?),
    }
}

/// Shows a file that messages call so.
fn show(path: &Path, shown: &Path, options: &Options, opener: &Opener<'_>) -> Result<()> {
    let open = || open_file_as(path, shown, opener.limits, opener.report);
    print(match kind_of(path, shown)? {
        Kind::Archive if options.platform.wanted().is_named => {
            let image = open()?.image(&Location::of(shown), &options.platform.of_image())?;
            image::text(&ImageSummary::of(&image)?, options)?
        }
        Kind::Archive => image::all(&open()?, options)?,
        Kind::Registration => stage_file::registration(path, options.json)?,
        Kind::Json(value) => stage_file::text(path, shown, &value, options.json)?,
    })
}

enum Kind {
    Json(Value),
    Registration,
    Archive,
}

/// Decided by the first byte that is not white space.
fn kind_of(path: &Path, shown: &Path) -> Result<Kind> {
    let context = || format!("cannot read: {}", shown.display());
    if path.is_dir() {
        return Ok(Kind::Archive);
    }
    let mut head = [0; 64];
    let mut file = File::open(path).with_context(context)?;
    let count = file.read(&mut head).with_context(context)?;
    Ok(match head[..count].iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{' | b'[') => {
            let mut bytes = head[..count].to_vec();
            file.read_to_end(&mut bytes).with_context(context)?;
            Kind::Json(serde_json::from_slice(&bytes).with_context(|| format!("not JSON: {}", shown.display()))?)
        }
        // A tar of nixpkgs' store layers begins with a slash too, and has NULs behind the first name.
        Some(b'/') if !head.contains(&0) => Kind::Registration,
        _ => Kind::Archive,
    })
}
