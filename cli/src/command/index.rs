//! `layerstone index`: images for several architectures as one.

use super::build::several::{finish, open};
use super::copy::parse_name;
use crate::args::Common;
use crate::command::image::Target;
use crate::origin::Origin;
use crate::place::Place;
use crate::transfer::TransferArgs;
use anyhow::{Context, Result, bail};
use clap::Args;
use std::ffi::OsString;
use std::time::Instant;

/// Put images for one architecture each together into one image for all
///
/// Each image keeps its manifest. What it runs on is taken from its config; two for the same platform are an error.
#[derive(Args)]
pub struct Options {
    /// The images: image.json files, files or folders of images, registry:REF, docker:NAME or podman:NAME
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<OsString>,
    /// Where to write: oci:DIR, oci-archive:FILE or registry:HOST/NAME:TAG
    #[arg(short, long, value_name = "PLACE")]
    output: OsString,
    /// What to call it there [default: what the first image is called]
    #[arg(long = "as", value_name = "NAME:TAG")]
    name: Option<String>,
    #[command(flatten)]
    transfer: TransferArgs,
}

pub fn run(options: &Options, common: &Common) -> Result<()> {
    options.transfer.packing.packing(None)?;
    let since = Instant::now();
    let origins: Vec<Origin> = options.images.iter().map(|image| Origin::parse(image)).collect::<Result<_>>()?;
    let place = Place::parse(&options.output)?;
    let mut name = options.name.as_deref().map(parse_name).transpose()?;
    let transfer = &options.transfer;
    transfer.check_files(&origins.iter().collect::<Vec<_>>(), &place)?;
    let sources = origins.iter().filter_map(|origin| match (origin, &place) {
        (Origin::Registry(from), Place::Registry(to)) if from.host() == to.host() => Some(from.repository()),
        _ => None,
    });
    let target = Target { place: &place, legacy: false, packing: &transfer.packing, registry: &transfer.registry };
    let keeper = open(&target, &sources.collect::<Vec<_>>())?;
    let mut manifests = Vec::new();
    for (origin, text) in origins.iter().zip(&options.images) {
        let brought = match origin {
            Origin::Spec(path) => {
                let specs = transfer.specs(path)?;
                let architecture = |spec| if origins.len() > 1 || specs.len() > 1 { Some(spec) } else { None };
                let bring = |spec| {
                    transfer.bring_spec(spec, path, architecture(spec), keeper.destination(), &transfer.packing, common)
                };
                specs.iter().map(bring).collect::<Result<Vec<_>>>()?
            }
            origin => vec![transfer.bring(origin, keeper.destination(), &transfer.packing, common)?],
        };
        for brought in brought {
            if brought.arrived.manifest.platform.is_none() {
                bail!("no platform: {}: found no architecture and os in its config", text.display());
            }
            keeper.destination().put_manifest(&brought.arrived.manifest, &brought.arrived.bytes)?;
            manifests.push(brought.arrived.manifest);
            name = name.or(brought.name);
        }
    }
    let name = name.context("no name: expected --as NAME:TAG")?;
    finish(&keeper, manifests, &name, common)?;
    keeper.tell(since, common);
    Ok(())
}
