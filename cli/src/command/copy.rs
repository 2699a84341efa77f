//! `layerstone copy`: an image from anywhere to anywhere.

use crate::args::Common;
use crate::command::build::several::finish;
use crate::fetch;
use crate::origin::Origin;
use crate::out::print;
use crate::outgoing::Keeper;
use crate::place::Place;
use crate::transfer::{Brought, TransferArgs};
use crate::whole::{self, Whole};
use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use layerstone_oci::{Descriptor, Reference};
use std::ffi::OsString;
use std::time::Instant;

/// Copy an image from anywhere to anywhere
///
/// SRC is a file or folder of images (FILE[#NAME:TAG], oci:DIR, oci-archive:FILE, docker-archive:FILE, dir:DIR),
/// registry:REF, docker:NAME, podman:NAME, or an image.json. Layers stay as they are compressed, and manifests with them, unless
/// --compression asks for something else; layers that are plain are compressed with gzip where DST keeps OCI images.
#[derive(Args)]
pub struct Options {
    /// Where it is
    #[arg(value_name = "SRC")]
    source: OsString,
    /// Where to write: FILE (- for stdout), oci:DIR, oci-archive:FILE, registry:HOST/NAME:TAG, docker: or podman:
    #[arg(value_name = "DST")]
    place: OsString,
    /// What to call it there [default: what it is called]
    #[arg(long = "as", value_name = "NAME:TAG")]
    name: Option<String>,
    /// Copy the images of all architectures, and the index that lists them
    #[arg(long, conflicts_with_all = ["os", "arch", "variant", "compression"])]
    all: bool,
    #[command(flatten)]
    transfer: TransferArgs,
}

pub fn run(options: &Options, common: &Common) -> Result<()> {
    options.transfer.packing.packing(None)?;
    let origin = Origin::parse(&options.source)?;
    let place = Place::parse(&options.place)?;
    let name = options.name.as_deref().map(parse_name).transpose()?;
    // An archive of one image may be replaced by a copy of it: it is open, and the copy takes its name at the end.
    let replaced =
        matches!(&origin, Origin::File(location) if !location.path.is_dir() && location.reference().is_none());
    let read: Vec<&Origin> = [&origin].into_iter().filter(|_| !replaced).collect();
    options.transfer.check_files(&read, &place)?;
    if options.all {
        return copy_all(&origin, &place, name, &options.transfer, common);
    }
    copy(&origin, &place, name, &options.transfer, common)
}

/// Copies an image with all that its index lists.
fn copy_all(
    origin: &Origin,
    place: &Place,
    name: Option<Reference>,
    transfer: &TransferArgs,
    common: &Common,
) -> Result<()> {
    let since = Instant::now();
    let keeper = Keeper::open(place, &transfer.registry, &sources(origin, place))?;
    let destination = keeper.destination();
    let Whole { descriptor, bytes, name: own } =
        whole::bring(origin, destination, transfer.unpacking.max(), &transfer.registry, common)?;
    let name = name.or(own).or(name_in(place));
    destination.finish(&descriptor, &bytes, name.as_ref())?;
    keeper.tell(since, common);
    tell(&keeper, name.as_ref(), &descriptor, common)
}

/// Repositories of the registry that an image goes to, which it may be in.
fn sources(origin: &Origin, place: &Place) -> Vec<String> {
    match (origin, place) {
        (Origin::Registry(from), Place::Registry(to)) if from.host() == to.host() => vec![from.repository()],
        _ => Vec::new(),
    }
}

/// What a registry calls an image that has no name.
fn name_in(place: &Place) -> Option<Reference> {
    match place {
        Place::Registry(reference) => Some(fetch::name_of(reference)),
        _ => None,
    }
}

fn tell(keeper: &Keeper, name: Option<&Reference>, manifest: &Descriptor, common: &Common) -> Result<()> {
    if common.quiet {
        return Ok(());
    }
    let called = name.map(|name| keeper.called(name)).unwrap_or_default();
    print(format_args!("{called}@{}\n", manifest.digest))
}

/// A name from the command line.
pub fn parse_name(text: &str) -> Result<Reference> {
    let name = Reference::unchecked(text).tagged();
    Reference::parse_tagged(&name.to_string()).map_err(|e| anyhow!("not a name: {text:?}: {}", e.cause))
}

/// Copies an image, and says what it is there.
pub fn copy(
    origin: &Origin,
    place: &Place,
    name: Option<Reference>,
    transfer: &TransferArgs,
    common: &Common,
) -> Result<()> {
    if let Origin::Spec(path) = origin
        && !place.keeps_oci_images()
    {
        bail!("found the spec {}, expected an image: `layerstone build` makes archives of specs", path.display());
    }
    if !place.keeps_oci_images() {
        let (name, image_id) = transfer.archive_to(origin, name.as_ref(), place, common)?;
        if place.is_stdout() || common.quiet {
            return Ok(());
        }
        let name = name.map(|name| format!("{name} ")).unwrap_or_default();
        return print(format_args!("{name}{image_id}\n"));
    }
    let since = Instant::now();
    let keeper = Keeper::open(place, &transfer.registry, &sources(origin, place))?;
    let destination = keeper.destination();
    let Brought { arrived, name: own, .. } = match origin {
        Origin::Spec(path) => {
            let specs = transfer.specs(path)?;
            if let [spec] = &specs[..] {
                transfer.bring_spec(spec, path, None, destination, &transfer.packing, common)?
            } else {
                let mut manifests = Vec::new();
                let mut own = None;
                for spec in &specs {
                    let brought =
                        transfer.bring_spec(spec, path, Some(spec), destination, &transfer.packing, common)?;
                    destination.put_manifest(&brought.arrived.manifest, &brought.arrived.bytes)?;
                    manifests.push(brought.arrived.manifest);
                    own = own.or(brought.name);
                }
                let name = name.or(own).context("no name: expected --as NAME:TAG")?;
                finish(&keeper, manifests, &name, common)?;
                keeper.tell(since, common);
                return Ok(());
            }
        }
        origin => transfer.bring(origin, destination, &transfer.packing, common)?,
    };
    let name = name.or(own).or(name_in(place));
    destination.finish(&arrived.manifest, &arrived.bytes, name.as_ref())?;
    keeper.tell(since, common);
    tell(&keeper, name.as_ref(), &arrived.manifest, common)
}
