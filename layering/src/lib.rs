//! Which store paths share a layer: from a closure to a plan of at most so many layers.
//!
//! An image has room for about a hundred layers and a closure may have a thousand paths, so some must share one. A
//! [`Strategy`] decides; [`plan()`] runs it; a [`Plan`] is the result and a file, described in FORMAT.md beside this
//! crate. The library reads no store and asks for no sizes: it knows paths and references.
//!
//! ```
//! use layerstone_closure::{Closure, PathInfo};
//! use layerstone_layering::{Strategy, plan};
//! use layerstone_stage::StorePath;
//! use std::collections::BTreeSet;
//! use std::num::NonZeroUsize;
//!
//! let libc = StorePath::parse("/nix/store/516z65g5d2g7yfc9yv6n2g1q21jqv0m1-libc")?;
//! let bash = StorePath::parse("/nix/store/4v5rpdfa0bahbxnfk1z5mykrsqrl92pv-bash")?;
//! let info = |path: &StorePath, references: &[&StorePath]| PathInfo {
//!     path: path.clone(),
//!     nar_hash: None,
//!     nar_size: None,
//!     references: references.iter().copied().cloned().collect(),
//! };
//! let closure = Closure { graph: vec![info(&bash, &[&libc]), info(&libc, &[])] };
//!
//! let plan = plan(&closure, Strategy::Popularity, NonZeroUsize::MAX, &BTreeSet::new())?;
//! assert_eq!(plan.layers, [[libc], [bash]]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod count;
mod error;
mod file;
mod graph;
mod plan;
mod popularity;
#[cfg(test)]
mod sample;
mod split;

pub use error::{Error, Result};
pub use file::{FORMAT, Plan, VERSION};
pub use plan::{Strategy, plan};
