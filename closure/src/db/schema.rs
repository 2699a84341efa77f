//! Tells which databases are supported, by the version that Nix keeps beside them and by their tables.

use crate::db::access::failure;
use crate::{Error, Result};
use layerstone_store::Error as StageError;
use rusqlite::Connection;
use std::io::ErrorKind;
use std::ops::RangeInclusive;
use std::path::Path;

/// Versions of the schema that have the tables below in this form: from the first one in SQLite (6, of Nix 1.0) to that
/// of every Nix since 2.0 (10); Guix stays at 7 (nix, src/libstore/local-store.hh; guix, nix/libstore/local-store.hh).
const VERSIONS: RangeInclusive<u32> = 6..=10;

/// What is read: tables and their columns.
const TABLES: [(&str, &[&str]); 2] =
    [("ValidPaths", &["id", "path", "hash", "narSize"]), ("Refs", &["referrer", "reference"])];

/// Checks that a database is one that is understood.
pub(super) fn check(path: &Path, connection: &Connection) -> Result<()> {
    let real = path.canonicalize().map_err(StageError::io("read", path))?;
    let file = real.with_file_name("schema");
    check_version(path, &file, &file)?;
    check_tables(path, connection)
}

/// Checks that a database has the tables that are read.
pub(super) fn check_tables(path: &Path, connection: &Connection) -> Result<()> {
    TABLES.iter().try_for_each(|(table, columns)| check_table(path, connection, table, columns))
}

/// The file `schema` beside the database says the version; a copy of a database may be without it. It is at `real`;
/// messages call it `file`.
pub(super) fn check_version(path: &Path, real: &Path, file: &Path) -> Result<()> {
    let text = match std::fs::read(real) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        read => read.map_err(StageError::io("read", file))?,
    };
    let text = String::from_utf8_lossy(&text);
    match text.trim().parse() {
        Ok(version) if VERSIONS.contains(&version) => Ok(()),
        _ => {
            let expected = format!("{} to {}", VERSIONS.start(), VERSIONS.end());
            let (path, file) = (path.to_owned(), file.to_owned());
            Err(Error::Schema { path, file, found: text.trim().to_owned(), expected })
        }
    }
}

fn check_table(path: &Path, connection: &Connection, table: &str, columns: &[&str]) -> Result<()> {
    let not_ours = |found: String| Error::NotDatabase { path: path.to_owned(), found };
    // A view, or a table of a module, may have rows without end, whoever made the file.
    let kind = "select type from pragma_table_list(?1) where schema = 'main'";
    let kinds = || -> rusqlite::Result<Vec<String>> {
        connection.prepare(kind)?.query_map([table], |row| row.get(0))?.collect()
    };
    if let Some(kind) = kinds().map_err(failure(path))?.iter().find(|kind| *kind != "table") {
        return Err(not_ours(format!("found a {kind} {table}")));
    }
    let names = || -> rusqlite::Result<Vec<String>> {
        let mut statement = connection.prepare("select name from pragma_table_info(?1)")?;
        statement.query_map([table], |row| row.get(0))?.collect()
    };
    let names = names().map_err(failure(path))?;
    if names.is_empty() {
        return Err(not_ours(format!("found no table {table}")));
    }
    match columns.iter().find(|column| !names.iter().any(|name| name == **column)) {
        Some(column) => Err(not_ours(format!("found no column {column} in table {table}"))),
        None => Ok(()),
    }
}
