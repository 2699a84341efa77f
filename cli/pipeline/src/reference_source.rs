//! Where references come from, for the commands that need a closure: references graphs, a store's database, or its
//! files.

use crate::error::Context;
use crate::{Report, Result};
use layerstone_closure::{Candidates, Closure, Database, ReferencesGraph, scan_store, store_paths_in};
use layerstone_layer::Progress;
use layerstone_spec::{References, RootMode, Spec};
use layerstone_store::{Store, StorePath};

/// A source that has been opened.
pub enum ReferenceSource {
    /// References graphs.
    Graph(ReferencesGraph),
    /// The database of a store.
    Database(Database),
    /// The files of the store.
    Scan,
}

impl ReferenceSource {
    /// Opens what was named, or else the database of the store; none if nothing was named and there is no database.
    pub fn open(named: Option<&References>, store: &Store) -> Result<Option<ReferenceSource>> {
        let source = match named {
            Some(References::Graphs(paths)) => {
                let mut graphs = paths.iter().map(|path| ReferencesGraph::read(path));
                let first = graphs.next().context("no references graph")??;
                ReferenceSource::Graph(graphs.try_fold(first, |merged, graph| merged.merge(graph?))?)
            }
            Some(References::Database(path)) => ReferenceSource::Database(Database::open(path, store)?),
            Some(References::Scan) => ReferenceSource::Scan,
            None => return Ok(Database::of_store(store).map(ReferenceSource::Database)),
        };
        Ok(Some(source))
    }

    /// The source for an image: where there is no other, the store's files.
    pub fn of_spec(spec: &Spec, store: &Store) -> Result<ReferenceSource> {
        Ok(ReferenceSource::open(spec.references.as_ref(), store)?.unwrap_or(ReferenceSource::Scan))
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
        // Without a mention of the store nothing is looked up, and no store needs to exist.
        if !text.windows(mention.len()).any(|window| window == mention.as_bytes()) {
            return Ok(Vec::new());
        }
        let candidates = match self {
            ReferenceSource::Graph(graph) => graph.candidates(),
            ReferenceSource::Database(database) => database.candidates(text)?,
            ReferenceSource::Scan => Candidates::in_store(store)?,
        };
        Ok(store_paths_in(text, store.dir(), &candidates)?)
    }

    /// What the roots need; without roots, everything that a graph or a database has.
    pub fn closure(self, roots: &[StorePath], store: &Store, nar_hashes: bool, report: &dyn Report) -> Result<Closure> {
        match self {
            ReferenceSource::Graph(graph) => {
                let name = graph.name().to_owned();
                let closure = graph.closure(roots)?;
                for info in &closure.graph {
                    store.parse(info.path.as_str()).context(name.clone())?;
                }
                Ok(closure)
            }
            ReferenceSource::Database(database) => Ok(database.closure(roots)?),
            ReferenceSource::Scan if roots.is_empty() => bail!("nothing to scan: expected a ROOT, --spec or --layer"),
            ReferenceSource::Scan => {
                let scan = |meter: &Progress| scan_store(store, roots, nar_hashes, |bytes| meter.add_bytes(bytes));
                Ok(report.during("scanning", None, Vec::new(), scan)?)
            }
        }
    }
}
