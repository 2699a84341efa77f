//! `layerstone demo`: an image of a small store that comes with the program.

use crate::args::Common;
use crate::command::build::{Job, build, settings};
use crate::command::image::Target;
use crate::demo;
use crate::memory::Memory;
use crate::out::print;
use crate::overwrite::Files;
use crate::packing_args::PackingArgs;
use crate::place::Place;
use crate::registry_args::RegistryArgs;
use crate::root_script::PlaceArgs;
use crate::table::{Table, size};
use anyhow::Result;
use clap::Args;
use layerstone_layering::Strategy;
use layerstone_spec::Spec;
use layerstone_store::{Scratch, Store, StorePath};
use std::path::PathBuf;

/// Make an image of a small store that comes with this program, and show what was built
///
/// The store has three paths: a greeting, a program that prints it and needs nothing of the host, and a tree of links
/// over them. Their references are found by scanning, as for any image.
#[derive(Args)]
pub struct Options {
    /// Image to write
    #[arg(short, long, value_name = "FILE", default_value = "layerstone-demo.tar")]
    output: PathBuf,
}

pub fn run(options: &Options, common: &Common) -> Result<()> {
    let place = Place::parse_archive(options.output.as_os_str())?;
    Files::default().writes_to(&place).check()?;
    let scratch = Scratch::create(&std::env::temp_dir())?;
    let store = Store::new("/nix/store", scratch.path())?;
    let env = demo::make(&store)?;
    let mut spec = Spec::new("layerstone-demo");
    spec.tag = Some("latest".to_owned());
    spec.contents = vec![PathBuf::from(env.as_str())];
    spec.config.insert("Cmd".to_owned(), vec!["/bin/hello"].into());
    let settings = settings(&spec, Strategy::default(), None, &store)?;
    let (packing, registry) = (PackingArgs::default(), RegistryArgs::default());
    let target = Target { place: &place, legacy: false, packing: &packing, registry: &registry };
    let built = build(
        &Job {
            spec: &spec,
            settings,
            base: None,
            store: &store,
            place: &PlaceArgs::default(),
            state: None,
            memory: &Memory::none(),
            packing: None,
        },
        &target,
        common,
    )?;
    if common.quiet || place.is_stdout() {
        return Ok(());
    }
    let mut table = Table::new(&["layer", "size", "diff ID", "holds"], &[0, 1]);
    for (index, ((bytes, paths), diff_id)) in built.layers.iter().zip(&built.image.diff_ids).enumerate() {
        let paths: Vec<&str> = paths.iter().map(StorePath::as_str).collect();
        let holds = if paths.is_empty() { "customisation layer".to_owned() } else { paths.join(" ") };
        table.row(vec![index.to_string(), size(*bytes), diff_id.to_string(), holds]);
    }
    let output = place.path().unwrap_or(&options.output).display();
    let (reference, image_id) = (&built.image.reference, &built.image.image_id);
    print(format_args!(
        "{output}: {reference}\nimage ID {image_id}\n\n{table}\n\
         Run it:\n  docker load -i {output}\n  docker run --rm {reference}\n"
    ))
}
