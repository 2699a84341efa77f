//! Where references come from, for the commands that need a closure: a references graph, or the store's files.

use anyhow::{Context, Result, bail};
use layerstone_closure::{Candidates, Closure, Graph, scan_store, store_paths_in};
use layerstone_image::Spec;
use layerstone_stage::{Store, StorePath};

/// Where references come from.
pub enum Source {
    Graph(Graph),
    Scan,
}

impl Source {
    /// The spec's graph, or the store itself if it names none.
    pub fn of_spec(spec: &Spec) -> Result<Source> {
        Ok(match &spec.graph {
            Some(path) => Source::Graph(Graph::read(path)?),
            None => Source::Scan,
        })
    }

    /// The store paths that a spec names: its contents, and whatever its config mentions.
    pub fn roots(&self, spec: &Spec, store: &Store) -> Result<Vec<StorePath>> {
        let mut roots: Vec<StorePath> =
            spec.contents.iter().map(|path| store.resolve(path)).collect::<Result<_, _>>()?;
        let config = serde_json::to_vec(&spec.config)?;
        let mention = format!("{}/", store.dir());
        // Without a mention of the store nothing is looked up, and no store needs to be there.
        if config.windows(mention.len()).any(|window| window == mention.as_bytes()) {
            let candidates = match self {
                Source::Graph(graph) => graph.candidates(),
                Source::Scan => Candidates::in_store(store)?,
            };
            roots.extend(store_paths_in(&config, store.dir(), &candidates)?);
        }
        Ok(roots)
    }

    /// What the roots need; everything for a graph without roots.
    pub fn closure(self, roots: &[StorePath], store: &Store, nar_hashes: bool) -> Result<Closure> {
        match self {
            Source::Graph(graph) => {
                let name = graph.name().to_owned();
                let closure = graph.closure(roots)?;
                for info in &closure.graph {
                    store.parse(info.path.as_str()).context(name.clone())?;
                }
                Ok(closure)
            }
            Source::Scan if roots.is_empty() => bail!("nothing to scan: expected a ROOT, --spec or --layer"),
            Source::Scan => Ok(scan_store(store, roots, nar_hashes)?),
        }
    }
}
