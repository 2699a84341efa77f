//! Reads the rows of a store database.

use crate::candidates::HashPart;
use crate::db::access::failure;
use crate::{Error, Origin, PathInfo, Result};
use layerstone_store::{Store, StorePath};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, Statement};
use std::collections::HashMap;
use std::path::Path;

/// A database to ask, its name in messages, and the store that its paths must be in.
pub(super) struct Rows<'a> {
    pub connection: &'a Connection,
    pub path: &'a Path,
    pub store: &'a Store,
}

/// Paths read so far, each of them once.
#[derive(Default)]
struct Found {
    entries: Vec<(i64, PathInfo)>,
    positions: HashMap<i64, usize>,
}

impl Found {
    fn add(&mut self, id: i64, info: PathInfo) -> usize {
        let position = *self.positions.entry(id).or_insert(self.entries.len());
        if position == self.entries.len() {
            self.entries.push((id, info));
        }
        position
    }
}

impl Rows<'_> {
    /// What the roots reach, themselves included, or everything if there are no roots; in no order that matters.
    pub fn entries(&self, roots: &[StorePath]) -> Result<Vec<PathInfo>> {
        let mut found = Found::default();
        let starts = if roots.is_empty() { self.all()? } else { self.roots(roots)? };
        for (id, info) in starts {
            found.add(id, info);
        }
        let mut references = self.prepare("select reference from Refs where referrer = ?1")?;
        let mut by_id = self.prepare("select id, path, hash, narSize from ValidPaths where id = ?1")?;
        let mut next = 0;
        while let Some((id, _)) = found.entries.get(next) {
            let ids: Vec<i64> = self.column(&mut references, [*id])?;
            let mut paths = Vec::with_capacity(ids.len());
            for id in ids {
                let position = match found.positions.get(&id) {
                    Some(position) => *position,
                    None => {
                        let referrer = &found.entries[next].1.path;
                        let cause = || format!("{referrer} refers to row {id} of ValidPaths, which is not there");
                        let row = self.infos(&mut by_id, [id])?.pop();
                        let (id, info) = row.ok_or_else(|| self.damaged(cause()))?;
                        found.add(id, info)
                    }
                };
                paths.push(found.entries[position].1.path.clone());
            }
            found.entries[next].1.references = paths;
            next += 1;
        }
        Ok(found.entries.into_iter().map(|(_, info)| info).collect())
    }

    /// Where these paths come from, those that are valid, as far as the database has columns for it; a derivation that is no
    /// store path is none.
    pub fn origins(&self, paths: &[StorePath]) -> Result<Vec<(StorePath, Origin)>> {
        let names: Vec<String> =
            self.column(&mut self.prepare("select name from pragma_table_info('ValidPaths')")?, [])?;
        let column = |name: &'static str| if names.iter().any(|found| found == name) { name } else { "null" };
        let columns = format!("id, path, hash, narSize, {}, {}", column("deriver"), column("sigs"));
        let mut by_path = self.prepare(&format!("select {columns} from ValidPaths where path = ?1"))?;
        let mut origins = Vec::new();
        for path in paths {
            let mut rows = by_path.query([path.as_str()]).map_err(failure(self.path))?;
            let Some(row) = rows.next().map_err(failure(self.path))? else { continue };
            let text = |column| row.get_ref(column).ok().and_then(|value| value.as_str().ok()).unwrap_or_default();
            let (deriver, signatures) = (self.store.parse(text(4)).ok(), text(5).split_ascii_whitespace());
            let signatures = signatures.map(str::to_owned).collect();
            let (_, PathInfo { nar_hash, nar_size, .. }) = self.info(row)?;
            origins.push((path.clone(), Origin { nar_hash, nar_size, deriver, signatures }));
        }
        Ok(origins)
    }

    /// The paths with these hash parts. The name behind the dash is any; `.` comes after `-`.
    pub fn with_hashes(&self, hashes: &[&HashPart]) -> Result<Vec<StorePath>> {
        let mut between = self.prepare("select path from ValidPaths where path >= ?1 and path < ?2")?;
        let mut paths = Vec::new();
        for hash in hashes {
            let prefix = format!("{}/{}", self.store.dir(), String::from_utf8_lossy(*hash));
            let texts: Vec<String> = self.column(&mut between, [format!("{prefix}-"), format!("{prefix}.")])?;
            for text in texts {
                paths.push(self.store_path(&text)?);
            }
        }
        Ok(paths)
    }

    fn all(&self) -> Result<Vec<(i64, PathInfo)>> {
        self.infos(&mut self.prepare("select id, path, hash, narSize from ValidPaths order by id")?, [])
    }

    fn roots(&self, roots: &[StorePath]) -> Result<Vec<(i64, PathInfo)>> {
        let mut by_path = self.prepare("select id, path, hash, narSize from ValidPaths where path = ?1")?;
        let root = |root: &StorePath| {
            self.store.parse(root.as_str())?;
            let absent = || Error::NotValid { path: self.path.to_owned(), root: root.clone() };
            self.infos(&mut by_path, [root.as_str()])?.pop().ok_or_else(absent)
        };
        roots.iter().map(root).collect()
    }

    fn prepare(&self, query: &str) -> Result<Statement<'_>> {
        self.connection.prepare(query).map_err(failure(self.path))
    }

    /// The first column of all rows.
    fn column<T: rusqlite::types::FromSql>(
        &self,
        statement: &mut Statement,
        parameters: impl rusqlite::Params,
    ) -> Result<Vec<T>> {
        let rows = statement.query_map(parameters, |row| row.get(0)).map_err(failure(self.path))?;
        rows.collect::<rusqlite::Result<_>>().map_err(failure(self.path))
    }

    /// The paths in all rows.
    fn infos(&self, statement: &mut Statement, parameters: impl rusqlite::Params) -> Result<Vec<(i64, PathInfo)>> {
        let mut rows = statement.query(parameters).map_err(failure(self.path))?;
        let mut infos = Vec::new();
        while let Some(row) = rows.next().map_err(failure(self.path))? {
            infos.push(self.info(row)?);
        }
        Ok(infos)
    }

    /// A row of ValidPaths: id, path, hash, narSize. References are not there yet.
    fn info(&self, row: &Row) -> Result<(i64, PathInfo)> {
        let get = |column| row.get_ref(column).map_err(failure(self.path));
        let id = row.get(0).map_err(failure(self.path))?;
        let bad = |cause: String| self.damaged(format!("row {id} of ValidPaths: {cause}"));
        let text = |value: ValueRef, expected| match value.as_str() {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => Err(bad(format!("found {}, expected {expected}", kind(value)))),
        };
        let path = self.store_path(&text(get(1)?, "a store path")?)?;
        let nar_hash = match get(2)? {
            ValueRef::Null => None,
            value => Some(text(value, "a NAR hash")?.parse().map_err(|e| bad(format!("{path}: {e}")))?),
        };
        let nar_size = match get(3)? {
            // Nix writes NULL where it does not know the size, older ones wrote 0; no NAR is empty.
            ValueRef::Null | ValueRef::Integer(0) => None,
            ValueRef::Integer(size @ 1..) => Some(size.unsigned_abs()),
            ValueRef::Integer(size) => return Err(bad(format!("{path}: found {size}, expected a NAR size in bytes"))),
            value => return Err(bad(format!("{path}: found {}, expected a NAR size in bytes", kind(value)))),
        };
        Ok((id, PathInfo { path, nar_hash, nar_size, references: Vec::new() }))
    }

    fn store_path(&self, text: &str) -> Result<StorePath> {
        self.store.parse(text).map_err(|source| Error::OtherStore { path: self.path.to_owned(), source })
    }

    fn damaged(&self, cause: String) -> Error {
        Error::Damaged { path: self.path.to_owned(), cause }
    }
}

/// What a value is, for a message.
fn kind(value: ValueRef) -> &'static str {
    match value {
        ValueRef::Null => "NULL",
        ValueRef::Integer(_) | ValueRef::Real(_) => "a number",
        ValueRef::Text(text) if std::str::from_utf8(text).is_err() => "bytes that are not UTF-8",
        ValueRef::Text(_) => "a text",
        ValueRef::Blob(_) => "a blob",
    }
}
