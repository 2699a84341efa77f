//! The customisation layer: contents merged into one tree, a script run in it, the tar of that, and the store paths that
//! it refers to.
//!
//! [`build`] does all of it. Contents get into the tree as links or as copies ([`Mode`]), and over a base image the layer
//! goes through the base's links to folders. [`build_nix_db`] makes the layer from which Nix knows the store paths. This crate does not know how store layers are made, nor of an image below
//! its layer more than the files.

mod copy;
mod error;
mod item;
mod merge;
mod nix_db;
mod over;
mod read;
mod root;
#[cfg(test)]
mod sample;
mod sandbox;
mod script;
mod tail;
mod tree;
mod way;

pub use error::{Error, Result, Side};
pub use merge::{Conflict, Mode};
pub use nix_db::{EARLIER_FILES, NixDbBase, NixDbPlace, NixDbSpec, build_nix_db, nix_db_folder};
pub use root::{Customised, RootSpec, Warning, build};
pub use script::Script;
