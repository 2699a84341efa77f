//! `layerstone demo`: an image of a small store that comes with the program.

use crate::args::Common;
use crate::args::registry::ConnectArgs;
use crate::demo;
use crate::overwrite::Files;
use crate::screen::answer::AnswerArgs;
use crate::screen::fit::width;
use crate::screen::layer_table::{LayerRow, LayerTable, Names};
use crate::screen::out::print;
use crate::screen::published::tell_built;
use crate::screen::summary::Work;
use anyhow::Result;
use clap::Args;
use layerstone_layering::Strategy;
use layerstone_pipeline::{BuildOptions, Builder, ImageTarget, WriteOptions};
use layerstone_spec::Spec;
use layerstone_store::{Limits, Scratch, Store, StorePath};
use std::path::PathBuf;
use std::time::Instant;

/// Make an image of a small store that comes with this program
///
/// Its layers are shown, and what to do with the image.
/// The store has three paths: a greeting, a program that prints it and needs nothing of the host, and a tree of links
/// over them. Their references are found by scanning, as for any image.
#[derive(Args)]
pub struct Options {
    /// Where to write: FILE (- for stdout), oci:DIR, oci-archive:FILE, registry:HOST/NAME:TAG, docker: or podman:
    #[arg(short, long, value_name = "PLACE", default_value = "layerstone-demo.tar")]
    output: PathBuf,
    #[command(flatten)]
    answer: AnswerArgs,
}

pub fn run(options: &Options, common: &Common) -> Result<()> {
    let since = Instant::now();
    let target = ImageTarget::parse(options.output.as_os_str())?;
    options.answer.check_stdout(target.is_stdout())?;
    Files::default().writes_to(&target).check()?;
    let scratch = Scratch::create(&std::env::temp_dir())?;
    let store = Store::new("/nix/store", scratch.path())?;
    let env = demo::make(&store)?;
    let mut spec = Spec::new("layerstone-demo");
    spec.tag = Some("latest".to_owned());
    spec.contents = vec![PathBuf::from(env.as_str())];
    spec.config.insert("Cmd".to_owned(), vec!["/bin/hello"].into());
    let registries = ConnectArgs::default().registries(Limits::default(), common);
    let build = BuildOptions::new(&store, &registries, common);
    let builder = Builder::open(&spec, Strategy::default(), false, &build)?;
    let work = Scratch::create(&std::env::temp_dir())?;
    let layers = builder.layers(&work)?;
    let sizes: Vec<(u64, Vec<StorePath>)> =
        layers.iter().map(|layer| (layer.size(), layer.store_paths.clone())).collect();
    let built = builder.write(layers, &WriteOptions::new(&target, &registries))?;
    if !common.quiet && !target.is_stdout() && !options.answer.is_json() {
        let row = |(bytes, paths): &(u64, Vec<StorePath>)| LayerRow {
            size: Some(*bytes),
            holds: if paths.is_empty() { Names::all(["customisation layer"]) } else { Names::of(paths) },
            ..LayerRow::default()
        };
        let table = LayerTable { rows: sizes.iter().map(row).collect(), ..LayerTable::default() };
        print(format_args!("{}\n", table.text(width(), common.color.of_stdout())))?;
    }
    tell_built(&built, &Work { verb: "built", target: &target, runs: true, since, answer: options.answer }, common)
}
