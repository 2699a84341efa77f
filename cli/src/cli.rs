//! The command line: its subcommands, and what each of them runs.

use crate::args::{Common, SyncWhen};
use crate::command::{
    attach, blob, build, build_graph, cache, check, check_stage, closure, completions, config, copy, delete, demo,
    derivation, detach, diff, digest, discover, explain, image, index, init, inspect, layer, layers, ls, man, manifest,
    merge, merge_trees, nix_db, overlay, prefetch, pull, push, rates, ready, report, root, sbom, schema, script, serve,
    sign, stream, tarsum, verify, why,
};
use crate::config::Config;
use crate::screen::log;
use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use layerstone_store::{Sync, set_sync};
use rustix::process::{Resource, getrlimit, setrlimit};
use std::num::NonZeroUsize;

/// Layered container images from closures of store paths, one stage at a time
///
/// `build` makes an image from an image.json in one go. The other commands are its stages, which talk through files:
/// root, closure, layers, layer, image.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES, max_term_width = 120)]
pub struct Cli {
    #[command(flatten)]
    pub common: Common,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  layerstone demo -o demo.tar && docker load -i demo.tar && docker run --rm layerstone-demo:latest
  layerstone build --name web --contents ./result --cmd /bin/web -o web.tar.gz
  layerstone build image.json -o docker:
  layerstone push image.json registry.example/team/web:1 --state web.state

Every stage by itself:
  layerstone root    --spec image.json -o root.layer.json --blob root.tar
  layerstone closure --spec image.json --layer root.layer.json -o web.closure.json
  layerstone layers  web.closure.json --max-layers 99 -o web.layers.json
  layerstone layer   web.layers.json --spec image.json --all -o layers
  layerstone image   --spec image.json layers/*.layer.json root.layer.json -o web.tar";

#[derive(Subcommand)]
enum Command {
    Init(init::Options),
    Build(Box<build::Options>),
    Root(root::Options),
    Closure(closure::Options),
    Layers(layers::Options),
    Layer(layer::Options),
    NixDb(nix_db::Options),
    Ninja(build_graph::NinjaOptions),
    Make(build_graph::MakeOptions),
    #[command(subcommand)]
    Overlay(overlay::Command),
    Image(Box<image::Options>),
    Push(Box<push::Options>),
    Pull(Box<pull::Options>),
    Copy(Box<copy::Options>),
    Index(Box<index::Options>),
    Serve(Box<serve::Options>),
    Check(Box<check::Options>),
    Prefetch(Box<prefetch::Options>),
    Ls(ls::Options),
    Digest(digest::Options),
    Manifest(manifest::Options),
    Blob(blob::Options),
    Delete(delete::Options),
    Attach(attach::Options),
    Discover(discover::Options),
    Detach(detach::Options),
    Sign(Box<sign::Options>),
    Verify(Box<verify::Options>),
    Merge(merge::Options),
    Stream(stream::Options),
    Helper(ready::Options),
    MergeTrees(merge_trees::Options),
    Tarsum(tarsum::Options),
    Inspect(inspect::Options),
    Diff(diff::Options),
    Why(why::Options),
    Explain(explain::Options),
    Rates(rates::Options),
    Report(Box<report::Options>),
    Sbom(Box<sbom::Options>),
    #[command(subcommand)]
    Cache(cache::Command),
    Demo(demo::Options),
    Derivation(derivation::Options),
    Script(script::Options),
    Config(config::Options),
    Schema(schema::Options),
    Completions(completions::Options),
    Man(man::Options),
    CheckStage(check_stage::Options),
}

impl Cli {
    /// Runs the chosen command in a pool of the chosen size.
    pub fn run(&self, config: &Config) -> Result<()> {
        raise_file_limit();
        log::begin(&self.common)?;
        set_sync(match self.common.sync {
            SyncWhen::Auto => Sync::Auto,
            SyncWhen::Always => Sync::Always,
            SyncWhen::Never => Sync::Never,
        });
        let threads = self.common.jobs.map_or(0, NonZeroUsize::get);
        rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().context("cannot start threads")?;
        let common = &self.common;
        match &self.command {
            Command::Init(options) => init::run(options, common),
            Command::Build(options) => build::run(options, common),
            Command::Root(options) => root::run(options, common),
            Command::Closure(options) => closure::run(options, common),
            Command::Layers(options) => layers::run(options, common),
            Command::Layer(options) => layer::run(options, common),
            Command::NixDb(options) => nix_db::run(options, common),
            Command::Ninja(options) => build_graph::ninja(options, common),
            Command::Make(options) => build_graph::make(options, common),
            Command::Overlay(command) => overlay::run(command, common),
            Command::Image(options) => image::run(options, common),
            Command::Push(options) => push::run(options, common),
            Command::Pull(options) => pull::run(options, common),
            Command::Copy(options) => copy::run(options, common),
            Command::Index(options) => index::run(options, common),
            Command::Serve(options) => serve::run(options, common),
            Command::Check(options) => check::run(options, common),
            Command::Prefetch(options) => prefetch::run(options, common),
            Command::Ls(options) => ls::run(options, common),
            Command::Digest(options) => digest::run(options, common),
            Command::Manifest(options) => manifest::run(options, common),
            Command::Blob(options) => blob::run(options, common),
            Command::Delete(options) => delete::run(options, common),
            Command::Attach(options) => attach::run(options, common),
            Command::Discover(options) => discover::run(options, common),
            Command::Detach(options) => detach::run(options, common),
            Command::Sign(options) => sign::run(options, common),
            Command::Verify(options) => verify::run(options, common),
            Command::Merge(options) => merge::run(options, common),
            Command::Stream(options) => stream::run(options, common),
            Command::Helper(options) => ready::run(options),
            Command::MergeTrees(options) => merge_trees::run(options, common),
            Command::Tarsum(options) => tarsum::run(options),
            Command::Inspect(options) => inspect::run(options, common),
            Command::Diff(options) => diff::run(options, common),
            Command::Why(options) => why::run(options, common),
            Command::Explain(options) => explain::run(options, common),
            Command::Rates(options) => rates::run(options, common),
            Command::Report(options) => report::run(options, common),
            Command::Sbom(options) => sbom::run(options, common),
            Command::Cache(command) => cache::run(command),
            Command::Demo(options) => demo::run(options, common),
            Command::Derivation(options) => derivation::run(options),
            Command::Script(options) => script::run(options),
            Command::Config(options) => config::run(options, config),
            Command::Schema(options) => schema::run(options),
            Command::Completions(options) => completions::run(options, crate::message::command_line::program()),
            Command::Man(options) => man::run(options, crate::message::command_line::program()),
            Command::CheckStage(options) => check_stage::run(options, common),
        }
    }
}

/// Lets us have as many files open as the system allows: every layer that is being written is one.
fn raise_file_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Without it, plans of many hundred layers run into "too many open files", and say so.
    let _ = setrlimit(Resource::Nofile, limit);
}
