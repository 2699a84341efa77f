//! What the flags of `build` say about the image, over what an image.json says.

use super::NAME;
use crate::args::{OwnerArgs, parse_time, usage_error};
use crate::command::nix_db::NixOwnerArgs;
use crate::root_args::RootArgs;
use crate::source_args::SourceArgs;
use crate::strategy::StrategyArgs;
use anyhow::{Result, bail};
use clap::error::ErrorKind;
use clap::{Args, ValueEnum};
use layerstone_oci::Time;
use layerstone_spec::{ImageKind, Script, Spec};
use serde_json::Value;
use std::path::PathBuf;

/// What the image is and says.
#[derive(Args)]
#[command(next_help_heading = "Image")]
pub struct ImageArgs {
    /// What the image is called
    #[arg(long)]
    pub name: Option<String>,
    /// What it is made of [default: layered]
    #[arg(long)]
    kind: Option<Kind>,
    /// Its tag [default: 32 digits of the image ID]
    #[arg(long)]
    tag: Option<String>,
    /// Command to run, one word for each --cmd
    #[arg(long, value_name = "WORD", allow_hyphen_values = true)]
    cmd: Vec<String>,
    /// What runs the command, one word for each --entrypoint
    #[arg(long, value_name = "WORD", allow_hyphen_values = true)]
    entrypoint: Vec<String>,
    /// Environment variable
    #[arg(long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// Folder to run in
    #[arg(long, value_name = "DIR")]
    working_dir: Option<String>,
    /// User to run as
    #[arg(long, value_name = "USER[:GROUP]")]
    user: Option<String>,
    /// Label
    #[arg(long, value_name = "NAME=VALUE")]
    label: Vec<String>,
    /// When the image was made: a date with a time and a zone or without, @SECONDS, or now [default: 1970-01-01T00:00:01Z]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    created: Option<Time>,
    /// Architecture, by any common name [default: the base's, or this machine's]
    #[arg(long, value_name = "NAME")]
    architecture: Option<String>,
    /// Take over all of the base's config, as docker build does, and not its environment alone, as dockerTools does
    #[arg(long)]
    inherit: bool,
}

/// What an image is made of.
#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    /// Layers of store paths, and the root on top (dockerTools' buildLayeredImage)
    Layered,
    /// One layer of the root and all store paths (dockerTools' buildImage)
    Single,
}

/// What goes into it.
#[derive(Args)]
#[command(next_help_heading = "Layers")]
pub struct LayersArgs {
    /// Store paths to merge into the root, the first one first; links to store paths such as ./result will do
    #[arg(long, value_name = "PATH", num_args = 1..)]
    contents: Vec<PathBuf>,
    /// Script to run in the customisation layer
    #[arg(long, value_name = "FILE")]
    extra_commands: Option<PathBuf>,
    #[command(flatten)]
    root: RootArgs,
    /// Script to run as root over the base, before all that in the layer below, or in a single image with the contents in
    /// place
    #[arg(long, value_name = "FILE")]
    run_as_root: Option<PathBuf>,
    #[command(flatten)]
    source: SourceArgs,
    /// Layers in the image, all together [default: 100]
    #[arg(long, value_name = "N")]
    max_layers: Option<usize>,
    #[command(flatten)]
    pub strategy: StrategyArgs,
    /// Modification time of all files: a date with a time and a zone or without, @SECONDS, or now [default: 1970-01-01T00:00:01Z]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    mtime: Option<Time>,
    #[command(flatten)]
    owner: OwnerArgs,
    /// Put Nix's database of the store paths into the image, so that Nix in a container knows them
    #[arg(long)]
    include_nix_db: bool,
    #[command(flatten)]
    nix: NixOwnerArgs,
}

impl ImageArgs {
    pub fn apply(&self, spec: &mut Spec) -> Result<()> {
        if let Some(name) = &self.name {
            spec.name.clone_from(name);
        }
        if let Some(tag) = &self.tag {
            spec.tag = Some(tag.clone());
        }
        match self.kind {
            Some(Kind::Layered) => spec.kind = ImageKind::Layered,
            Some(Kind::Single) => spec.kind = ImageKind::Single,
            None => {}
        }
        spec.inherit |= self.inherit;
        if let Some(created) = self.created {
            spec.created = created;
        }
        if let Some(name) = &self.architecture {
            spec.set_architecture(name)?;
        }
        let lists = [("Cmd", &self.cmd), ("Entrypoint", &self.entrypoint), ("Env", &self.env)];
        for (key, words) in lists.into_iter().filter(|(_, words)| !words.is_empty()) {
            spec.config.insert(key.to_owned(), words.clone().into());
        }
        for (key, text) in [("WorkingDir", &self.working_dir), ("User", &self.user)] {
            if let Some(text) = text {
                spec.config.insert(key.to_owned(), text.clone().into());
            }
        }
        if !self.label.is_empty() {
            let pairs = self.label.iter().map(|label| match label.split_once('=') {
                Some((name, value)) => Ok((name.to_owned(), Value::from(value))),
                None => bail!("not a label: {label:?}: expected NAME=VALUE"),
            });
            spec.config.insert("Labels".to_owned(), Value::Object(pairs.collect::<Result<_>>()?));
        }
        Ok(())
    }
}

impl LayersArgs {
    pub fn apply(&self, spec: &mut Spec) -> Result<()> {
        self.root.apply(NAME, spec)?;
        if !self.contents.is_empty() {
            spec.contents.clone_from(&self.contents);
        }
        if let Some(file) = &self.run_as_root {
            spec.run_as_root = Some(Script::File(file.clone()));
        }
        if let Some(file) = &self.extra_commands {
            spec.script = Some(Script::File(file.clone()));
        }
        spec.references = self.source.over(spec.references.take());
        if let Some(max_layers) = self.max_layers {
            spec.max_layers = max_layers;
        }
        if let Some(mtime) = self.mtime {
            spec.mtime = mtime;
        }
        spec.owner = self.owner.over(spec.owner.clone());
        spec.include_nix_db |= self.include_nix_db;
        self.nix.apply(spec);
        if !spec.include_nix_db && (spec.nix_uid.is_some() || spec.nix_gid.is_some()) {
            let message = "--nix-uid, --nix-gid: expected --include-nix-db with them";
            return Err(usage_error(NAME, ErrorKind::ArgumentConflict, message));
        }
        Ok(())
    }

    /// Whether a flag is given that a single image does not take.
    pub fn is_for_layered(&self) -> bool {
        self.max_layers.is_some() || self.strategy.is_given() || self.owner.has_names()
    }
}
