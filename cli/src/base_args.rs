//! The flags that name an image to build on, or to look into.

use crate::bytes::parse_bytes;
use anyhow::{Result, bail};
use clap::Args;
use layerstone_image::{ImageFile, MaxUnpacked, StoredImage};
use layerstone_oci::{Location, Wanted};
use layerstone_pipeline::{BaseImage, ImageSource, Report, open_file, open_plain_image};
use layerstone_spec::Spec;
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
    unpacking: UnpackingArgs,
}

/// The flags for whoever reads an image.
#[derive(Args, Default)]
pub struct UnpackingArgs {
    /// Bytes that the image or a layer of it, and all layers together, may have when unpacked; files' holes may have as
    /// many [default: 100 times what is compressed, at least 1Gi]
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    max_unpacked: Option<u64>,
}

impl UnpackingArgs {
    pub fn max(&self) -> MaxUnpacked {
        self.max_unpacked.map_or(MaxUnpacked::default(), MaxUnpacked::bytes)
    }

    /// Opens a file or directory of images, and reports what is odd about it.
    pub fn open_file(&self, path: &Path, report: &dyn Report) -> Result<ImageFile> {
        Ok(open_file(path, self.max(), report)?)
    }

    /// Opens an image to look into or to build on, and unpacks its layers.
    pub fn open(&self, location: &Location, wanted: &Wanted, report: &dyn Report) -> Result<StoredImage> {
        Ok(open_plain_image(location, wanted, self.max(), report)?)
    }
}

impl BaseArgs {
    /// How much may be unpacked.
    pub fn max(&self) -> MaxUnpacked {
        self.unpacking.max()
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
        let base = self.location(spec).map(|location| BaseImage::open(&location, spec, self.max(), report));
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
