//! `layerstone overlay export`: the files of an image as one flat tar.

use crate::args::Common;
use crate::args::platform::PlatformArgs;
use crate::args::read::{ReadArgs, parse_place};
use crate::overwrite::Files;
use anyhow::{Context, Result, bail};
use clap::Args;
use layerstone_image::StoredImage;
use layerstone_layer::Progress;
use layerstone_pipeline::check_tar;
use layerstone_store::Output;
use layerstone_tar::write_flat;
use std::ffi::OsString;
use std::fs::File;
use std::io::{IsTerminal, Write, stdout};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

/// Write the files of an image as one flat tar, as a container sees them
///
/// Layers are put over each other, whiteouts applied, in memory: nothing is unpacked, and no root is needed. Every file
/// stands once, directories first, with the mode, owner, time and extended attributes of its layer. Every byte of the
/// layers is checked against their diff IDs. The tar is not compressed.
#[derive(Args)]
pub struct Options {
    /// The image: FILE[#NAME:TAG], oci:DIR, registry:REF, docker:NAME, or any other place
    #[arg(value_name = "IMAGE")]
    image: OsString,
    /// Tar to write, - for stdout
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    #[command(flatten)]
    platform: PlatformArgs,
    #[command(flatten)]
    read: ReadArgs,
}

pub fn run(options: &Options, common: &Common) -> Result<()> {
    check_tar(&options.output, None)?;
    let place = parse_place(&options.image)?;
    Files::default().reads(place.path()).reads(options.read.files()).writes([&options.output]).check()?;
    let registries = options.read.registries(common);
    let opener = options.read.opener(&registries, common);
    let wanted = options.platform.of_image();
    let stdout_name = Path::new("stdout");
    if options.output == Path::new("-") {
        if stdout().is_terminal() {
            bail!("stdout is a terminal: expected a file or a pipe, such as `| tar -x`");
        }
        let image = opener.open_plain(&place, &wanted)?;
        let mut out = File::from(stdout().as_fd().try_clone_to_owned().context("cannot write: stdout")?);
        return export(&image, &mut out, stdout_name, common);
    }
    // First, so that a bad path is an error before anything is unpacked.
    let mut output = Output::create(&options.output)?;
    let image = opener.open_plain(&place, &wanted)?;
    export(&image, &mut output, &options.output, common)?;
    Ok(output.commit()?)
}

/// Writes the flat tar while the layers are checked.
fn export(image: &StoredImage, out: &mut (dyn Write + Send), to: &Path, common: &Common) -> Result<()> {
    let parts = image.parts();
    let bytes = image.unchecked().map(|layer| layer.part.size()).fold(0, u64::saturating_add);
    let titles = image.unchecked().map(|layer| layer.name.clone()).collect();
    let write = || -> Result<()> {
        let tree = image.tree()?;
        image.check_holes(&tree)?;
        Ok(write_flat(&tree, &parts, out, to)?)
    };
    let both = |meter: &Progress| rayon::join(|| image.check(meter), write);
    let (checked, written) = common.report().during("exporting", Some(bytes), titles, both);
    // What is wrong with a layer explains what went wrong with writing its files.
    checked?;
    written
}
