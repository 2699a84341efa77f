//! Finds the database of a store where Nix and Guix keep it, and names an earlier one; for builds with and without SQLite.

use crate::Database;
use layerstone_store::Store;
use std::path::{Path, PathBuf};

/// A database whose paths stay registered.
#[derive(Clone, Copy, Debug)]
pub struct Earlier<'a> {
    /// A copy of it, which is changed, with what is beside it: its log or journal, and the file `schema`.
    pub copy: &'a Path,
    /// What messages call it.
    pub name: &'a Path,
}

impl Database {
    /// The default path of the database of a store on this machine: for `/gnu/store`
    /// `/var/guix/db/db.sqlite`, for any other store directory `var/nix/db/db.sqlite` beside it, as in
    /// `/nix/var/nix/db/db.sqlite`; all of them below the store's root.
    pub fn default_path(store: &Store) -> PathBuf {
        match store.dir() {
            "/gnu/store" => store.locate("/var/guix/db/db.sqlite"),
            dir => store.locate(Database::state_of_nix(dir).join("db/db.sqlite")),
        }
    }

    /// The directory in which Nix keeps its database, its profiles and its roots, for a store directory: `var/nix` beside
    /// it, as `/nix/var/nix`.
    pub fn state_of_nix(store_dir: &str) -> PathBuf {
        Path::new(store_dir).with_file_name("var/nix")
    }
}
