//! The flag of an image whose layers are known.

use anyhow::Result;
use clap::Args;
use layerstone_pipeline::{Error, PreviousPlan};
use std::ffi::OsString;
use std::path::PathBuf;

/// The image that tells which layers need not be made.
#[derive(Args, Default)]
pub struct KnownArgs {
    /// Take unchanged layers from this image, without reading or compressing them; auto is the image that the output
    /// replaces. The new image records its cache keys for the next build
    #[arg(id = "known_image", long = "known", value_name = "PLACE|auto")]
    known: Option<OsString>,
}

impl KnownArgs {
    /// Whether it is given.
    pub fn is_given(&self) -> bool {
        self.known.is_some()
    }

    /// What the flag says.
    pub fn image(&self) -> Result<Option<PreviousPlan>> {
        match self.known.as_deref().map(PreviousPlan::parse).transpose()? {
            Some(PreviousPlan::File(path)) => {
                let message = format!("--known: found no image at {}, expected one, or auto", path.display());
                let hint = "images are archives, OCI layouts and places such as registry:HOST/NAME:TAG";
                Err(Error::advised(message, hint).into())
            }
            known => Ok(known),
        }
    }

    /// The file that is read.
    pub fn file(&self) -> Option<PathBuf> {
        self.image().ok()??.path().map(PathBuf::from)
    }
}
