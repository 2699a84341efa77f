//! `layerstone closure`: who refers to whom, to the closure file.

pub mod question;

use crate::args::Common;
use crate::args::path_word::PathWord;
use crate::args::source::SourceArgs;
use crate::args::step::StepArgs;
use crate::args::store::StoreArgs;
use crate::message::usage_error::usage_error;
use crate::overwrite::Files;
use anyhow::Result;
use clap::Args;
use clap::error::ErrorKind;
use layerstone_closure::{Closure, Database, measure};
use layerstone_pipeline::{LayersBelow, Mentions, ReferenceSource, layer_files_of};
use layerstone_spec::Spec;
use layerstone_store::{Store, StorePath};
use question::QuestionArgs;
use std::path::PathBuf;

/// What the command is called.
const NAME: &str = "closure";

const USAGE: &str = "\
layerstone closure [OPTIONS] [ROOT]...
       layerstone closure --verify CLOSURE.JSON
       layerstone closure --why PATH CLOSURE.JSON [ROOT]...
       layerstone closure --diff OLD.JSON NEW.JSON";

/// Find which store paths an image needs
///
/// With --graph, from a references graph: the JSON that Nix writes for exportReferencesGraph, `nix path-info --json`, or
/// the registration text of closureInfo and `nix-store --dump-db`; the format is detected. With --db, from the database
/// that Nix or Guix keeps of its store, whoever else uses it. With --scan, from the files themselves, as Nix does when a
/// build ends. Without any of them, from the store's own database. Without ROOT, the whole graph or database.
///
/// --verify, --why and --diff make no closure file but answer questions about some.
#[derive(Args)]
#[command(override_usage = USAGE)]
pub struct Options {
    /// Store paths to begin with; links to store paths such as ./result will do
    #[arg(value_name = "ROOT")]
    roots: Vec<PathBuf>,
    #[command(flatten)]
    source: SourceArgs,
    /// Compute NAR hashes while scanning
    #[arg(long, conflicts_with_all = ["graph", "db"])]
    nar_hash: bool,
    /// Measure NAR sizes that the graph or database lacks
    #[arg(long)]
    sizes: bool,
    /// Also start from contents and config of an image spec; use its graph or database unless another is given
    #[arg(long, value_name = "IMAGE.JSON")]
    spec: Option<PathBuf>,
    /// Also start from the store paths that a layer holds and refers to; a directory means all layer files in it
    ///
    /// With a references graph, paths that it does not have are left out, with a warning: files may mention what is no
    /// input, and Nix does not look for it either.
    #[arg(long, value_name = "LAYER.JSON|DIR")]
    layer: Vec<PathBuf>,
    /// Store path, or pattern of names, to leave out, with everything that only it brings in
    ///
    /// The path and all references to it are cut, and what the roots still reach is kept. Without ROOT, --spec or
    /// --layer the roots are the paths that no other path refers to. `layers --exclude` takes nothing else along.
    #[arg(long, value_name = "PATH|PATTERN", value_parser = PathWord::parse)]
    exclude: Vec<PathWord>,
    /// Closure file to write
    #[arg(short, long, value_name = "CLOSURE.JSON", default_value = "-")]
    output: PathBuf,
    #[command(flatten)]
    question: QuestionArgs,
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    step: StepArgs,
}

pub fn run(options: &Options, common: &Common) -> Result<()> {
    let store = options.store.store()?;
    if options.question.answer(&store, &options.roots, common)? {
        return Ok(());
    }
    let spec = options.spec.as_deref().map(Spec::read).transpose()?;
    let database = Database::default_path(&store);
    let files = Files::of(&store)
        .reads_layers(layer_files_of(&options.layer)?)
        .reads(options.source.files())
        .reads([&database]);
    let files = files.reads_spec(options.spec.as_deref(), spec.as_ref());
    files.writes(&options.step.depfile).writes([&options.output]).check()?;
    let mut step = options.step.begin(&[&options.output])?;
    if let Some(spec) = &spec {
        step.spec(&store, options.spec.as_deref(), spec)?;
    }
    layer_files_of(&options.layer)?.into_iter().for_each(|layer| step.file(layer.path));
    step.files(&options.source.graph);
    common.report().stage("closure", || options.closure(spec.as_ref(), &store, common))?.write(&options.output)?;
    Ok(step.finish()?)
}

impl Options {
    /// The layers that are begun with: those that the flags name, and those of the spec that are made already.
    fn layers(&self, spec: Option<&Spec>) -> Result<LayersBelow> {
        let named: Vec<PathBuf> = self.layer.iter().chain(spec.iter().flat_map(|spec| &spec.layers)).cloned().collect();
        Ok(LayersBelow::read(&named)?)
    }

    /// The closure that is asked for.
    fn closure(&self, spec: Option<&Spec>, store: &Store, common: &Common) -> Result<Closure> {
        if spec.is_some_and(|spec| !spec.include_store_paths) {
            return Ok(Closure::default());
        }
        let mut roots: Vec<StorePath> = self.roots.iter().map(|root| store.resolve(root)).collect::<Result<_, _>>()?;
        let layers = self.layers(spec)?;
        let mentions = layers.mentions(Mentions::default());
        let named = self.source.over(spec.and_then(|spec| spec.references.clone()));
        let source = match ReferenceSource::open(named.as_ref(), store)? {
            Some(source) => source,
            None if spec.is_some() => ReferenceSource::Scan,
            None => return Err(no_source(store)),
        };
        roots.extend(layers.store_paths().cloned());
        roots.extend(mentions.kept(&source, spec, store, common));
        if let Some(spec) = spec {
            roots.extend(source.roots(spec, store)?);
        }
        // Without any root asked for, everything is wanted; with a spec that names none, nothing is.
        let nothing = roots.is_empty() && (spec.is_some() || !self.layer.is_empty());
        let mut closure =
            if nothing { Closure::default() } else { source.closure(&roots, store, self.nar_hash, common)? };
        let exclude = PathWord::paths_of(&self.exclude, std::slice::from_ref(&closure))?;
        if !exclude.is_empty() {
            closure = closure.without(&exclude, &roots)?;
        }
        if self.sizes {
            measure(&mut closure, store)?;
        }
        Ok(closure)
    }
}

fn no_source(store: &Store) -> anyhow::Error {
    let database = Database::default_path(store);
    let expected = format!("expected --graph FILE, --db FILE, --scan, or {}", database.display());
    usage_error(NAME, ErrorKind::MissingRequiredArgument, format!("no source of references: {expected}"))
}
