//! Makes closures: from references graphs as Nix and its neighbours write them, from their databases, and by scanning
//! the files of a store.
//!
//! A [`Closure`] has four sources. [`ReferencesGraph::read`] takes what a tool wrote, in any of the forms that
//! FORMAT.md lists, and [`ReferencesGraph::closure`] keeps what some roots reach. [`Database`] reads what Nix or Guix
//! keep of their store. [`scan_store`] asks nobody and reads the store itself. And [`Closure::read`] reads what one of
//! the three wrote.
//!
//! ```
//! use layerstone_closure::ReferencesGraph;
//! use layerstone_store::StorePath;
//!
//! let json = br#"[
//!     {"path": "/nix/store/5wqnl34l8k8y01bqi4livgq7x9r214kc-ssl", "references":
//!         ["/nix/store/516z65g5d2g7yfc9yv6n2g1q21jqv0m1-libc"]},
//!     {"path": "/nix/store/516z65g5d2g7yfc9yv6n2g1q21jqv0m1-libc", "references": []},
//!     {"path": "/nix/store/17ql70zj7ri5a0i87244d6dq5ih8q0fr-unused", "references": []}
//! ]"#;
//! let root = StorePath::parse("/nix/store/5wqnl34l8k8y01bqi4livgq7x9r214kc-ssl")?;
//! let closure = ReferencesGraph::parse(json, "web.json")?.closure(&[root])?;
//! let names: Vec<&str> = closure.graph.iter().map(|info| info.path.name()).collect();
//! assert_eq!(names, ["libc", "ssl"]);
//! # Ok::<(), layerstone_closure::Error>(())
//! ```
//!
//! Other stages use the scanner too: [`Candidates`] are the store paths to look for, a [`Scanner`] finds them in bytes,
//! [`scan_tree`] in a tree of files, and [`store_paths_in`] in a text such as an image config. [`write_database`] makes
//! the database of a store that holds a closure.
//!
//! This crate knows nothing of layers or images.

#![forbid(unsafe_code)]

mod candidates;
mod chain;
#[cfg(feature = "nix-db")]
mod db;
#[cfg(not(feature = "nix-db"))]
#[path = "no_db.rs"]
mod db;
mod db_path;
mod difference;
mod error;
mod file;
mod format;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod graph;
mod measure;
mod nar;
mod origin;
mod package;
mod reach;
mod scan;
mod store_scan;
mod text;
mod tree;
mod verify;

pub use candidates::Candidates;
pub use chain::{Chains, chains};
pub use db::{Database, write_database};
pub use db_path::Earlier;
pub use difference::{Change, Item, PathDiff, Total, compare_versions, difference};
pub use error::{Error, Result};
pub use file::{CLOSURE_FORMAT, CLOSURE_SCHEMA, CLOSURE_VERSION, Closure, PathInfo};
pub use graph::ReferencesGraph;
pub use measure::{measure, measure_nars};
pub use nar::{nar_hash, nar_sha512, nar_size};
pub use origin::Origin;
pub use package::Package;
pub use scan::{Scanner, scan_tree};
pub use store_scan::scan_store;
pub use text::store_paths_in;
pub use verify::{Mismatch, verify};
