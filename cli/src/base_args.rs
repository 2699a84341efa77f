//! The flags that name an image to build on, or to look into.

use crate::limit_args::LimitArgs;
use anyhow::{Result, bail};
use clap::Args;
use layerstone_oci::Location;
use layerstone_pipeline::{BaseImage, ImageSource, Report};
use layerstone_spec::Spec;
use layerstone_store::Limits;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// The flags that name a base.
#[derive(Args, Default)]
#[command(next_help_heading = "Base image")]
pub struct BaseArgs {
    /// Image to build on: a docker archive, an OCI archive, or the directory of an OCI layout or of skopeo's dir:
    #[arg(long, value_name = "FILE[#NAME:TAG]")]
    base: Option<OsString>,
    #[command(flatten)]
    limits: LimitArgs,
}

impl BaseArgs {
    /// How much may be read of it.
    pub fn limits(&self) -> Limits {
        self.limits.limits()
    }

    /// Where the base is that the flag names, or else the spec.
    fn location(&self, spec: Option<&Spec>) -> Option<Location> {
        let named = self.base.as_deref().map(of_flag);
        named.or_else(|| spec.and_then(|spec| spec.from_image.clone()))
    }

    /// The file or directory of that base.
    pub fn file(&self, spec: Option<&Spec>) -> Option<PathBuf> {
        self.location(spec).map(|location| location.path)
    }

    /// Where the base is that the flag names.
    pub fn named(&self) -> Result<Option<Location>> {
        let Some(text) = self.base.as_deref() else { return Ok(None) };
        if !Path::new(text).exists()
            && let Ok(ImageSource::Engine(..) | ImageSource::Registry(_)) = ImageSource::parse(text)
        {
            let text = text.display();
            bail!("not a file: --base {text}: `layerstone copy {text} FILE` makes one of it");
        }
        Ok(Some(of_flag(text)))
    }

    /// The base that the flag names, or else the spec.
    pub fn open(&self, spec: Option<&Spec>, report: &dyn Report) -> Result<Option<BaseImage>> {
        self.named()?;
        let base = self.location(spec).map(|location| BaseImage::open(&location, spec, self.limits(), report));
        Ok(base.transpose()?)
    }
}

/// Where the base is that the flag names, with the word of its kind or without.
fn of_flag(text: &OsStr) -> Location {
    match ImageSource::parse(text) {
        Ok(ImageSource::File(location)) => location,
        _ => Location::parse(text),
    }
}
