//! `layerstone diff`: what differs between two images, two closures or two plans.

mod config;
mod files;
mod image;

use super::closure::question::diff as closures;
use super::inspect::is_stage_file;
use super::layers::question::compare as plans;
use crate::args::Common;
use crate::args::look::LookArgs;
use crate::args::platform::PlatformArgs;
use crate::args::read::parse_place;
use crate::screen::color::Paint;
use crate::screen::fit::width;
use anyhow::Result;
use clap::Args;
use layerstone_oci::Place;
use layerstone_pipeline::{Error, Opener};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Show what differs between two images, two closures or two plans
///
/// Of images: which layers of NEW whoever has OLD must still receive, which store paths were added, removed and changed, by
/// name, and what is another in the config. Of closures: the store paths. Of plans: the layers, and why each is sent.
#[derive(Args)]
pub struct Options {
    /// Image (FILE[#NAME:TAG], oci:DIR, registry:REF, docker:NAME, or any other place), closure file, references graph, or
    /// plan
    #[arg(value_name = "OLD")]
    old: OsString,
    /// What to compare it with
    #[arg(value_name = "NEW")]
    new: OsString,
    /// Leave out the layers that are there already
    #[arg(long)]
    changed: bool,
    /// Show files of images too: those that were added, removed and changed
    #[arg(long)]
    files: bool,
    /// Closure of NEW, for the sizes of the layers of plans
    #[arg(long, value_name = "CLOSURE.JSON", conflicts_with = "files")]
    closure: Option<PathBuf>,
    #[command(flatten)]
    look: LookArgs,
}

/// How two images are compared, and how that is shown.
pub struct Comparing<'a> {
    /// The store directory.
    pub store: &'a str,
    /// Only what is not the same.
    pub changed: bool,
    /// With files.
    pub files: bool,
    /// As JSON.
    pub json: bool,
    /// Which image of several.
    pub platform: &'a PlatformArgs,
    /// Columns that there are.
    pub width: usize,
    /// Colours.
    pub paint: Paint,
}

/// A stage file that can be compared.
#[derive(Debug, Clone, Copy, PartialEq)]
enum StageFile {
    Closure,
    Plan,
}

pub fn run(options: &Options, common: &Common) -> Result<()> {
    let (old, new) = (Path::new(&options.old), Path::new(&options.new));
    match (stage_file(&options.old)?, stage_file(&options.new)?) {
        (Some(StageFile::Closure), Some(StageFile::Closure)) => {
            return closures::run(old, new, options.look.json, common);
        }
        (Some(StageFile::Plan), Some(StageFile::Plan)) => {
            let hides = options.changed;
            return plans::run(
                old,
                new,
                options.closure.as_deref(),
                plans::Shown { json: options.look.json, hides },
                common,
            );
        }
        (None, None) => {}
        _ => {
            let (old, new) = (old.display(), new.display());
            let message = format!("cannot compare {old} with {new}: expected two images, two closures or two plans");
            return Err(Error::advised(message, "`layerstone inspect` shows what each of them is").into());
        }
    }
    let registries = options.look.read.registries(common);
    let opener = options.look.read.opener(&registries, common);
    let comparing = Comparing {
        store: &options.look.store,
        changed: options.changed,
        files: options.files,
        json: options.look.json,
        platform: &options.look.platform,
        width: width(),
        paint: common.color.of_stdout(),
    };
    images(&options.old, &options.new, &comparing, &opener)
}

/// Compares two images.
pub fn images(old: &OsStr, new: &OsStr, comparing: &Comparing<'_>, opener: &Opener<'_>) -> Result<()> {
    image::run(&parse_place(old)?, &parse_place(new)?, comparing, opener)
}

/// What a stage file holds, if it is one.
fn stage_file(text: &OsStr) -> Result<Option<StageFile>> {
    let Place::File(location) = parse_place(text)? else { return Ok(None) };
    Ok(match location.reference() {
        None => {
            is_stage_file(&location.path)?.map(|is_plan| if is_plan { StageFile::Plan } else { StageFile::Closure })
        }
        Some(_) => None,
    })
}
