//! `layerstone merge`: the images of several files in one docker archive.

use crate::args::Common;
use crate::args::read::{ReadArgs, parse_place};
use crate::overwrite::Files;
use crate::screen::answer::AnswerArgs;
use crate::screen::summary::{Summary, Work};
use anyhow::Result;
use clap::Args;
use layerstone_image::{Merge, MergedImage, StoredImage};
use layerstone_layer::Progress;
use layerstone_oci::{Location, Place, Wanted};
use layerstone_pipeline::{CompressionChoice, ImageTarget, Opener, Tally, write_archive};
use rayon::prelude::*;
use serde_json::{Value, json};
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Instant;

/// Put the images of several files into one docker archive
///
/// Image IDs stay as they are, and layers that images share are stored once. An image that comes several times has all
/// its tags; a tag that two images claim is an error. The output's name decides on compression: .tar none, .tar.gz gzip,
/// .tar.zst zstd.
#[derive(Args)]
pub struct Options {
    /// The images: all of a file or directory, the one of FILE#NAME:TAG under that name, or registry:REF, docker:NAME
    /// and other places
    #[arg(value_name = "IMAGE", required = true)]
    images: Vec<OsString>,
    /// Archive to write, - for stdout; or docker: or podman:
    #[arg(short, long, value_name = "PLACE")]
    output: PathBuf,
    #[command(flatten)]
    read: ReadArgs,
    #[command(flatten)]
    answer: AnswerArgs,
}

pub fn run(options: &Options, common: &Common) -> Result<()> {
    let since = Instant::now();
    let target = ImageTarget::parse_archive(options.output.as_os_str(), true)?;
    options.answer.check_stdout(target.is_stdout())?;
    let places: Vec<Place> = options.images.iter().map(|text| parse_place(text)).collect::<Result<_>>()?;
    // An archive all of whose images are in the output may be replaced by it: it is open, and read before.
    let inputs = places.iter().filter(|place| !matches!(place, Place::File(file) if is_alone(file)));
    let files = Files::default().reads(inputs.filter_map(Place::path)).reads(options.read.files());
    files.writes_to(&target).check()?;
    let limits = options.read.limits();
    let registries = options.read.registries(common);
    let mut merge = Merge::default();
    for (location, images) in opened(&places, &options.read.opener(&registries, common))? {
        images.into_iter().try_for_each(|image| merge.add(&location, image))?;
    }
    let unpack = |meter: &Progress| merge.unpack(limits, meter);
    common.report().during("unpacking", None, Vec::new(), unpack)?;
    write_archive(&merge.archive(), &target, &CompressionChoice::default(), &|_| merge.trailer(), common)?;
    let work = Work { verb: "merged", target: &target, runs: false, since, answer: options.answer };
    let names = merge.images().iter().flat_map(|image| image.tags.clone()).collect();
    let tally = Tally::of_archive(&merge.archive());
    let summary = Summary { work: &work, names, digest: None, platforms: Vec::new(), tally: &tally };
    options.answer.print("made", || value(&merge, &summary), || text(&merge, &target, common))?;
    summary.tell(common);
    Ok(())
}

/// Whether all images of a file are meant.
fn is_alone(location: &Location) -> bool {
    !location.path.is_dir() && location.reference().is_none()
}

/// The images that are meant, place by place; several are opened at once, since that may mean to unpack them.
fn opened(places: &[Place], opener: &Opener<'_>) -> Result<Vec<(Location, Vec<StoredImage>)>> {
    let open = |place: &Place| {
        let opened = opener.open(place, &Wanted::any())?;
        let is_one = !matches!(place, Place::File(location) if location.reference().is_none());
        let images = if is_one { vec![opened.image()?] } else { opened.file.images()? };
        Ok((opened.location, images))
    };
    let open_all = |_: &Progress| places.par_iter().map(open).collect::<Vec<Result<_>>>();
    // Of several errors the first one by order, not by time.
    opener.report.during("opening", None, Vec::new(), open_all).into_iter().collect()
}

fn value(merge: &Merge, summary: &Summary<'_>) -> Value {
    let image = |image: &MergedImage| json!({"names": image.tags, "imageId": image.image_id});
    let mut value = summary.value();
    value["images"] = merge.images().iter().map(image).collect();
    value
}

/// Says which images were written, unless stdout holds them; with little to say, their IDs.
fn text(merge: &Merge, target: &ImageTarget, common: &Common) -> String {
    if target.is_stdout() {
        return String::new();
    }
    let line = |image: &MergedImage| {
        let tags: String = image.tags.iter().filter(|_| !common.quiet).map(|tag| format!("{tag} ")).collect();
        format!("{tags}{}\n", image.image_id)
    };
    merge.images().iter().map(line).collect()
}
