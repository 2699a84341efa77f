//! The flags of `build` that say what is in the layers, over what an image.json says.

use super::NAME;
use crate::args::root::RootArgs;
use crate::args::source::SourceArgs;
use crate::args::stamp::OwnerArgs;
use crate::args::strategy::StrategyArgs;
use crate::args::time::parse_time;
use crate::command::nix_db::NixOwnerArgs;
use crate::message::usage_error::conflict;
use anyhow::Result;
use clap::Args;
use layerstone_oci::Time;
use layerstone_spec::{Script, Spec};
use std::path::PathBuf;

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
    /// Tar that becomes a layer of the image as it is, below all that is copied; one flag for each, bottom first
    #[arg(long, value_name = "FILE")]
    tar_layer: Vec<PathBuf>,
    #[command(flatten)]
    root: RootArgs,
    /// Script to run as root over the base, in a layer below the customisation layer; in a single image with the
    /// contents in place
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

impl LayersArgs {
    /// Puts what the flags say over what the spec does.
    pub fn apply(&self, spec: &mut Spec) -> Result<()> {
        self.root.apply(NAME, spec)?;
        if !self.contents.is_empty() {
            spec.contents.clone_from(&self.contents);
        }
        spec.tar_layers.extend(self.tar_layer.iter().cloned());
        spec.run_as_root = self.run_as_root.clone().map(Script::File).or(spec.run_as_root.take());
        spec.script = self.extra_commands.clone().map(Script::File).or(spec.script.take());
        spec.references = self.source.over(spec.references.take());
        spec.max_layers = self.max_layers.unwrap_or(spec.max_layers);
        spec.mtime = self.mtime.unwrap_or(spec.mtime);
        spec.owner = self.owner.over(spec.owner.clone());
        spec.include_nix_db |= self.include_nix_db;
        self.nix.apply(spec);
        if !spec.include_nix_db && (spec.nix_uid.is_some() || spec.nix_gid.is_some()) {
            return Err(conflict(NAME, "--nix-uid, --nix-gid: expected --include-nix-db with them"));
        }
        Ok(())
    }

    /// Whether a flag is given that a single image does not take.
    pub fn is_for_layered(&self) -> bool {
        self.max_layers.is_some() || self.strategy.is_given() || self.owner.has_names()
    }
}
