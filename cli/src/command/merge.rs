//! `layerstone merge`: the images of several files in one docker archive.

use crate::args::Common;
use crate::limit_args::LimitArgs;
use crate::out::print;
use crate::overwrite::Files;
use anyhow::Result;
use clap::Args;
use layerstone_image::{Merge, StoredImage};
use layerstone_layer::Progress;
use layerstone_oci::{Location, Wanted};
use layerstone_pipeline::{CompressionChoice, ImageTarget, open_file, write_archive};
use layerstone_store::Limits;
use rayon::prelude::*;
use std::ffi::OsString;
use std::path::PathBuf;

/// Put the images of several files into one docker archive
///
/// Image IDs stay as they are, and layers that images share are stored once. An image that comes several times has all
/// its tags; a tag that two images claim is an error. The output's name decides on compression: .tar none, .tar.gz gzip,
/// .tar.zst zstd.
#[derive(Args)]
pub struct Options {
    /// Docker archives, OCI archives or folders of OCI layouts; all images of a file, or the one of a name under that
    /// name
    #[arg(value_name = "FILE[#NAME:TAG]", required = true)]
    files: Vec<OsString>,
    /// Archive to write, - for stdout
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    limits: LimitArgs,
}

pub fn run(options: &Options, common: &Common) -> Result<()> {
    let target = ImageTarget::parse_archive(options.output.as_os_str())?;
    // An archive all of whose images are in the output may be replaced by it: it is open, and read before.
    let is_replaced = |location: &Location| !location.path.is_dir() && location.reference().is_none();
    let inputs = options.files.iter().map(|text| Location::parse(text)).filter(|location| !is_replaced(location));
    let inputs = inputs.map(|location| location.path);
    Files::default().reads(inputs).writes_to(&target).check()?;
    let limits = options.limits.limits();
    let mut merge = Merge::default();
    for (location, images) in opened(&options.files, limits, common)? {
        images.into_iter().try_for_each(|image| merge.add(&location, image))?;
    }
    let unpack = |meter: &Progress| merge.unpack(limits, meter);
    common.report().during("unpacking", None, 0, unpack)?;
    write_archive(&merge.archive(), &target, &CompressionChoice::default(), &|_| merge.trailer(), common)?;
    print_images(&merge, &target, common)
}

/// The images that are meant, file by file; several files are opened at once, since that may mean to unpack them.
fn opened(files: &[OsString], limits: Limits, common: &Common) -> Result<Vec<(Location, Vec<StoredImage>)>> {
    let open = |text: &OsString| {
        let location = Location::parse(text);
        let file = open_file(&location.path, limits, common)?;
        let images = match location.reference() {
            Some(_) => vec![file.image(&location, &Wanted::new(None, None, None).of_base())?],
            None => file.images()?,
        };
        Ok((location, images))
    };
    let open_all = |_: &Progress| files.par_iter().map(open).collect::<Vec<Result<_>>>();
    // Of several errors the first one by order, not by time.
    common.report().during("opening", None, 0, open_all).into_iter().collect()
}

/// Says which images were written, unless stdout holds them.
fn print_images(merge: &Merge, target: &ImageTarget, common: &Common) -> Result<()> {
    if target.is_stdout() || common.quiet {
        return Ok(());
    }
    for image in merge.images() {
        let tags: String = image.tags.iter().map(|tag| format!("{tag} ")).collect();
        print(format_args!("{tags}{}\n", image.image_id))?;
    }
    Ok(())
}
