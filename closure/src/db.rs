//! Reads the references of a closure from the SQLite database of Nix or Guix, without either of them and without a
//! trace.
//!
//! Two of its tables matter here (nix, src/libstore/schema.sql; guix, nix/libstore/schema.sql):
//!
//! ```text
//! ValidPaths: id, path, hash ("sha256:" and base 16), narSize (bytes of the NAR, NULL where it is unknown), …
//! Refs:       referrer, reference, both of them an id of ValidPaths; a path that refers to itself has a row, too
//! ```
//!
//! A closure is read from its roots on, so that the time depends on the closure and not on the store.

mod access;
mod header;
mod row;
mod schema;
mod write;

pub use write::write_database;

use crate::text::hash_parts;
use crate::{Candidates, Closure, Error, Origin, ReferencesGraph, Result};
use access::Access;
use layerstone_store::{Store, StorePath};
use row::Rows;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a locked database is waited for. Whoever writes to one in SQLite's default mode locks it for some
/// milliseconds; with a write-ahead log readers are not locked out at all.
const WAIT: Duration = Duration::from_secs(5);
/// How often a database that is locked, or changes, is tried again.
const PAUSE: Duration = Duration::from_millis(10);

/// The database of a store. It is opened for each question anew, and what one answer is made of was in the database at
/// one moment, whoever writes to it.
#[derive(Clone, Debug)]
pub struct Database {
    path: PathBuf,
    store: Store,
    wait: Duration,
}

impl Database {
    /// The database in this file, whose paths are those of a store; where the store is on this machine is of no
    /// matter.
    ///
    /// # Errors
    ///
    /// The file cannot be read, is no database of Nix or Guix or one of an unknown schema, is damaged, or another
    /// program has locked it for five seconds.
    pub fn open(path: &Path, store: &Store) -> Result<Database> {
        let database = Database { path: path.to_owned(), store: store.clone(), wait: WAIT };
        database.read(|_| Ok(()))?;
        Ok(database)
    }

    /// The database at [`Database::default_path`], if there is one. It is not opened before something is asked, so that who
    /// asks nothing does not depend on it.
    pub fn of_store(store: &Store) -> Option<Database> {
        let path = Database::default_path(store);
        path.is_file().then(|| Database { path, store: store.clone(), wait: WAIT })
    }

    /// The closure of some roots, or of everything in the database if there are none.
    ///
    /// # Errors
    ///
    /// Those of [`Database::open`]; a root is outside the store or not valid; and within reach a path is outside the
    /// store, a row is no good, or paths form a cycle.
    pub fn closure(&self, roots: &[StorePath]) -> Result<Closure> {
        ReferencesGraph::new(&self.name(), self.read(|rows| rows.entries(roots))?)?.closure(&[])
    }

    /// Those paths of the database that a text may name, for [`crate::store_paths_in`].
    ///
    /// # Errors
    ///
    /// Those of [`Database::open`], or a row is no good.
    pub fn candidates(&self, text: &[u8]) -> Result<Candidates> {
        let hashes: Vec<_> = hash_parts(text, self.store.dir()).map(|(hash, _)| hash).collect();
        Ok(Candidates::new(&self.name(), self.read(|rows| rows.with_hashes(&hashes))?))
    }

    /// Where those of some paths come from that are in the database.
    ///
    /// # Errors
    ///
    /// Those of [`Database::open`], or a row is no good.
    pub fn origins(&self, paths: &[StorePath]) -> Result<BTreeMap<StorePath, Origin>> {
        Ok(self.read(|rows| rows.origins(paths))?.into_iter().collect())
    }

    /// The file, as messages say it.
    pub fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// An answer that is made of one state of the database.
    fn read<T>(&self, query: impl Fn(&Rows) -> Result<T>) -> Result<T> {
        let deadline = Instant::now() + self.wait;
        loop {
            if let Some(access) = Access::open(&self.path, self.wait)? {
                let rows = Rows { connection: &access.connection, path: &self.path, store: &self.store };
                let answer = schema::check(&self.path, &access.connection).and_then(|()| query(&rows));
                // An error, too, may come from a state that never was.
                if access.is_unchanged() {
                    return answer;
                }
            }
            if Instant::now() >= deadline {
                return Err(Error::Locked { path: self.path.clone() });
            }
            std::thread::sleep(PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::Connection;
    use std::ffi::OsStr;
    use std::fs;
    use std::os::unix::ffi::OsStrExt;

    const APP: &str = "/nix/store/516z65g5d2g7yfc9yv6n2g1q21jqv0m1-app";
    const LIB: &str = "/nix/store/5wqnl34l8k8y01bqi4livgq7x9r214kc-lib";
    const DATA: &str = "/nix/store/17ql70zj7ri5a0i87244d6dq5ih8q0fr-data";
    const NEW: &str = "/nix/store/hznwmmjwl1zd5hzbbg2kg6ra1fjbsdqw-new";

    /// The tables as Nix makes them, as far as they matter, and three paths: the app refers to itself and to the lib.
    /// The size of the lib is unknown as Nix writes it today, that of the data as older ones did.
    fn content() -> String {
        format!(
            "create table ValidPaths (id integer primary key autoincrement not null, path text unique not null,
                hash text not null, registrationTime integer not null, deriver text, narSize integer, ultimate integer);
             create table Refs (referrer integer not null, reference integer not null,
                primary key (referrer, reference));
             create index IndexReferrer on Refs(referrer);
             insert into ValidPaths (id, path, hash, registrationTime, narSize) values
                (7, '{APP}', 'sha256:{zero}1', 1, 120), (3, '{LIB}', 'sha256:{zero}2', 1, NULL),
                (5, '{DATA}', 'sha256:{zero}3', 1, 0);
             insert into Refs values (7, 7), (7, 3);",
            zero = "0".repeat(63)
        )
    }

    fn insertion(path: &str) -> String {
        let hash = "0".repeat(64);
        format!("insert into ValidPaths (path, hash, registrationTime) values ('{path}', 'sha256:{hash}', 1)")
    }

    /// A directory with a database, and a connection to it, kept open.
    fn writer(mode: &str) -> (tempfile::TempDir, Connection) {
        let directory = tempfile::tempdir().unwrap();
        let connection = Connection::open(directory.path().join("db.sqlite")).unwrap();
        connection.pragma_update(None, "journal_mode", mode).unwrap();
        connection.execute_batch(&content()).unwrap();
        (directory, connection)
    }

    /// A directory with a database that nobody has open.
    fn closed(mode: &str) -> tempfile::TempDir {
        let (directory, connection) = writer(mode);
        connection.close().unwrap();
        directory
    }

    /// Another directory with these files, as a dead writer would have left them.
    fn abandoned(directory: &tempfile::TempDir, suffixes: &[&str]) -> tempfile::TempDir {
        let other = tempfile::tempdir().unwrap();
        for suffix in suffixes {
            let name = format!("db.sqlite{suffix}");
            fs::copy(directory.path().join(&name), other.path().join(&name)).unwrap();
        }
        other
    }

    fn open(directory: &Path) -> Result<Database> {
        open_file(&directory.join("db.sqlite"))
    }

    fn open_file(path: &Path) -> Result<Database> {
        let wait = Duration::from_millis(50);
        let database = Database { path: path.to_owned(), store: Store::default(), wait };
        database.read(|_| Ok(())).map(|()| database)
    }

    fn roots(paths: &[&str]) -> Vec<StorePath> {
        paths.iter().map(|path| StorePath::parse(path).unwrap()).collect()
    }

    fn paths(closure: &Closure) -> Vec<&str> {
        closure.graph.iter().map(|info| info.path.as_str()).collect()
    }

    /// What is in a directory: names and contents, but not those of `-shm`, which all connections of this process share.
    fn listing(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
        let paths = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
        let contents = |path: &Path| if path.ends_with("db.sqlite-shm") { vec![] } else { fs::read(path).unwrap() };
        paths.map(|path| (path.clone(), contents(&path))).collect()
    }

    /// The paths that a database in this directory has, all of them; nothing there may change.
    #[track_caller]
    fn check_paths(directory: &Path, expected: &[&str]) {
        let before = listing(directory);
        let closure = open(directory).unwrap().closure(&[]).unwrap();
        assert_eq!(paths(&closure), expected);
        let after = listing(directory);
        assert_eq!(after.keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
        assert!(after == before, "contents changed");
    }

    #[test]
    fn origins() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("db.sqlite");
        let connection = Connection::open(&path).unwrap();
        connection.execute_batch(&content()).unwrap();
        let drv = "/nix/store/hznwmmjwl1zd5hzbbg2kg6ra1fjbsdqw-app.drv";
        let database = Database::open(&path, &Store::new("/nix/store", "/").unwrap()).unwrap();
        // A table without the column of signatures, as Nix 1.0 made it.
        connection.execute("update ValidPaths set deriver = ?1 where path = ?2", [drv, APP]).unwrap();
        let app = StorePath::parse(APP).unwrap();
        let origin = || {
            let found = database.origins(&[app.clone(), NEW.parse().unwrap()]).unwrap();
            assert_eq!(found.len(), 1);
            let Origin { deriver, signatures, .. } = found[&app].clone();
            (deriver, signatures)
        };
        assert_eq!(origin(), (drv.parse().ok(), Vec::new()));
        connection.execute_batch("alter table ValidPaths add column sigs text").unwrap();
        connection.execute("update ValidPaths set deriver = 'unknown-deriver', sigs = 'a:1 b:2'", []).unwrap();
        assert_eq!(origin(), (None, vec!["a:1".to_owned(), "b:2".to_owned()]));
    }

    #[test]
    fn what_a_closure_says() {
        for mode in ["delete", "wal"] {
            let directory = closed(mode);
            let database = open(directory.path()).unwrap();
            let closure = database.closure(&roots(&[APP])).unwrap();
            assert_eq!(paths(&closure), [APP, LIB]);
            assert_eq!(closure.graph[0].references, roots(&[APP, LIB]));
            assert_eq!(closure.graph[0].nar_size, Some(120));
            let hash = closure.graph[0].nar_hash.unwrap().digest();
            assert_eq!(hash.hex(), format!("{}1", "0".repeat(63)));
            assert_eq!((closure.graph[1].nar_size, closure.graph[1].references.len()), (None, 0));
            let all = database.closure(&[]).unwrap();
            assert_eq!((paths(&all), all.graph[0].nar_size), (vec![DATA, APP, LIB], None));
            assert_eq!(paths(&database.closure(&roots(&[DATA, LIB, DATA])).unwrap()), [DATA, LIB]);
        }
    }

    #[test]
    fn nobody_else_has_it_open() {
        for mode in ["delete", "truncate", "persist", "wal"] {
            check_paths(closed(mode).path(), &[DATA, APP, LIB]);
        }
        let directory = closed("wal");
        fs::write(directory.path().join("db.sqlite-wal"), "").unwrap();
        check_paths(directory.path(), &[DATA, APP, LIB]);
        fs::write(directory.path().join("db.sqlite-shm"), "").unwrap();
        check_paths(directory.path(), &[DATA, APP, LIB]);
    }

    #[test]
    fn a_writer_at_work() {
        for mode in ["delete", "wal"] {
            let (directory, connection) = writer(mode);
            connection.execute_batch(&format!("{}; begin immediate", insertion(NEW))).unwrap();
            connection.execute_batch(&format!("delete from ValidPaths where path = '{DATA}'")).unwrap();
            check_paths(directory.path(), &[DATA, APP, LIB, NEW]);
            connection.execute_batch("commit").unwrap();
            check_paths(directory.path(), &[APP, LIB, NEW]);
        }
    }

    #[test]
    fn a_dead_writers_log_is_read() {
        let (directory, connection) = writer("wal");
        connection.execute_batch("pragma wal_checkpoint; pragma wal_autocheckpoint = 0").unwrap();
        connection.execute_batch(&insertion(NEW)).unwrap();
        let all = [DATA, APP, LIB, NEW];
        check_paths(abandoned(&directory, &["", "-wal"]).path(), &all);
        check_paths(abandoned(&directory, &["", "-wal", "-shm"]).path(), &all);
        // Another connection's uncommitted rows, spilled into the log, do not count.
        connection.execute_batch("pragma cache_size = 1; begin").unwrap();
        connection.execute_batch("update ValidPaths set deriver = zeroblob(100000)").unwrap();
        connection.execute_batch(&format!("delete from ValidPaths where path = '{NEW}'")).unwrap();
        check_paths(abandoned(&directory, &["", "-wal"]).path(), &all);
        check_paths(abandoned(&directory, &["", "-wal", "-shm"]).path(), &all);
    }

    #[test]
    fn a_dead_writers_transaction_is_rolled_back() {
        let (directory, connection) = writer("delete");
        connection.execute_batch("pragma cache_size = 1; begin").unwrap();
        connection.execute_batch("update ValidPaths set deriver = zeroblob(100000)").unwrap();
        connection.execute_batch("delete from ValidPaths; delete from Refs").unwrap();
        let left = abandoned(&directory, &["", "-journal"]);
        assert!(fs::read(left.path().join("db.sqlite-journal")).unwrap().len() > 512);
        check_paths(left.path(), &[DATA, APP, LIB]);
    }

    /// A database that is read as unchanging changes nevertheless: what was read before does not count.
    #[test]
    fn a_writer_that_comes_meanwhile() {
        let directory = closed("wal");
        // The writer may take its time on a busy disk.
        let database = Database { wait: WAIT, ..open(directory.path()).unwrap() };
        let connection = std::cell::OnceCell::new();
        let answer = database.read(|rows| {
            let entries = rows.entries(&[])?;
            connection.get_or_init(|| {
                let connection = Connection::open(directory.path().join("db.sqlite")).unwrap();
                connection.execute_batch(&insertion(NEW)).unwrap();
                connection
            });
            Ok(entries.len())
        });
        assert_eq!(answer.unwrap(), 4);
    }

    #[test]
    fn any_file_name() {
        let directory = closed("wal");
        let name = directory.path().join(OsStr::from_bytes(b"50% of #1? &mode=rwc \xff:db"));
        fs::rename(directory.path().join("db.sqlite"), &name).unwrap();
        let link = directory.path().join("link");
        std::os::unix::fs::symlink(&name, &link).unwrap();
        for path in [&name, &link] {
            assert_eq!(paths(&open_file(path).unwrap().closure(&[]).unwrap()).len(), 3);
        }
        assert_eq!(listing(directory.path()).len(), 2);
    }

    #[test]
    fn candidates_are_those_of_the_text() {
        let directory = closed("delete");
        let database = open(directory.path()).unwrap();
        let text = format!("PATH={APP}/bin:{}:/nix/store/{}", &LIB[..43], "0".repeat(32));
        let candidates = database.candidates(text.as_bytes()).unwrap();
        let found = crate::store_paths_in(text.as_bytes(), "/nix/store", &candidates).unwrap();
        assert_eq!(found, roots(&[APP, LIB]));
        let unknown = format!("{NEW}/bin");
        let candidates = database.candidates(unknown.as_bytes()).unwrap();
        let error = crate::store_paths_in(unknown.as_bytes(), "/nix/store", &candidates).unwrap_err().to_string();
        let name = directory.path().join("db.sqlite");
        assert_eq!(error, format!("unknown store path: {NEW}: no path with this hash in {}", name.display()));
    }

    #[test]
    fn where_the_database_is() {
        for (store, expected) in [
            ("/nix/store", "/mnt/nix/var/nix/db/db.sqlite"),
            ("/gnu/store", "/mnt/var/guix/db/db.sqlite"),
            ("/home/me/nix/store", "/mnt/home/me/nix/var/nix/db/db.sqlite"),
        ] {
            assert_eq!(Database::default_path(&Store::new(store, "/mnt").unwrap()), Path::new(expected));
        }
        let root = tempfile::tempdir().unwrap();
        let store = Store::new("/nix/store", root.path()).unwrap();
        assert!(Database::of_store(&store).is_none());
        let path = Database::default_path(&store);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "not asked").unwrap();
        let database = Database::of_store(&store).unwrap();
        assert!(database.closure(&[]).is_err());
    }

    /// What is said of the database of [`content`] after these statements; FILE stands for its name.
    #[track_caller]
    fn check_error(statements: &str, asked: &[&str], expected: &str) {
        let (directory, connection) = writer("delete");
        connection.execute_batch(statements).unwrap();
        connection.close().unwrap();
        let error = open(directory.path()).and_then(|database| database.closure(&roots(asked))).unwrap_err();
        check_text(directory.path(), &error, expected);
    }

    #[track_caller]
    fn check_text(directory: &Path, error: &Error, expected: &str) {
        let name = directory.join("db.sqlite").display().to_string();
        assert_eq!(error.to_string().replace(&name, "FILE"), expected);
    }

    #[test]
    fn other_databases() {
        let ours = "expected the db.sqlite of Nix or Guix";
        let none = "drop table ValidPaths";
        check_error(none, &[], &format!("not a store database: FILE: found no table ValidPaths, {ours}"));
        check_error("drop table Refs", &[], &format!("not a store database: FILE: found no table Refs, {ours}"));
        check_error(
            "alter table ValidPaths drop column narSize",
            &[],
            &format!("not a store database: FILE: found no column narSize in table ValidPaths, {ours}"),
        );
        check_error(
            "update ValidPaths set path = '/gnu/store/x' where id = 3",
            &[APP],
            "database of another store: FILE: not a store path: \"/gnu/store/x\": it is outside the store /nix/store",
        );
    }

    #[test]
    fn roots_must_be_valid_and_in_the_store() {
        check_error("", &[APP, NEW], &format!("root absent from the store database: FILE: {NEW}"));
        let outside = "not a store path: \"/gnu/store/x\": it is outside the store /nix/store";
        check_error("", &["/gnu/store/x"], outside);
    }

    #[test]
    fn rows_that_are_no_good() {
        let damaged = |cause: &str| format!("damaged store database: FILE: {cause}");
        let set = |what: &str| format!("update ValidPaths set {what} where id = 7");
        let row = |cause: &str| damaged(&format!("row 7 of ValidPaths: {cause}"));
        check_error(&set("hash = 'md5:0'"), &[APP], &row(&format!("{APP}: not a sha256 NAR hash: \"md5:0\"")));
        check_error(&set("hash = x'00'"), &[APP], &row("found a blob, expected a NAR hash"));
        check_error(
            &set("path = cast(x'ff' as text)"),
            &[],
            &row("found bytes that are not UTF-8, expected a store path"),
        );
        check_error(&set("narSize = -1"), &[APP], &row(&format!("{APP}: found -1, expected a NAR size in bytes")));
        check_error(&set("narSize = 'x'"), &[], &row(&format!("{APP}: found a text, expected a NAR size in bytes")));
        let gone = damaged(&format!("{APP} refers to row 3 of ValidPaths, which is not there"));
        check_error("delete from ValidPaths where id = 3", &[APP], &gone);
        check_error("delete from ValidPaths where id = 3", &[], &gone);
        check_error(
            "insert into Refs values (3, 7)",
            &[LIB],
            &format!("cycle of references: FILE: {APP} -> {LIB} -> {APP}"),
        );
    }

    /// A view may have rows without end.
    #[test]
    fn a_view_is_no_table() {
        let (directory, connection) = writer("delete");
        connection
            .execute_batch("alter table Refs rename to Others; create view Refs as select * from Others")
            .unwrap();
        connection.close().unwrap();
        let expected = "not a store database: FILE: found a view Refs, expected the db.sqlite of Nix or Guix";
        check_text(directory.path(), &open(directory.path()).unwrap_err(), expected);
    }

    #[test]
    fn schema_versions() {
        let directory = closed("delete");
        for (version, is_known) in
            [("10", true), ("6\n", true), ("7", true), ("5", false), ("11", false), ("x", false), ("", false)]
        {
            fs::write(directory.path().join("schema"), version).unwrap();
            match open(directory.path()) {
                Ok(_) => assert!(is_known, "{version:?}"),
                Err(error) => {
                    assert!(!is_known, "{version:?}");
                    let schema = directory.path().join("schema");
                    let expected = format!(
                        "unknown schema of a store database: FILE: found version {version:?} in {}, expected 6 to 10",
                        schema.display()
                    );
                    check_text(directory.path(), &error, &expected);
                }
            }
        }
    }

    #[test]
    fn no_database() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("db.sqlite");
        check_text(
            directory.path(),
            &open(directory.path()).unwrap_err(),
            "cannot read: FILE: No such file or directory (os error 2)",
        );
        for text in ["", "hello", &"SQLite format 4\0".repeat(100)] {
            fs::write(&file, text).unwrap();
            check_text(
                directory.path(),
                &open(directory.path()).unwrap_err(),
                "not a store database: FILE: found no SQLite file, expected the db.sqlite of Nix or Guix",
            );
        }
        fs::remove_file(&file).unwrap();
        fs::create_dir(&file).unwrap();
        check_text(
            directory.path(),
            &open(directory.path()).unwrap_err(),
            "cannot read: FILE: Is a directory (os error 21)",
        );
    }

    #[test]
    fn truncated_and_overwritten() {
        for mode in ["delete", "wal"] {
            let directory = closed(mode);
            let file = directory.path().join("db.sqlite");
            let bytes = fs::read(&file).unwrap();
            for end in (0..bytes.len()).step_by(512) {
                fs::write(&file, &bytes[..end]).unwrap();
                let error = open(directory.path()).and_then(|database| database.closure(&[])).unwrap_err();
                let expected = match end {
                    0 => {
                        "not a store database: FILE: found no SQLite file, expected the db.sqlite of Nix or Guix".into()
                    }
                    _ => format!("damaged store database: FILE: found {end} bytes, expected {}", bytes.len()),
                };
                check_text(directory.path(), &error, &expected);
            }
            let mut noise = bytes.clone();
            noise[bytes.len() / 2..].fill(0xa5);
            fs::write(&file, noise).unwrap();
            let error = open(directory.path()).and_then(|database| database.closure(&[])).unwrap_err();
            check_text(directory.path(), &error, "damaged store database: FILE: database disk image is malformed");
        }
    }
}
