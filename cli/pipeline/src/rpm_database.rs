//! Reads rpm's database: SQLite, a row for each package whose header is a blob (rpm, lib/backend/sqlite.c).

use crate::{Error, Result};
use layerstone_sbom::{OsPackage, parse_rpm_header};
use rusqlite::{Connection, OpenFlags};
use std::path::Path;

/// The packages that a copy of rpm's database lists, which messages call so; what is damaged in it is passed over.
///
/// # Errors
///
/// It is no SQLite, or has no table of packages.
pub fn read_rpm_database(copy: &Path, name: &str) -> Result<Vec<OsPackage>> {
    let wrong = |e: rusqlite::Error| Error::Invalid(format!("not a database of rpm: {name}: {e}"));
    let connection = Connection::open_with_flags(copy, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(wrong)?;
    let mut statement = connection.prepare("select blob from Packages").map_err(wrong)?;
    let headers = statement.query_map([], |row| row.get::<_, Vec<u8>>(0)).map_err(wrong)?;
    let headers: Vec<Vec<u8>> = headers.collect::<rusqlite::Result<_>>().map_err(wrong)?;
    Ok(headers.iter().filter_map(|header| parse_rpm_header(header)).collect())
}
