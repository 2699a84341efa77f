//! The flags of commands that read images, wherever they are.

use crate::args::Common;
use crate::cache_args::CacheArgs;
use crate::limit_args::LimitArgs;
use crate::registry_args::ConnectArgs;
use anyhow::Result;
use clap::Args;
use layerstone_oci::Place;
use layerstone_pipeline::{Opener, Registries, Report};
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
        Opener { registries, limits: self.limits(), cache: CacheArgs::default().options(), report }
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
