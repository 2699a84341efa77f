//! Defines the errors of this crate.

use layerstone_store::{NarHash, StorePath};
use std::path::PathBuf;

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of the closure stage. `name` is the file (or files, or store) that the graph came from.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Reading, writing, or the form of a file.
    #[error(transparent)]
    Stage(#[from] layerstone_store::Error),
    /// A graph has two entries for one path, or the closure of a path was asked for that the graph does not have.
    #[error("{what} the references graph: {name}: {path}")]
    Path {
        /// What is wrong: `root absent from`.
        what: &'static str,
        /// Where the graph came from.
        name: String,
        /// The path.
        path: StorePath,
    },
    /// A path refers to one that the graph does not have.
    #[error("reference absent from the references graph: {name}: {referrer} refers to {reference}")]
    Absent {
        /// Where the graph came from.
        name: String,
        /// The path that is there.
        referrer: StorePath,
        /// The path that is not.
        reference: StorePath,
    },
    /// Paths refer to each other in a ring. A path that refers to itself is no cycle.
    #[error("cycle of references: {name}: {}", chain.iter().map(StorePath::as_str).collect::<Vec<_>>().join(" -> "))]
    Cycle {
        /// Where the graph came from.
        name: String,
        /// Each path refers to the next; the last is the first again, the smallest of all.
        chain: Vec<StorePath>,
    },
    /// A path was asked for that the closure does not have.
    #[error("not in the closure: {path}")]
    NotThere {
        /// The path.
        path: StorePath,
    },
    /// A path should be left out that the closure does not have.
    #[error("cannot exclude: {path}: not in the closure")]
    NotExcluded {
        /// The path.
        path: StorePath,
    },
    /// A closure cannot be compared with a store, as it does not say what the files should be.
    #[error("closure without NAR hashes: found none of {path}, expected one of every path")]
    NoHash {
        /// The first path without one.
        path: StorePath,
    },
    /// Two graphs say different things of one path.
    #[error("references graphs disagree: {first} and {second}: different {what} of {path}")]
    Conflict {
        /// Where the one graph came from.
        first: String,
        /// Where the other came from.
        second: String,
        /// What differs: `references`, `NAR hash` or `NAR size`.
        what: &'static str,
        /// The path.
        path: StorePath,
    },
    /// A file is not of a kind that a store path can hold.
    #[error("cannot be in a store path: {}: found a {kind}, expected a file, a directory or a link", path.display())]
    Special {
        /// The file.
        path: PathBuf,
        /// What it is: `socket`, `named pipe`, `block device`, `character device`.
        kind: &'static str,
    },
    /// A file had another size when it was read than a moment before.
    #[error("changed while it was read: {}: found {found} bytes, expected {expected}", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
        /// Its size in bytes before it was opened.
        expected: u64,
        /// Its size in bytes when reading ended.
        found: u64,
    },
    /// A file is no database of Nix or Guix.
    #[error("not a store database: {}: {found}, expected the db.sqlite of Nix or Guix", path.display())]
    NotDatabase {
        /// The file.
        path: PathBuf,
        /// What was found.
        found: String,
    },
    /// A database is of a version that nobody here knows.
    #[error(
        "unknown schema of a store database: {}: found version {found:?} in {}, expected {expected}",
        path.display(),
        file.display()
    )]
    Schema {
        /// The database.
        path: PathBuf,
        /// The file that says its version.
        file: PathBuf,
        /// What that file says.
        found: String,
        /// The supported versions.
        expected: String,
    },
    /// A database lacks a part or holds what it cannot.
    #[error("damaged store database: {}: {cause}", path.display())]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What is wrong, and where.
        cause: String,
    },
    /// A database was locked, or changed again and again, for as long as was waited.
    #[error("store database in use: {}: another program locks it, waited in vain", path.display())]
    Locked {
        /// The database.
        path: PathBuf,
    },
    /// The program was built without the feature `nix-db`.
    #[error("cannot use the store database: {}: this program was built without SQLite (feature nix-db)", path.display())]
    NoSqlite {
        /// The database.
        path: PathBuf,
    },
    /// SQLite cannot read or write a database for another reason.
    #[cfg(feature = "nix-db")]
    #[error("cannot {action} the store database: {}: {cause}", path.display())]
    Sqlite {
        /// What was tried: `read` or `write`.
        action: &'static str,
        /// The database.
        path: PathBuf,
        /// SQLite's reason, in one text with what lies behind it.
        cause: rusqlite::Error,
    },
    /// A database has a path that is not in the store.
    #[error("database of another store: {}: {source}", path.display())]
    OtherStore {
        /// The database.
        path: PathBuf,
        /// What the path is, and the store.
        source: layerstone_store::Error,
    },
    /// A database has another hash of a path than a closure.
    #[error("registered with another hash: {path}: found {found} in {}, expected {expected}", database.display())]
    OtherHash {
        /// The path.
        path: StorePath,
        /// The database.
        database: PathBuf,
        /// The hash in the database.
        found: NarHash,
        /// The hash in the closure.
        expected: NarHash,
    },
    /// The closure of a path was asked for that the database does not have.
    #[error("root absent from the store database: {}: {root}", path.display())]
    NotValid {
        /// The database.
        path: PathBuf,
        /// The root.
        root: StorePath,
    },
    /// A text names an unknown store path.
    #[error("unknown store path: {text}: no path with this hash in {name}")]
    Unknown {
        /// The store path as it stands in the text.
        text: String,
        /// Where the candidates came from.
        name: String,
    },
}
