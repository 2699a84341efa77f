//! Which store paths share a layer: from a closure to a plan of at most so many layers.
//!
//! An image has room for about a hundred layers and a closure may have a thousand paths, so some must share one. A
//! [`Strategy`] decides; [`plan()`] runs it; a [`Plan`] is the result and a file, described in FORMAT.md beside this
//! crate. The library reads no store: it knows paths, their sizes and references.
//!
//! ```
//! use layerstone_closure::{Closure, PathInfo};
//! use layerstone_layering::{Settings, plan};
//! use layerstone_store::StorePath;
//! use std::num::NonZeroUsize;
//!
//! let libc = StorePath::parse("/nix/store/516z65g5d2g7yfc9yv6n2g1q21jqv0m1-libc")?;
//! let bash = StorePath::parse("/nix/store/4v5rpdfa0bahbxnfk1z5mykrsqrl92pv-bash")?;
//! let info = |path: &StorePath, size: u64, references: &[&StorePath]| PathInfo {
//!     path: path.clone(),
//!     nar_hash: None,
//!     nar_size: Some(size),
//!     references: references.iter().copied().cloned().collect(),
//! };
//! let closure = Closure { graph: vec![info(&bash, 1_000, &[&libc]), info(&libc, 30_000, &[])] };
//!
//! let plan = plan(&closure, &Settings::new(NonZeroUsize::MAX))?;
//! assert_eq!(plan.layers, [[libc], [bash]]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod check;
mod churn;
mod cluster;
mod compare;
mod count;
mod error;
mod explain;
mod file;
mod graph;
mod kept;
mod layer;
mod least_churn;
mod merge;
mod order;
mod own;
mod pattern;
mod pipeline;
mod plan;
mod popularity;
mod rates;
#[cfg(test)]
mod sample;
mod shared;
mod size;
mod small;
mod split;
mod strategy;

pub use check::{Draft, Finding, check};
pub use compare::{ComparedLayer, Comparison, Renamed, State, Sum, compare};
pub use error::{Error, Result};
pub use explain::{Explanation, LayerCost, explain};
pub use file::{FORMAT, Plan, VERSION};
pub use kept::Previous;
pub use pattern::{Pattern, Patterns};
pub use pipeline::Pipeline;
pub use plan::{Base, Settings, plan};
pub use rates::Rates;
pub use shared::plans;
pub use strategy::Strategy;
