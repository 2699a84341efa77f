//! The flags of commands that read images, wherever they are.

use crate::args::Common;
use crate::args::limit::LimitArgs;
use crate::args::registry::ConnectArgs;
use anyhow::Result;
use clap::Args;
use layerstone_oci::{Location, Place, split_kind};
use layerstone_pipeline::{CacheOptions, Opener, Registries, Report};
use layerstone_store::Limits;
use std::ffi::OsStr;
use std::path::PathBuf;

/// How images are read.
#[derive(Args, Default)]
pub struct ReadArgs {
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    connect: ConnectArgs,
}

impl ReadArgs {
    /// How much is read.
    pub fn limits(&self) -> Limits {
        self.limits.limits()
    }

    /// The registries that the flags speak of.
    pub fn registries(&self, common: &Common) -> Registries {
        self.connect.registries(self.limits(), common)
    }

    /// What opens images.
    pub fn opener<'a>(&self, registries: &'a Registries, report: &'a dyn Report) -> Opener<'a> {
        Opener { registries, limits: self.limits(), cache: CacheOptions::default(), verify_keys: Vec::new(), report }
    }

    /// Files that are read.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.connect.files()
    }
}

/// Reads the place of an image.
pub fn parse_place(text: &OsStr) -> Result<Place> {
    // Its hint is told as that of any other error of the pipeline.
    Ok(Place::parse(text).map_err(layerstone_pipeline::Error::from)?)
}

/// Reads the place of an image. What has no word of a kind is the name of one in a registry, unless there is such a file.
pub fn parse_name(text: &OsStr) -> Result<Place> {
    match text.to_str() {
        Some(name) if split_kind(text).is_none() && !Location::parse(text).path.exists() => {
            Ok(Place::Registry(layerstone_oci::parse_reference(name).map_err(layerstone_pipeline::Error::from)?))
        }
        _ => parse_place(text),
    }
}
