//! `layerstone schema`: the JSON Schemas of the files that programs may write or read.

use crate::screen::out::print;
use anyhow::Result;
use clap::Args;
use clap::builder::PossibleValuesParser;
use layerstone_closure::CLOSURE_SCHEMA;
use layerstone_layer::LAYER_SCHEMA;
use layerstone_layering::PLAN_SCHEMA;
use layerstone_spec::Spec;

/// What has a schema.
const NAMES: [&str; 4] = ["image", "closure", "layers", "layer"];

/// Print the JSON Schema of a kind of file
///
/// image is image.json, closure, layers and layer are what the stages of these names write. Without NAME the names are
/// listed.
#[derive(Args)]
pub struct Options {
    /// The kind of file
    #[arg(value_name = "NAME", value_parser = PossibleValuesParser::new(NAMES))]
    name: Option<String>,
}

pub fn run(options: &Options) -> Result<()> {
    match options.name.as_deref() {
        None => print(NAMES.map(|name| format!("{name}\n")).concat()),
        Some("closure") => print(CLOSURE_SCHEMA),
        Some("layers") => print(PLAN_SCHEMA),
        Some("layer") => print(LAYER_SCHEMA),
        Some(_) => print(Spec::schema()),
    }
}
