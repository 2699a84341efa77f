//! `layerstone manifest`: the bytes of a manifest or an index.

use crate::args::Common;
use crate::args::platform::PlatformArgs;
use crate::args::read::{ReadArgs, parse_name};
use crate::screen::out::write;
use anyhow::Result;
use clap::Args;
use layerstone_oci::Descriptor;
use layerstone_pipeline::find_manifest;
use std::ffi::OsString;

/// Print the manifest or the index of an image, byte for byte
///
/// With a platform, that of the image for it. What is printed has the digest that `layerstone digest` prints.
#[derive(Args)]
pub struct Options {
    #[command(flatten)]
    named: NamedManifest,
}

/// A manifest or an index, by the name of an image.
#[derive(Args)]
pub struct NamedManifest {
    /// The image: HOST/NAME:TAG or HOST/NAME@sha256:HEX in a registry, or an OCI layout: oci:DIR or FILE[#NAME:TAG]
    #[arg(value_name = "REF")]
    reference: OsString,
    #[command(flatten)]
    platform: PlatformArgs,
    #[command(flatten)]
    read: ReadArgs,
}

impl NamedManifest {
    /// The descriptor and the bytes.
    pub fn find(&self, common: &Common) -> Result<(Descriptor, Vec<u8>)> {
        let place = parse_name(&self.reference)?;
        let registries = self.read.registries(common);
        Ok(find_manifest(&place, &self.platform.wanted(), &self.read.opener(&registries, common))?)
    }
}

pub fn run(options: &Options, common: &Common) -> Result<()> {
    write(&options.named.find(common)?.1)
}
