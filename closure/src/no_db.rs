//! Replaces the databases of Nix and Guix in builds without SQLite: every question is an error.

use crate::{Candidates, Closure, Earlier, Error, Origin, Result};
use layerstone_store::{Store, StorePath};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The database of a store, which cannot be read.
#[derive(Clone, Debug)]
pub struct Database(PathBuf);

/// Writes no database.
///
/// # Errors
///
/// Always.
pub fn write_database(_closure: &Closure, _earlier: Option<Earlier<'_>>, output: &Path) -> Result<()> {
    Err(Error::NoSqlite { path: output.to_owned() })
}

impl Database {
    /// No database.
    ///
    /// # Errors
    ///
    /// Always.
    pub fn open(path: &Path, _store: &Store) -> Result<Database> {
        Err(Error::NoSqlite { path: path.to_owned() })
    }

    /// The database at [`Database::default_path`], if there is one.
    pub fn of_store(store: &Store) -> Option<Database> {
        Some(Database(Database::default_path(store))).filter(|database| database.0.is_file())
    }

    /// No closure.
    ///
    /// # Errors
    ///
    /// Always.
    pub fn closure(&self, _roots: &[StorePath]) -> Result<Closure> {
        Err(Error::NoSqlite { path: self.0.clone() })
    }

    /// No candidates.
    ///
    /// # Errors
    ///
    /// Always.
    pub fn candidates(&self, _text: &[u8]) -> Result<Candidates> {
        Err(Error::NoSqlite { path: self.0.clone() })
    }

    /// No origins.
    ///
    /// # Errors
    ///
    /// Always.
    pub fn origins(&self, _paths: &[StorePath]) -> Result<BTreeMap<StorePath, Origin>> {
        Err(Error::NoSqlite { path: self.0.clone() })
    }

    /// The file, as messages say it.
    pub fn name(&self) -> String {
        self.0.display().to_string()
    }
}
