//! The customisation layer: contents merged into one tree, a script run in it, the tar of that, and the store paths that
//! it refers to.
//!
//! [`build`] does all of it. This crate does not know how store layers are made, nor what image its layer is for.

mod copy;
mod error;
mod item;
mod merge;
mod read;
mod root;
#[cfg(test)]
mod sample;
mod sandbox;
mod script;
mod tail;
mod tree;

pub use error::{Error, Result, Side};
pub use merge::{Conflict, Mode};
pub use root::{Customised, RootSpec, Warning, build};
pub use script::Script;
