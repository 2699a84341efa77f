//! The flags that say what is known of the store paths of an image besides what is in it.

use anyhow::Result;
use clap::{Args, ValueEnum};
use layerstone_closure::{Database, ReferencesGraph};
use layerstone_sbom::{Format, MetaFile};
use layerstone_store::{Store, read_input};
use std::path::PathBuf;

/// Where references, hashes and licences are known from.
#[derive(Args)]
pub struct BillArgs {
    /// Take references and hashes of store paths from this closure file or references graph; several are merged [default:
    /// those of Nix's database in the image, or of its files]
    #[arg(long, value_name = "FILE")]
    graph: Vec<PathBuf>,
    /// Take derivations and signatures of store paths, and hashes that are not known, from this database of Nix or Guix
    #[arg(long, value_name = "FILE")]
    db: Option<PathBuf>,
    /// Take licences, homepages and other facts of store paths from this file (layerstone/meta)
    #[arg(long, value_name = "FILE")]
    meta: Vec<PathBuf>,
}

/// The formats by their names.
#[derive(Clone, Copy, ValueEnum)]
pub enum FormatArg {
    /// CycloneDX 1.6, JSON
    #[value(alias = "cyclonedx-json")]
    Cyclonedx,
    /// SPDX 2.3, JSON
    #[value(alias = "spdx-json")]
    Spdx,
    /// SPDX 3.0.1, JSON-LD
    Spdx3,
}

impl FormatArg {
    /// What it names.
    pub fn format(self) -> Format {
        match self {
            FormatArg::Cyclonedx => Format::CycloneDx,
            FormatArg::Spdx => Format::Spdx2,
            FormatArg::Spdx3 => Format::Spdx3,
        }
    }
}

impl BillArgs {
    /// Files that are read.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.graph.iter().chain(&self.db).chain(&self.meta)
    }

    /// Files of references.
    pub fn graphs(&self) -> &[PathBuf] {
        &self.graph
    }

    pub fn graph(&self) -> Result<Option<ReferencesGraph>> {
        Ok(ReferencesGraph::read_all(&self.graph)?)
    }

    pub fn database(&self, store: &Store) -> Result<Option<Database>> {
        Ok(self.db.as_ref().map(|path| Database::open(path, store)).transpose()?)
    }

    pub fn meta(&self) -> Result<Vec<MetaFile>> {
        let read = |path: &PathBuf| Ok(MetaFile::parse(&read_input(path)?, &path.display().to_string())?);
        self.meta.iter().map(read).collect()
    }
}
