//! `layerstone inspect`: what a stage file or an image is, and what two images differ in.

mod diff;
mod image;
mod stage_file;

use crate::args::Common;
use crate::limit_args::LimitArgs;
use crate::out::print;
use crate::platform_args::PlatformArgs;
use anyhow::{Context, Result};
use clap::{ArgAction, Args};
use layerstone_oci::Location;
use serde_json::Value;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

const USAGE: &str = "\
layerstone inspect [--json] <FILE[#NAME:TAG]>
       layerstone inspect --diff <OLD[#NAME:TAG]> <NEW[#NAME:TAG]> [--store <DIR>] [--json]";

/// Show what a stage file or an image is, or what two images differ in
#[derive(Args)]
#[command(override_usage = USAGE)]
pub struct Options {
    /// Closure, plan, layer file, image spec, references graph, docker archive, OCI archive, or the directory of an OCI
    /// layout or of skopeo's dir:
    #[arg(value_name = "FILE[#NAME:TAG]", required_unless_present = "diff")]
    file: Option<PathBuf>,
    /// Show which layers of NEW whoever has OLD must still receive, and the store paths that were added, removed and
    /// changed by name
    #[arg(long, num_args = 2, action = ArgAction::Set, value_names = ["OLD[#NAME:TAG]", "NEW[#NAME:TAG]"], conflicts_with = "file")]
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
    limits: LimitArgs,
}

pub fn run(options: &Options, common: &Common) -> Result<()> {
    if let [old, new] = &options.diff[..] {
        let [old, new] = [old, new].map(|image| Location::parse(image));
        return diff::run(&old, &new, options, common);
    }
    let path = options.file.as_deref().context("no file: expected FILE")?;
    let location = Location::parse(path.as_os_str());
    if location.reference().is_some() {
        return print(image::one(&location, options, common)?);
    }
    let path = &*location.path;
    print(match kind_of(path)? {
        Kind::Archive if options.platform.wanted().is_named => image::one(&location, options, common)?,
        Kind::Archive => image::all(path, options, common)?,
        Kind::Registration => stage_file::registration(path, options.json)?,
        Kind::Json(value) => stage_file::text(path, &value, options.json)?,
    })
}

enum Kind {
    Json(Value),
    Registration,
    Archive,
}

/// Decided by the first byte that is not white space.
fn kind_of(path: &Path) -> Result<Kind> {
    let context = || format!("cannot read: {}", path.display());
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
            Kind::Json(serde_json::from_slice(&bytes).with_context(|| format!("not JSON: {}", path.display()))?)
        }
        // A tar of nixpkgs' store layers begins with a slash too, and has NULs behind the first name.
        Some(b'/') if !head.contains(&0) => Kind::Registration,
        _ => Kind::Archive,
    })
}
