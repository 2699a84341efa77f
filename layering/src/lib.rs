//! Which store paths share a layer.

mod file;

pub use file::{FORMAT, Plan, VERSION};
