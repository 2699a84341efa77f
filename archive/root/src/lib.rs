//! The customisation layer: contents merged into one tree, a script run in it, the tar of that, and the store paths that
//! it refers to.
//!
//! [`build`] does all of it. Contents get into the tree as links or as copies ([`Mode`]), ready ones ([`Helper`]) beside
//! them, and over a base image the layer goes through the base's links to folders. [`build_nix_db`] makes the layer from
//! which Nix knows the store paths. This crate does not know how store layers are made, nor of an image below
//! its layer more than the files.

mod chroot;
mod copy;
mod error;
mod fill;
mod item;
mod merge;
mod nix_db;
mod over;
mod owned;
mod perms;
mod read;
mod ready;
mod root;
#[cfg(test)]
mod sample;
mod script;
mod tree;
mod tree_source;
mod trees;
mod users;

pub use error::{Error, Result, Side};
pub use fill::write_helper;
pub use merge::{Conflict, Mode};
pub use nix_db::{EARLIER_FILES, NixDbBase, NixDbPlace, NixDbSpec, build_nix_db, nix_db_folder};
pub use perms::{Rule, Which};
pub use ready::Helper;
pub use root::{Customised, FakeRoot, RootSpec, Warning, build};
pub use script::Script;
pub use tree_source::TreeSource;
pub use trees::{MergedTrees, merge_trees};
