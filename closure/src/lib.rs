//! Which store paths refer to which.

mod file;

pub use file::{Closure, FORMAT, PathInfo, VERSION};
