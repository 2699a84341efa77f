//! The specs that `build` makes images of: those of an image.json, the flags over them.

use super::{NAME, Options};
use crate::message::command_line::words;
use crate::message::usage_error::{conflict, usage_error};
use anyhow::Result;
use clap::error::ErrorKind;
use layerstone_layering::Strategy;
use layerstone_pipeline::check_spec;
use layerstone_spec::{ImageKind, Spec};
use std::path::Path;

/// What a single image cannot be told.
const FOR_LAYERED: [&str; 8] =
    ["--max-layers", "--strategy", "--previous", "--layer", "--pin", "--min-layer-size", "--uname", "--gname"];

/// Whether the command line has a flag.
fn is_given(flag: &str) -> bool {
    words().iter().any(|word| word.split('=').next() == Some(flag))
}

impl Options {
    /// The specs with the flags over them, and the strategy that one of them names.
    pub fn resolve(&self) -> Result<Vec<(Spec, Strategy)>> {
        let file = self.layers.strategy.only_input(NAME, self.inputs())?;
        let name = self.image.name.as_ref().or(self.image.repo_tag.as_ref().map(|it| &it.name));
        let specs = match (&file, name) {
            (Some(path), _) => Spec::read_all(path)?,
            (None, Some(name)) => vec![Spec::new(name)],
            (None, None) => {
                let message = "no image: expected IMAGE.JSON, --name <NAME> or -t <NAME:TAG>";
                return Err(usage_error(NAME, ErrorKind::MissingRequiredArgument, message));
            }
        };
        specs.into_iter().map(|spec| self.resolve_one(file.as_deref(), spec)).collect()
    }

    fn resolve_one(&self, file: Option<&Path>, mut spec: Spec) -> Result<(Spec, Strategy)> {
        let strategy = self.layers.strategy.over(&spec, file.unwrap_or(Path::new("")))?;
        self.image.apply(&mut spec)?;
        self.layers.apply(&mut spec)?;
        self.scripts.options().apply(&mut spec);
        check_spec(&spec)?;
        if spec.kind == ImageKind::Single && (self.layers.is_for_layered() || self.plan.is_given()) {
            let given = FOR_LAYERED.iter().filter(|flag| is_given(flag)).copied().collect::<Vec<_>>().join(", ");
            let message = format!("{given}: expected an image of kind layered, found one of kind single");
            return Err(conflict(NAME, message));
        }
        Ok((spec, strategy))
    }
}
