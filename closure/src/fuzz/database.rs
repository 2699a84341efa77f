//! Opens files as a database, and tables with any rows.

use super::{Folder, Input};
use crate::{Candidates, Closure, Database, Earlier, write_database};
use layerstone_store::Store;
use rusqlite::Connection;
use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A database: by its rows, or by the bytes of its files.
pub fn database(bytes: &[u8]) {
    let Some((kind, rest)) = bytes.split_first() else { return };
    let folder = Folder::new();
    let file = folder.path().join("db.sqlite");
    match kind {
        b'r' => make_rows(&file, rest).expect("memory takes it"),
        b'w' | b'j' => {
            let mut input = Input(rest);
            let length = input.number(3);
            let beside = if *kind == b'w' { "db.sqlite-wal" } else { "db.sqlite-journal" };
            fs::write(&file, input.take(length)).expect("memory takes it");
            fs::write(folder.path().join(beside), input.0).expect("memory takes it");
        }
        _ => fs::write(&file, rest).expect("memory takes it"),
    }
    let before = listing(folder.path());
    let closure = read(&file, *kind == b'r');
    assert_eq!(listing(folder.path()), before, "nothing is left beside it");
    let Some(closure) = closure else { return };
    assert!(closure.graph.is_sorted_by(|a, b| a.path < b.path), "{closure:?}");
    let found = |path| closure.graph.binary_search_by(|info| info.path.cmp(path));
    assert!(closure.graph.iter().all(|info| info.references.iter().all(|path| found(path).is_ok())), "{closure:?}");
    check_written(&closure, &file);
}

/// Asks for all paths, for what the first one reaches, and for those that a text names. In a file that is damaged an index may
/// lack what its table has, so that a path which is listed is not found; that is an error.
fn read(file: &Path, is_whole: bool) -> Option<Closure> {
    let database = Database::open(file, &Store::default()).ok()?;
    let text: Vec<u8> = [&b"/nix/store/516z65g5d2g7yfc9yv6n2g1q21jqv0m1-app "[..], &file_bytes(file)].concat();
    let _: Option<Candidates> = database.candidates(&text).ok();
    let closure = database.closure(&[]).ok()?;
    if let Some(first) = closure.graph.first() {
        match database.closure(std::slice::from_ref(&first.path)) {
            Ok(part) => assert!(part.graph.iter().all(|info| closure.graph.contains(info)), "{part:?} of {closure:?}"),
            Err(error) => assert!(!is_whole, "{error}"),
        }
    }
    Some(closure)
}

/// What a closure is written as is read as that; and what is added to an earlier database is read with it.
fn check_written(closure: &Closure, earlier: &Path) {
    let folder = Folder::new();
    let (new, copy, both) = (folder.path().join("new"), folder.path().join("copy"), folder.path().join("both"));
    let has_hashes = closure.graph.iter().all(|info| info.nar_hash.is_some());
    let is_written = write_database(closure, None, &new).is_ok();
    assert_eq!(is_written, has_hashes, "{closure:?}");
    if is_written {
        assert_eq!(read(&new, true).as_ref(), Some(closure));
    }
    fs::write(&copy, file_bytes(earlier)).expect("memory takes it");
    let earlier = Earlier { copy: &copy, name: earlier };
    if write_database(&Closure { graph: Vec::new() }, Some(earlier), &both).is_ok() {
        assert!(read(&both, false).is_some(), "{closure:?}");
    }
}

fn file_bytes(file: &Path) -> Vec<u8> {
    fs::read(file).expect("it was written")
}

fn listing(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let entries = fs::read_dir(folder).expect("it is there").map(|entry| entry.expect("it is there").path());
    entries.map(|path| (path.clone(), file_bytes(&path))).collect()
}

/// Rows, one a line, with a tab between values, each behind a letter for its type.
fn make_rows(file: &Path, rows: &[u8]) -> rusqlite::Result<()> {
    let connection = Connection::open(file)?;
    connection.execute_batch(
        "pragma page_size = 512; begin;
         create table ValidPaths (id, path, hash, registrationTime, deriver, narSize, ultimate, sigs, ca);
         create table Refs (referrer, reference)",
    )?;
    for row in rows.split(|&byte| byte == b'\n').take(64) {
        let values: Vec<ToSqlOutput<'_>> = row.split(|&byte| byte == b'\t').map(value).collect();
        match &values[..] {
            [id, path, hash, size] => connection.execute(
                "insert into ValidPaths (id, path, hash, narSize) values (?, ?, ?, ?)",
                [id, path, hash, size],
            )?,
            [referrer, reference] => connection.execute("insert into Refs values (?, ?)", [referrer, reference])?,
            _ => 0,
        };
    }
    connection.execute_batch("commit")?;
    connection.close().map_err(|(_, error)| error)
}

fn value(text: &[u8]) -> ToSqlOutput<'_> {
    let Some((kind, rest)) = text.split_first() else { return ToSqlOutput::Owned(Value::Null) };
    let number = std::str::from_utf8(rest).ok().and_then(|text| text.parse().ok());
    match kind {
        b'i' => ToSqlOutput::Owned(Value::Integer(number.unwrap_or_default())),
        b'f' => ToSqlOutput::Owned(Value::Real(number.unwrap_or_default() as f64 / 3.0)),
        b'b' => ToSqlOutput::Borrowed(ValueRef::Blob(rest)),
        _ => ToSqlOutput::Borrowed(ValueRef::Text(rest)),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_fuzzing_found_before() {
        xtask::replay("database", super::database);
    }
}
