//! The command line: subcommands, and the flags that several of them share.

use crate::command::{
    build, cache, check_stage, closure, completions, copy, demo, derivation, image, index, inspect, layer, layers, man,
    merge, merge_trees, nix_db, overlay, prefetch, pull, push, ready, root, script, serve, stream, tarsum, wire,
};
use crate::progress::{ProgressDisplay, When};
use anyhow::{Context, Result};
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use layerstone_oci::Time;
use layerstone_spec::Spec;
use layerstone_store::{Store, Sync, set_sync};
use layerstone_tar::Owner;
use rustix::process::{Resource, getrlimit, setrlimit};
use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

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

/// Flags of every command, shown behind its own.
#[derive(Args, Clone)]
pub struct Common {
    /// Print nothing but errors
    #[arg(short, long, global = true, display_order = 900)]
    pub quiet: bool,
    /// When to show progress on stderr; auto: if it is a terminal
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_possible_values = false,
        display_order = 901
    )]
    progress: When,
    /// How to print errors and warnings on stderr: as text, or as one JSON object a line
    #[arg(long, global = true, value_name = "FORM", default_value = "text", display_order = 903)]
    errors: Form,
    /// When to sync outputs to the disk before they get their names; auto: on file systems that are not local
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_possible_values = false,
        display_order = 904
    )]
    sync: SyncWhen,
    /// Threads to use [default: one a core]
    #[arg(short, long, global = true, value_name = "N", display_order = 902)]
    jobs: Option<NonZeroUsize>,
}

/// How errors and warnings are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Form {
    Text,
    Json,
}

/// When outputs are synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SyncWhen {
    /// Where the file system may report only then that something could not be written.
    Auto,
    /// Always: outputs survive a power loss.
    Always,
    Never,
}

#[derive(Subcommand)]
enum Command {
    Build(Box<build::Options>),
    Root(root::Options),
    Closure(closure::Options),
    Layers(layers::Options),
    Layer(layer::Options),
    NixDb(nix_db::Options),
    Ninja(wire::NinjaOptions),
    Make(wire::MakeOptions),
    #[command(subcommand)]
    Overlay(overlay::Command),
    Image(Box<image::Options>),
    Push(Box<push::Options>),
    Pull(Box<pull::Options>),
    Copy(Box<copy::Options>),
    Index(Box<index::Options>),
    Serve(Box<serve::Options>),
    Prefetch(Box<prefetch::Options>),
    Merge(merge::Options),
    Stream(stream::Options),
    Helper(ready::Options),
    MergeTrees(merge_trees::Options),
    Tarsum(tarsum::Options),
    Inspect(inspect::Options),
    #[command(subcommand)]
    Cache(cache::Command),
    Demo(demo::Options),
    Derivation(derivation::Options),
    Script(script::Options),
    Completions(completions::Options),
    Man(man::Options),
    CheckStage(check_stage::Options),
}

impl Cli {
    /// How errors are printed.
    pub fn form(&self) -> Form {
        self.common.errors
    }

    /// Runs the chosen command in a pool of the chosen size.
    pub fn run(&self) -> Result<()> {
        raise_file_limit();
        set_sync(match self.common.sync {
            SyncWhen::Auto => Sync::Auto,
            SyncWhen::Always => Sync::Always,
            SyncWhen::Never => Sync::Never,
        });
        let threads = self.common.jobs.map_or(0, NonZeroUsize::get);
        rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().context("cannot start threads")?;
        let common = &self.common;
        match &self.command {
            Command::Build(options) => build::run(options, common),
            Command::Root(options) => root::run(options, common),
            Command::Closure(options) => closure::run(options, common),
            Command::Layers(options) => layers::run(options, common),
            Command::Layer(options) => layer::run(options, common),
            Command::NixDb(options) => nix_db::run(options, common),
            Command::Ninja(options) => wire::ninja(options, common),
            Command::Make(options) => wire::make(options, common),
            Command::Overlay(command) => overlay::run(command, common),
            Command::Image(options) => image::run(options, common),
            Command::Push(options) => push::run(options, common),
            Command::Pull(options) => pull::run(options, common),
            Command::Copy(options) => copy::run(options, common),
            Command::Index(options) => index::run(options, common),
            Command::Serve(options) => serve::run(options, common),
            Command::Prefetch(options) => prefetch::run(options, common),
            Command::Merge(options) => merge::run(options, common),
            Command::Stream(options) => stream::run(options, common),
            Command::Helper(options) => ready::run(options),
            Command::MergeTrees(options) => merge_trees::run(options, common),
            Command::Tarsum(options) => tarsum::run(options),
            Command::Inspect(options) => inspect::run(options, common),
            Command::Cache(command) => cache::run(command),
            Command::Demo(options) => demo::run(options, common),
            Command::Derivation(options) => derivation::run(options),
            Command::Script(options) => script::run(options),
            Command::Completions(options) => completions::run(options),
            Command::Man(options) => man::run(options),
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

impl Common {
    /// How progress is shown.
    pub fn progress(&self) -> ProgressDisplay {
        ProgressDisplay::new(if self.quiet { When::Never } else { self.progress })
    }

    /// Tells the user something that is no error.
    pub fn warn(&self, message: impl std::fmt::Display) {
        match self.errors {
            _ if self.quiet => {}
            Form::Text => eprintln!("warning: {message}"),
            Form::Json => eprintln!("{}", serde_json::json!({"warning": message.to_string()})),
        }
    }
}

/// A command line that clap takes and the command does not; exit status 2.
pub fn usage_error(command: &str, kind: ErrorKind, message: impl Display) -> anyhow::Error {
    let mut cli = Cli::command();
    // Names the subcommands as the usage shows them.
    cli.build();
    match cli.find_subcommand_mut(command) {
        Some(command) => command.error(kind, message).into(),
        None => cli.error(kind, message).into(),
    }
}

/// Where the store is.
#[derive(Args, Clone)]
#[command(next_help_heading = "Store")]
pub struct StoreArgs {
    /// Folder below which the store is read; no output names it
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    /// The store directory, as it is called in the image
    #[arg(long, value_name = "DIR", default_value = "/nix/store")]
    store: String,
}

impl StoreArgs {
    pub fn store(&self) -> Result<Store> {
        Ok(Store::new(&self.store, &self.root)?)
    }

    /// The flags again, where they say anything.
    pub fn words(&self) -> Vec<OsString> {
        let mut words = Vec::new();
        if self.root != Path::new("/") {
            words.push(joined("--root=", self.root.as_os_str()));
        }
        if self.store != "/nix/store" {
            words.push(joined("--store=", OsStr::new(&self.store)));
        }
        words
    }
}

/// A flag and its value in one word.
fn joined(flag: &str, value: &OsStr) -> OsString {
    let mut word = OsString::from(flag);
    word.push(value);
    word
}

/// Time and owner of a layer's entries.
#[derive(Args, Clone)]
#[command(next_help_heading = "Time and owner of the files")]
pub struct StampArgs {
    /// Image spec to take them from
    #[arg(long, value_name = "IMAGE.JSON")]
    spec: Option<PathBuf>,
    /// Modification time: a date with a time and a zone or without, @SECONDS, or now [default: 1970-01-01T00:00:01Z]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    mtime: Option<Time>,
    #[command(flatten)]
    pub owner: OwnerArgs,
}

/// Owner of a store layer's entries.
#[derive(Args, Clone)]
pub struct OwnerArgs {
    /// User id [default: 0]
    #[arg(long, value_name = "N")]
    uid: Option<u32>,
    /// Group id [default: 0]
    #[arg(long, value_name = "N")]
    gid: Option<u32>,
    /// User name [default: root]
    #[arg(long, value_name = "NAME")]
    uname: Option<String>,
    /// Group name [default: root]
    #[arg(long, value_name = "NAME")]
    gname: Option<String>,
}

impl StampArgs {
    /// Modification time and owner: flags first, then the spec, then the defaults.
    pub fn resolve(&self, spec: Option<&Spec>) -> Result<(i64, Owner)> {
        let mtime = self.mtime.or(spec.map(|spec| spec.mtime)).unwrap_or(Time::one_second()).seconds()?;
        Ok((mtime, self.owner.over(spec.map_or_else(Owner::root, |spec| spec.owner.clone()))))
    }

    /// The spec's file.
    pub fn spec(&self) -> Option<&Path> {
        self.spec.as_deref()
    }

    /// The spec, if one is given.
    pub fn read_spec(&self) -> Result<Option<Spec>> {
        Ok(self.spec.as_deref().map(Spec::read).transpose()?)
    }
}

impl OwnerArgs {
    /// Whether a name is given, not a number alone.
    pub fn has_names(&self) -> bool {
        self.uname.is_some() || self.gname.is_some()
    }

    /// What the flags say, the rest from `default`.
    pub fn over(&self, default: Owner) -> Owner {
        Owner {
            uid: self.uid.unwrap_or(default.uid),
            gid: self.gid.unwrap_or(default.gid),
            uname: self.uname.clone().unwrap_or(default.uname),
            gname: self.gname.clone().unwrap_or(default.gname),
        }
    }
}

/// A time on the command line: what image.json takes, and plain seconds, where it is no date such as 20240501.
pub fn parse_time(text: &str) -> Result<Time, String> {
    let is_date = matches!(text.len(), 8 | 14) && text.bytes().all(|byte| byte.is_ascii_digit());
    let time = match text.parse::<i64>() {
        Ok(seconds) if !is_date => Time::from_seconds(seconds),
        _ => text.parse(),
    };
    time.map_err(|error| error.to_string())
}
