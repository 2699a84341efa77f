//! Opens another program's SQLite database without writing beside it and without missing what a log holds.
//!
//! Left to itself, SQLite leaves files behind: whoever reads a database with a write-ahead log makes `-wal` and `-shm`
//! where they are absent, and without the right to write does not remove them again; in a directory that cannot be written
//! it refuses. What is there decides how it opens (<https://sqlite.org/wal.html>, section 5;
//! <https://sqlite.org/lockingv3.html>):
//!
//! | changes go to | beside the database | opened |
//! |---|---|---|
//! | the database | no journal, or that of a living writer | read-only; SQLite's locks stop writers meanwhile |
//! | the database | a hot journal: its writer died | a copy of both, in which the transaction is rolled back |
//! | a log | no `-wal`, or an empty one without `-shm` | as unchanging, and looked at again at the end |
//! | a log | `-wal` and `-shm` | read-only, the `-shm` too: writers go on, and the log of a dead one is read |
//! | a log | `-wal` with data, without `-shm` | a copy of both |
//!
//! Where there is a log, the database has a read lock of ours from the first look on. Under it nobody can remove or cut
//! the log, which the last writer does when it closes: one that came and went has left a log to be seen.

use crate::db::header::Header;
use crate::{Error, Result};
use layerstone_store::{Error as StageError, Scratch};
use rusqlite::{Connection, ErrorCode, OpenFlags, ffi};
use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::io::Errno;
use std::ffi::OsString;
use std::fmt::Write;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A database opened in one state, with a transaction that keeps it so.
pub(super) struct Access {
    /// Dropped before the lock: a process that closes any descriptor of a file loses its locks on it
    /// (fcntl_locking(2)), and dropped before the copy that it reads.
    pub connection: Connection,
    /// What the files were like before, where SQLite does not look.
    watched: Option<(PathBuf, State)>,
    _copy: Option<Scratch>,
    _lock: Option<File>,
}

impl Access {
    /// Opens a database; none if it is locked or changes meanwhile. SQLite waits so long for its own locks.
    pub fn open(path: &Path, wait: Duration) -> Result<Option<Access>> {
        let real = path.canonicalize().map_err(StageError::io("read", path))?;
        Target { path, real: &real, wait }.open()
    }

    /// Whether all that was read was there at one time; to be asked after reading.
    pub fn is_unchanged(&self) -> bool {
        self.watched.as_ref().is_none_or(|(real, state)| State::of(real).is_ok_and(|now| now == *state))
    }
}

/// What to say of an error of SQLite's about this database.
pub(super) fn failure(path: &Path) -> impl Fn(rusqlite::Error) -> Error {
    move |source| {
        let path = path.to_owned();
        match source.sqlite_error_code() {
            Some(ErrorCode::DatabaseBusy) => Error::Locked { path },
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => {
                let cause = missing_bytes(&path).unwrap_or_else(|| source.to_string());
                Error::Damaged { path, cause }
            }
            _ => Error::Sqlite { action: "read", path, cause: source },
        }
    }
}

/// What is missing at the end of a database, if something is.
fn missing_bytes(path: &Path) -> Option<String> {
    let file = File::open(path).ok()?;
    let (found, expected) = (file.metadata().ok()?.len(), Header::read(&file).ok()??.bytes);
    (found < expected).then(|| missing(found, expected))
}

fn missing(found: u64, expected: u64) -> String {
    format!("found {found} bytes, expected {expected}")
}

/// A database as messages call it, and with all links followed: SQLite looks for files beside the latter.
#[derive(Clone, Copy)]
struct Target<'a> {
    path: &'a Path,
    real: &'a Path,
    wait: Duration,
}

impl Target<'_> {
    fn open(self) -> Result<Option<Access>> {
        let file = File::open(self.real).map_err(self.unreadable())?;
        if !self.has_log(&file)? {
            return self.with_journal(file);
        }
        // The log may be given up until the lock is there.
        if !self.lock(&file)? || !self.has_log(&file)? {
            return Ok(None);
        }
        let state = self.state()?;
        let (parameter, watched) = match (state.log, state.index) {
            (Some(_), Some(_)) => {
                // What cannot be read, SQLite does not say.
                for beside in ["-wal", "-shm"].map(|suffix| with_suffix(self.real, suffix)) {
                    File::open(&beside).map_err(StageError::io("read", &beside))?;
                }
                ("readonly_shm=1", None)
            }
            (Some(log), None) if log.size > 0 => return self.copy(&file, "-wal"),
            _ => ("immutable=1", Some((self.real.to_owned(), state))),
        };
        let connection = self.connect(self.real, OpenFlags::SQLITE_OPEN_READ_ONLY, parameter)?;
        if watched.is_some() {
            self.check_size(&connection)?;
        }
        Ok(Some(Access { connection, watched, _copy: None, _lock: Some(file) }))
    }

    fn with_journal(self, file: File) -> Result<Option<Access>> {
        // Closed later, it would end SQLite's locks.
        drop(file);
        match self.connect(self.real, OpenFlags::SQLITE_OPEN_READ_ONLY, "mode=ro") {
            Err(Error::Sqlite { cause, .. }) if is_hot_journal(&cause) => {
                let file = File::open(self.real).map_err(self.unreadable())?;
                if self.lock(&file)? { self.copy(&file, "-journal") } else { Ok(None) }
            }
            connection => {
                let connection = connection?;
                self.check_size(&connection)?;
                Ok(Some(Access { connection, watched: None, _copy: None, _lock: None }))
            }
        }
    }

    /// Opens a copy of the database and of a file beside it. Both are read under the lock, the database through the
    /// descriptor that holds it.
    fn copy(self, file: &File, suffix: &str) -> Result<Option<Access>> {
        let (state, beside) = (self.state()?, with_suffix(self.real, suffix));
        let other = match File::open(&beside) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(StageError::io("read", &beside))?,
        };
        let scratch = Scratch::create(&std::env::temp_dir())?;
        let copy = scratch.path().join("db.sqlite");
        for (mut from, to) in [(file, copy.clone()), (&other, with_suffix(&copy, suffix))] {
            let copied = File::create(&to).and_then(|mut to| io::copy(&mut from, &mut to));
            copied.map_err(StageError::io("write", &to))?;
        }
        if self.state()? != state {
            return Ok(None);
        }
        let connection = self.connect(&copy, OpenFlags::SQLITE_OPEN_READ_WRITE, "mode=rw")?;
        Ok(Some(Access { connection, watched: None, _copy: Some(scratch), _lock: None }))
    }

    /// A connection with a transaction that has begun to read.
    fn connect(self, file: &Path, flags: OpenFlags, parameter: &str) -> Result<Connection> {
        let flags = flags | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connect = || {
            let connection = Connection::open_with_flags(uri(file, parameter), flags)?;
            connection.busy_timeout(self.wait)?;
            connection.execute_batch("begin; select 1 from sqlite_schema")?;
            Ok(connection)
        };
        connect().map_err(failure(self.path))
    }

    /// Checks that the last page is complete, which SQLite does not: for it, what is missing there is zero. Not to be
    /// asked of a database with a log, which may hold the last pages.
    fn check_size(self, connection: &Connection) -> Result<()> {
        let size = "select page_count * page_size from pragma_page_count, pragma_page_size";
        let expected: i64 = connection.query_row(size, [], |row| row.get(0)).map_err(failure(self.path))?;
        let expected = expected.unsigned_abs();
        let found = self.real.metadata().map_err(self.unreadable())?.len();
        if found < expected {
            return Err(Error::Damaged { path: self.path.to_owned(), cause: missing(found, expected) });
        }
        Ok(())
    }

    fn has_log(self, file: &File) -> Result<bool> {
        match Header::read(file).map_err(self.unreadable())? {
            Some(header) => Ok(header.has_log),
            None => Err(Error::NotDatabase { path: self.path.to_owned(), found: "found no SQLite file".to_owned() }),
        }
    }

    /// Takes a read lock on the whole file, under which nobody can have or take SQLite's lock for writing to it or for
    /// the end of its log; false if somebody has.
    fn lock(self, file: &File) -> Result<bool> {
        match fcntl_lock(file, FlockOperation::NonBlockingLockShared) {
            Err(Errno::AGAIN | Errno::ACCESS) => Ok(false),
            Err(error) => Err(StageError::io("lock", self.path)(error.into()))?,
            Ok(()) => Ok(true),
        }
    }

    fn state(self) -> Result<State> {
        Ok(State::of(self.real).map_err(self.unreadable())?)
    }

    fn unreadable(self) -> impl FnOnce(io::Error) -> StageError {
        StageError::io("read", self.path)
    }
}

/// The files of a database as they are at a moment; those that are absent have none.
#[derive(Clone, Copy, PartialEq, Eq)]
struct State {
    database: Option<Stamp>,
    /// The write-ahead log.
    log: Option<Stamp>,
    /// Its index, which its readers and writers share.
    index: Option<Stamp>,
    journal: Option<Stamp>,
}

/// What changes with a file.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl State {
    fn of(database: &Path) -> io::Result<State> {
        let stamp = |suffix| match with_suffix(database, suffix).metadata() {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            metadata => metadata
                .map(|of| Some(Stamp { inode: of.ino(), size: of.len(), modified: (of.mtime(), of.mtime_nsec()) })),
        };
        Ok(State { database: stamp("")?, log: stamp("-wal")?, index: stamp("-shm")?, journal: stamp("-journal")? })
    }
}

/// Whether there is a transaction to be rolled back, which a reader may not do.
fn is_hot_journal(error: &rusqlite::Error) -> bool {
    error.sqlite_error().is_some_and(|error| error.extended_code == ffi::SQLITE_READONLY_ROLLBACK)
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    PathBuf::from(name)
}

/// A file's name with a parameter, as SQLite takes it (<https://sqlite.org/uri.html>).
pub(super) fn uri(file: &Path, parameter: &str) -> String {
    let mut uri = "file:".to_owned();
    for &byte in file.as_os_str().as_bytes() {
        match byte {
            b'/' | b'-' | b'_' | b'.' | b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' => uri.push(char::from(byte)),
            _ => write!(uri, "%{byte:02x}").expect("a string takes all that is written to it"),
        }
    }
    format!("{uri}?{parameter}")
}
