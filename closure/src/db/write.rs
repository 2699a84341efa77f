//! Writes a database that Nix takes for its own, without Nix, and the same bytes for the same closure.
//!
//! The tables are those of version 10, which every Nix since 2.0 has (nix, src/libstore/schema.sql). A path's row says
//! what `nix-store --load-db` would: path, hash, NAR size, no deriver, no signature; its time of registration is
//! [`REGISTERED`]. Rows are in the order of the paths.
//!
//! SQLite decides the pages: `VACUUM INTO` writes them table by table in the order of the rows, so that the file
//! depends on the contents alone (<https://sqlite.org/lang_vacuum.html>). Three fields of the header count what
//! happened to the file and say which SQLite did it (<https://sqlite.org/fileformat.html>, section 1.3); they are set
//! to fixed numbers. Changes go to the database and not into a log, as then one file is all; Nix turns to a log when it
//! first writes.

use crate::db::access::{failure, uri};
use crate::db::schema::{check_tables, check_version};
use crate::{Closure, Earlier, Error, PathInfo, Result};
use layerstone_store::{Error as StageError, NarHash, StorePath};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OptionalExtension, Statement};
use std::collections::HashMap;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// When all paths were registered: one second after the epoch, as all files of a store are modified then.
const REGISTERED: i64 = 1;

/// Tables, indices and triggers of version 10.
const SCHEMA: &str = "
create table ValidPaths (
    id integer primary key autoincrement not null, path text unique not null, hash text not null,
    registrationTime integer not null, deriver text, narSize integer, ultimate integer, sigs text, ca text
);
create table Refs (
    referrer integer not null, reference integer not null, primary key (referrer, reference),
    foreign key (referrer) references ValidPaths(id) on delete cascade,
    foreign key (reference) references ValidPaths(id) on delete restrict
);
create index IndexReferrer on Refs(referrer);
create index IndexReference on Refs(reference);
create trigger DeleteSelfRefs before delete on ValidPaths
begin
    delete from Refs where referrer = old.id and reference = old.id;
end;
create table DerivationOutputs (
    drv integer not null, id text not null, path text not null, primary key (drv, id),
    foreign key (drv) references ValidPaths(id) on delete cascade
);
create index IndexDerivationOutputs on DerivationOutputs(path);
";

/// Fields of the header that are written anew, with their offsets: that changes do not go to a log; how often the file
/// was changed, for which change the number of pages holds, and the version of SQLite, here 3.27.0, the first one with
/// `VACUUM INTO`.
const FIELDS: [(u64, &[u8]); 3] = [(18, &[1, 1]), (24, &[0, 0, 0, 1]), (92, &[0, 0, 0, 1, 0, 0x2e, 0x30, 0x38])];

/// Writes a database in which the paths of a closure are registered, and before them all that an earlier one has, whose
/// rows stay as they are but for references that the closure adds; `output` is a new file.
///
/// # Errors
///
/// A path has no NAR hash; the earlier database is none of Nix or Guix, is damaged, or has another hash of a path; or
/// the file cannot be written.
pub fn write_database(closure: &Closure, earlier: Option<Earlier<'_>>, output: &Path) -> Result<()> {
    let unwritten = |cause| Error::Sqlite { action: "write", path: output.to_owned(), cause };
    let mut connection = match earlier {
        None => empty().map_err(unwritten)?,
        Some(earlier) => open(earlier)?,
    };
    let name = earlier.map_or(output, |earlier| earlier.name);
    let transaction = connection.transaction().map_err(failure(name))?;
    Registration::new(&transaction, name).map_err(failure(name))?.register(closure)?;
    transaction.commit().map_err(failure(name))?;
    connection.execute("vacuum into ?1", [uri(output, "mode=rwc")]).map_err(unwritten)?;
    Ok(set_fields(output).map_err(StageError::io("write", output))?)
}

/// A database of no paths.
fn empty() -> rusqlite::Result<Connection> {
    let connection = Connection::open_in_memory()?;
    connection.execute_batch("pragma page_size = 4096")?;
    connection.execute_batch(SCHEMA)?;
    Ok(connection)
}

/// Opens a copy for changes; what its last writer left in a log or a journal is put in order by SQLite.
fn open(earlier: Earlier<'_>) -> Result<Connection> {
    let Earlier { copy, name } = earlier;
    check_version(name, &copy.with_file_name("schema"), &name.with_file_name("schema"))?;
    let open = || -> rusqlite::Result<Connection> {
        let connection = Connection::open(copy)?;
        // Whoever made the image has a say in what is read, not in what is done.
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
        connection.pragma_update(None, "journal_mode", "delete")?;
        Ok(connection)
    };
    let connection = open().map_err(failure(name))?;
    check_tables(name, &connection)?;
    let answer: String =
        connection.query_row("pragma integrity_check(1)", [], |row| row.get(0)).map_err(failure(name))?;
    match answer.as_str() {
        "ok" => Ok(connection),
        _ => Err(Error::Damaged { path: name.to_owned(), cause: answer.replace('\n', " ") }),
    }
}

/// Writes paths into a database.
struct Registration<'a> {
    name: &'a Path,
    existing: Statement<'a>,
    path: Statement<'a>,
    reference: Statement<'a>,
}

impl<'a> Registration<'a> {
    fn new(connection: &'a Connection, name: &'a Path) -> rusqlite::Result<Registration<'a>> {
        let path = "insert into ValidPaths (path, hash, registrationTime, narSize) values (?1, ?2, ?3, ?4)";
        Ok(Registration {
            name,
            existing: connection.prepare("select id, hash from ValidPaths where path = ?1")?,
            path: connection.prepare(path)?,
            reference: connection.prepare("insert or ignore into Refs (referrer, reference) values (?1, ?2)")?,
        })
    }

    fn register(mut self, closure: &Closure) -> Result<()> {
        let mut infos: Vec<&PathInfo> = closure.graph.iter().collect();
        infos.sort_unstable_by(|a, b| a.path.cmp(&b.path));
        let mut ids: HashMap<&StorePath, i64> = HashMap::with_capacity(infos.len());
        for info in &infos {
            ids.insert(&info.path, self.id(info)?);
        }
        for info in &infos {
            let id = |reference| ids.get(reference).copied().ok_or_else(|| absent(info, reference));
            let mut references: Vec<i64> = info.references.iter().map(id).collect::<Result<_>>()?;
            references.sort_unstable();
            for reference in references {
                self.reference.execute([ids[&info.path], reference]).map_err(failure(self.name))?;
            }
        }
        Ok(())
    }

    /// The id of a path, which is registered unless it is already.
    fn id(&mut self, info: &PathInfo) -> Result<i64> {
        let expected = info.nar_hash.ok_or_else(|| Error::NoHash { path: info.path.clone() })?;
        let existing = self.existing.query_row([info.path.as_str()], |row| Ok((row.get(0)?, row.get(1)?)));
        let existing: Option<(i64, String)> = existing.optional().map_err(failure(self.name))?;
        let Some((id, hash)) = existing else { return self.insert(info, expected) };
        let damaged = |cause: String| Error::Damaged { path: self.name.to_owned(), cause };
        let found: NarHash =
            hash.parse().map_err(|e| damaged(format!("row {id} of ValidPaths: {}: {e}", info.path)))?;
        if found != expected {
            let (path, database) = (info.path.clone(), self.name.to_owned());
            return Err(Error::OtherHash { path, database, found, expected });
        }
        Ok(id)
    }

    fn insert(&mut self, info: &PathInfo, hash: NarHash) -> Result<i64> {
        let hash = format!("sha256:{}", hash.digest().hex());
        let size = info.nar_size.and_then(|size| i64::try_from(size).ok());
        self.path.insert((info.path.as_str(), hash, REGISTERED, size)).map_err(failure(self.name))
    }
}

/// A closure has all that its paths refer to.
fn absent(info: &PathInfo, reference: &StorePath) -> Error {
    let (referrer, reference) = (info.path.clone(), reference.clone());
    Error::Absent { name: "the closure".to_owned(), referrer, reference }
}

fn set_fields(file: &Path) -> std::io::Result<()> {
    let file = OpenOptions::new().write(true).open(file)?;
    FIELDS.iter().try_for_each(|(at, bytes)| file.write_all_at(bytes, *at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use layerstone_store::Digest;
    use std::fs;
    use std::path::PathBuf;

    /// A path with a hash of its own, and what it refers to.
    fn info(name: &str, references: &[&str]) -> PathInfo {
        let path = |name: &str| StorePath::parse(&format!("/nix/store/{name}")).unwrap();
        PathInfo {
            path: path(name),
            nar_hash: Some(NarHash::new(Digest::of(name.as_bytes()))),
            nar_size: Some(120),
            references: references.iter().map(|name| path(name)).collect(),
        }
    }

    fn sample() -> Closure {
        Closure { graph: vec![info("a", &["a", "c"]), info("b", &["a", "c"]), info("c", &[])] }
    }

    fn written(closure: &Closure, earlier: Option<Earlier<'_>>) -> Result<Vec<u8>> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("a b?#\u{e9}%.sqlite");
        write_database(closure, earlier, &file)?;
        let names: Vec<_> = fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, [file.file_name().unwrap()]);
        Ok(fs::read(&file).unwrap())
    }

    /// A directory with `db.sqlite`, and a connection to it.
    fn directory_of(bytes: &[u8]) -> (tempfile::TempDir, PathBuf, Connection) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("db.sqlite");
        fs::write(&file, bytes).unwrap();
        let connection = Connection::open(&file).unwrap();
        (directory, file, connection)
    }

    fn rows(bytes: &[u8], query: &str) -> Vec<String> {
        let (_directory, _, connection) = directory_of(bytes);
        let mut statement = connection.prepare(query).unwrap();
        statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    }

    const REFS: &str = "select a.path || ' ' || b.path from Refs join ValidPaths a on a.id = referrer \
        join ValidPaths b on b.id = reference order by Refs.rowid";

    #[test]
    fn what_is_registered() {
        let bytes = written(&sample(), None).unwrap();
        assert_eq!(rows(&bytes, "pragma integrity_check"), ["ok"]);
        let text = "select id || ' ' || path || ' ' || hash || ' ' || registrationTime || ' ' || narSize || ' ' ||
            coalesce(deriver, ultimate, sigs, ca, 'none') from ValidPaths";
        let row =
            |id, name: &str| format!("{id} /nix/store/{name} sha256:{} 1 120 none", Digest::of(name.as_bytes()).hex());
        assert_eq!(rows(&bytes, text), [row(1, "a"), row(2, "b"), row(3, "c")]);
        let references = ["a a", "a c", "b a", "b c"].map(|pair| {
            let (referrer, reference) = pair.split_once(' ').unwrap();
            format!("/nix/store/{referrer} /nix/store/{reference}")
        });
        assert_eq!(rows(&bytes, REFS), references);
        assert_eq!(rows(&written(&Closure::default(), None).unwrap(), "select path from ValidPaths"), [""; 0]);
    }

    #[test]
    fn same_bytes_in_any_order() {
        let bytes = written(&sample(), None).unwrap();
        let mut closure = sample();
        closure.graph.reverse();
        closure.graph.iter_mut().for_each(|info| info.references.reverse());
        assert!(written(&closure, None).unwrap() == bytes);
        assert_eq!((&bytes[18..20], &bytes[24..28]), (&[1, 1][..], &[0, 0, 0, 1][..]));
    }

    /// What is there stays, in every column and table; its log is read; nothing comes twice.
    #[test]
    fn over_an_earlier_one() {
        let old = Closure { graph: vec![info("c", &[]), info("x", &["c"])] };
        let mut results = Vec::new();
        for mode in ["delete", "wal"] {
            let (directory, file, connection) = directory_of(&written(&old, None).unwrap());
            fs::write(directory.path().join("schema"), "10\n").unwrap();
            connection.pragma_update(None, "journal_mode", mode).unwrap();
            connection
                .execute_batch(
                    "update ValidPaths set deriver = 'd', sigs = 's', registrationTime = 5; create table T (c text);
                     insert into T values ('kept')",
                )
                .unwrap();
            // As a dead writer leaves it.
            let copy = tempfile::tempdir().unwrap();
            for entry in fs::read_dir(directory.path()).unwrap() {
                let path = entry.unwrap().path();
                fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
            }
            let copied = copy.path().join("db.sqlite");
            let bytes = written(&sample(), Some(Earlier { copy: &copied, name: &file })).unwrap();
            let all = "select path || ' ' || registrationTime || coalesce(deriver || sigs, '') from ValidPaths";
            assert_eq!(rows(&bytes, all), ["c 5ds", "x 5ds", "a 1", "b 1"].map(|row| format!("/nix/store/{row}")));
            assert_eq!(rows(&bytes, REFS).len(), 5);
            assert_eq!(rows(&bytes, "select c from T"), ["kept"]);
            results.push(bytes);
        }
        assert!(results[0] == results[1]);
    }

    #[track_caller]
    fn check_error(closure: &Closure, earlier: Option<&[u8]>, schema: Option<&str>, expected: &str) {
        let directory = tempfile::tempdir().unwrap();
        let copy = directory.path().join("db.sqlite");
        earlier.iter().for_each(|bytes| fs::write(&copy, bytes).unwrap());
        schema.iter().for_each(|text| fs::write(directory.path().join("schema"), text).unwrap());
        let earlier = earlier.map(|_| Earlier { copy: &copy, name: Path::new("base/db.sqlite") });
        assert_eq!(written(closure, earlier).unwrap_err().to_string(), expected);
    }

    #[test]
    fn what_cannot_be_registered() {
        let mut closure = sample();
        closure.graph[1].nar_hash = None;
        let no_hash = "closure without NAR hashes: found none of /nix/store/b, expected one of every path";
        check_error(&closure, None, None, no_hash);
        closure.graph[1].nar_hash = Some(NarHash::new(Digest::of(b"other")));
        let hashes = [b"b", &b"other"[..]].map(|text| NarHash::new(Digest::of(text)));
        check_error(
            &closure,
            Some(&written(&sample(), None).unwrap()),
            Some("10"),
            &format!(
                "registered with another hash: /nix/store/b: found {} in base/db.sqlite, expected {}",
                hashes[0], hashes[1]
            ),
        );
    }

    #[test]
    fn earlier_ones_that_are_none() {
        let complete = written(&sample(), None).unwrap();
        let no_database = "damaged store database: base/db.sqlite: file is not a database";
        check_error(
            &sample(),
            Some(
                b"no database, and longer than a header of SQLite is: 100 bytes, which is more than \
            this",
            ),
            None,
            no_database,
        );
        let (_directory, _, other) = directory_of(b"");
        other.execute_batch("create table T (c)").unwrap();
        let other = fs::read(other.path().unwrap()).unwrap();
        let message = "not a store database: base/db.sqlite: found no table ValidPaths, expected the db.sqlite of Nix or \
            Guix";
        check_error(&sample(), Some(&other), None, message);
        let message = "unknown schema of a store database: base/db.sqlite: found version \"11\" in base/schema, expected 6 \
            to 10";
        check_error(&sample(), Some(&complete), Some("11"), message);
        let mut damaged = complete.clone();
        damaged[4096..4200].fill(0xff);
        let earlier = tempfile::tempdir().unwrap();
        let copy = earlier.path().join("db.sqlite");
        fs::write(&copy, damaged).unwrap();
        let error = written(&sample(), Some(Earlier { copy: &copy, name: Path::new("x") })).unwrap_err().to_string();
        assert!(error.starts_with("damaged store database: x: "), "{error}");
    }
}
