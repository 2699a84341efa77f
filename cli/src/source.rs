//! Where references come from, for the commands that need a closure: references graphs, a store's database, or its
//! files.

use crate::args::Common;
use anyhow::{Context, Result, bail};
use clap::Args;
use layerstone_closure::{Candidates, Closure, Database, ReferencesGraph, scan_store, store_paths_in};
use layerstone_layer::Meter;
use layerstone_spec::{References, RootMode, Spec};
use layerstone_store::{Store, StorePath};
use std::path::PathBuf;

/// The flags that name a source; at most one of them.
#[derive(Args)]
#[group(multiple = false)]
pub struct SourceArgs {
    /// Take references from a references graph; several are merged
    #[arg(long, value_name = "FILE")]
    graph: Vec<PathBuf>,
    /// Take references from a store's database, db.sqlite of Nix or Guix [default: that of the store, if it is there]
    #[arg(long, value_name = "FILE")]
    db: Option<PathBuf>,
    /// Find references by scanning the store's files
    #[arg(long)]
    scan: bool,
}

impl SourceArgs {
    /// The graphs that flags name.
    pub fn graphs(&self) -> &[PathBuf] {
        &self.graph
    }

    /// The files that flags name.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.graph.iter().chain(&self.db)
    }

    /// What the flags name, or else what the spec does.
    pub fn over(&self, spec: Option<References>) -> Option<References> {
        match &self.db {
            _ if self.scan => Some(References::Scan),
            Some(path) => Some(References::Database(path.clone())),
            None if !self.graph.is_empty() => Some(References::Graphs(self.graph.clone())),
            None => spec,
        }
    }
}

/// A source that has been opened.
pub enum Source {
    Graph(ReferencesGraph),
    Database(Database),
    Scan,
}

impl Source {
    /// Opens what was named, or else the database of the store; none if nothing was named and no database is there.
    pub fn open(named: Option<&References>, store: &Store) -> Result<Option<Source>> {
        let source = match named {
            Some(References::Graphs(paths)) => {
                let mut graphs = paths.iter().map(|path| ReferencesGraph::read(path));
                let first = graphs.next().context("no references graph")??;
                Source::Graph(graphs.try_fold(first, |merged, graph| merged.merge(graph?))?)
            }
            Some(References::Database(path)) => Source::Database(Database::open(path, store)?),
            Some(References::Scan) => Source::Scan,
            None => return Ok(Database::of_store(store).map(Source::Database)),
        };
        Ok(Some(source))
    }

    /// The source for an image: where there is no other, the store's files.
    pub fn of_spec(spec: &Spec, store: &Store) -> Result<Source> {
        Ok(Source::open(spec.references.as_ref(), store)?.unwrap_or(Source::Scan))
    }

    /// The store paths that a spec names: its contents, unless they are copied, and whatever its config mentions.
    pub fn roots(&self, spec: &Spec, store: &Store) -> Result<Vec<StorePath>> {
        let linked = spec.contents.iter().filter(|_| spec.root_mode == RootMode::Links);
        let mut roots: Vec<StorePath> = linked.map(|path| store.resolve(path)).collect::<Result<_, _>>()?;
        roots.extend(self.mentioned(&serde_json::to_vec(&spec.config)?, store)?);
        Ok(roots)
    }

    /// The store paths that a text names.
    pub fn mentioned(&self, text: &[u8], store: &Store) -> Result<Vec<StorePath>> {
        let mention = format!("{}/", store.dir());
        // Without a mention of the store nothing is looked up, and no store needs to be there.
        if !text.windows(mention.len()).any(|window| window == mention.as_bytes()) {
            return Ok(Vec::new());
        }
        let candidates = match self {
            Source::Graph(graph) => graph.candidates(),
            Source::Database(database) => database.candidates(text)?,
            Source::Scan => Candidates::in_store(store)?,
        };
        Ok(store_paths_in(text, store.dir(), &candidates)?)
    }

    /// What the roots need; without roots, everything that a graph or a database has.
    pub fn closure(self, roots: &[StorePath], store: &Store, nar_hashes: bool, common: &Common) -> Result<Closure> {
        match self {
            Source::Graph(graph) => {
                let name = graph.name().to_owned();
                let closure = graph.closure(roots)?;
                for info in &closure.graph {
                    store.parse(info.path.as_str()).context(name.clone())?;
                }
                Ok(closure)
            }
            Source::Database(database) => Ok(database.closure(roots)?),
            Source::Scan if roots.is_empty() => bail!("nothing to scan: expected a ROOT, --spec or --layer"),
            Source::Scan => {
                let scan = |meter: &Meter| scan_store(store, roots, nar_hashes, |bytes| meter.add_bytes(bytes));
                Ok(common.progress().during("scanning", None, 0, scan)?)
            }
        }
    }
}
