//! The flags that say where references come from.

use clap::Args;
use layerstone_spec::References;
use std::path::PathBuf;

/// The flags that name a source; at most one of them.
#[derive(Args)]
#[group(multiple = false)]
pub struct SourceArgs {
    /// Take references from a references graph; several are merged
    #[arg(long, value_name = "FILE")]
    pub graph: Vec<PathBuf>,
    /// Take references from a store's database, db.sqlite of Nix or Guix [default: that of the store, if it is there]
    #[arg(long, value_name = "FILE")]
    db: Option<PathBuf>,
    /// Find references by scanning the store's files
    #[arg(long)]
    scan: bool,
}

impl SourceArgs {
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
