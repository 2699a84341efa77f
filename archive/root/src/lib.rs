//! The customisation layer: contents merged into one tree, a script run in it, the tar of that, and the store paths that
//! it refers to.
//!
//! [`build`] does all of it. This crate does not know how store layers are made, nor what image its layer is for.

mod error;
mod item;
mod merge;
mod root;
mod sandbox;
mod script;
mod tail;

pub use error::{Error, Result};
pub use merge::Conflict;
pub use root::{Customised, RootSpec, Warning, build};
pub use script::Script;
