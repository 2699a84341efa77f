//! `layerstone report`: what is in an image, who brought it in and what updates cost, as one page of HTML or as JSON.

mod page;

use crate::args::Common;
use crate::args::platform::PlatformArgs;
use crate::args::read::{ReadArgs, parse_place};
use crate::overwrite::Files;
use crate::screen::answer::json_of;
use crate::screen::table::{counted, size};
use anyhow::Result;
use clap::Args;
use layerstone_closure::ReferencesGraph;
use layerstone_pipeline::image_report;
use layerstone_store::write_text;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Write a page of HTML about an image: contents, references, updates
///
/// The page shows the layers, and what is in them by size: store paths, and directories of what is outside the store; who
/// brought a path in; and what an update sends. It needs nothing from elsewhere.
#[derive(Args)]
pub struct Options {
    /// Image: FILE[#NAME:TAG], oci:DIR, registry:REF, docker:NAME, or any other place
    #[arg(value_name = "IMAGE")]
    image: OsString,
    /// Image to compare with: which layers whoever has it must still receive
    #[arg(value_name = "OLD")]
    old: Option<OsString>,
    /// Take references from this closure file or references graph; several are merged [default: the contents are
    /// searched for them]
    #[arg(long, value_name = "FILE")]
    graph: Vec<PathBuf>,
    /// The store directory of the images
    #[arg(long, value_name = "DIR", default_value = "/nix/store")]
    store: String,
    /// Page to write
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
    /// Write the data of the page as JSON instead
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    platform: PlatformArgs,
    #[command(flatten)]
    read: ReadArgs,
}

pub fn run(options: &Options, common: &Common) -> Result<()> {
    let image = parse_place(&options.image)?;
    let old = options.old.as_deref().map(parse_place).transpose()?;
    let images = [Some(&image), old.as_ref()].into_iter().flatten();
    let files = Files::default().reads(images.filter_map(|place| place.path())).reads(&options.graph);
    files.reads(options.read.files()).writes([&options.output]).check()?;
    let registries = options.read.registries(common);
    let opener = options.read.opener(&registries, common);
    let wanted = options.platform.of_image();
    let graph = ReferencesGraph::read_all(&options.graph)?;
    let open = |place| opener.open(place, &wanted)?.image();
    let (image, old) = (open(&image)?, old.as_ref().map(open).transpose()?);
    let report = image_report(image, old, &options.store, graph.as_ref(), common)?;
    let data = json_of("report", &report)?;
    if options.json {
        return Ok(write_text(&options.output, &data)?);
    }
    let name = report.image.repo_tags.first().cloned().unwrap_or_else(|| report.image.image_id.to_string());
    let page = page::page(&name, &data)?;
    write_text(&options.output, &page)?;
    if options.output != Path::new("-") {
        let (layers, paths) = (counted(report.layers.len(), "layer"), counted(report.paths.len(), "path"));
        let file = options.output.display();
        common.report().notice(&format!("wrote {file}, {}: {name}, {layers}, {paths}", size(page.len() as u64)));
    }
    Ok(())
}
