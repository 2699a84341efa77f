//! `layerstone stream`: what nixpkgs' stream_layered_image.py writes, to the byte.

use crate::args::Common;
use crate::args::limit::LimitArgs;
use crate::overwrite::Files;
use anyhow::Result;
use clap::Args;
use layerstone_nixpkgs::{Conf, Stream};
use layerstone_pipeline::{CompressionChoice, ImageTarget, write_archive};
use layerstone_store::Store;
use std::path::PathBuf;

/// Write what nixpkgs' stream_layered_image.py writes, to the byte
///
/// Takes the same conf.json and option. from_image may be plain or compressed.
#[derive(Args)]
pub struct Options {
    /// The conf.json of nixpkgs' streamLayeredImage
    #[arg(value_name = "CONF.JSON")]
    conf: PathBuf,
    /// What the image is called, instead of the conf's repo_tag
    #[arg(short = 't', long = "repo_tag", visible_alias = "repo-tag", value_name = "NAME:TAG")]
    repo_tag: Option<String>,
    /// Directory below which the store is read; no output names it
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    /// Where to write, - for stdout; a name that ends in .gz or .zst is compressed
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
    #[command(flatten)]
    limits: LimitArgs,
}

pub fn run(options: &Options, common: &Common) -> Result<()> {
    let mut conf = Conf::read(&options.conf)?;
    if let Some(repo_tag) = &options.repo_tag {
        conf.repo_tag.clone_from(repo_tag);
    }
    let store = Store::new(&conf.store_dir, &options.root)?;
    let target = ImageTarget::parse_archive(options.output.as_os_str(), false)?;
    let files = Files::of(&store).reads([&options.conf]).reads(&conf.from_image);
    files.writes_to(&target).check()?;
    let stream = Stream::open(conf, options.limits.limits())?;
    let archive = stream.archive(&store)?;
    write_archive(&archive, &target, &CompressionChoice::default(), &|diff_ids| stream.trailer(diff_ids), common)?;
    Ok(())
}
