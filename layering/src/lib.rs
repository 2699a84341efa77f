//! Plans which store paths share a layer: makes a plan of at most so many layers from a closure.
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

#![forbid(unsafe_code)]

mod cap;
mod change_count;
mod check;
mod churn;
mod cluster;
mod compare;
mod count;
mod draft;
mod error;
mod explain;
mod file;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod graph;
mod layer;
mod least_churn;
mod merge;
mod min_size;
mod multi;
mod order;
mod pattern;
mod pinned;
mod pipeline;
mod plan;
mod popularity;
mod previous;
mod rates;
#[cfg(test)]
mod sample;
mod size;
mod strategy;

pub use change_count::{ChangeCount, Contents};
pub use check::{Finding, check};
pub use compare::{ComparedLayer, Comparison, Estimate, LayerState, Renamed, Sum, compare};
pub use draft::{Draft, PLAN_FORMAT, PLAN_SCHEMA, PLAN_VERSION};
pub use error::{Error, Result};
pub use explain::{Explanation, LayerCost, explain};
pub use file::Plan;
pub use multi::plans;
pub use pattern::{Pattern, Patterns};
pub use pipeline::Pipeline;
pub use plan::{PlanBase, Settings, plan};
pub use previous::Previous;
pub use rates::Rates;
pub use strategy::Strategy;
