//! The inside of a run: puts an overlay over a base image's files, runs a script as root in it, and sends back what
//! changed as a layer.
//!
//! A program that calls [`machine::main`] as process 1 of a virtual machine, or [`namespace::main`] as a child of
//! whoever wants a layer, becomes a stage: a root of memory that holds the base in `/lower`, the store, and in `/disk` the
//! folders `mnt`, `layer` and `work`. From there on both do the same, and speak [frames](Frame) to the outside.
//!
//! A stage has one thread: it forks. It trusts its caller, and nothing that it finds in images.

mod chunks;
mod error;
mod frame;
mod job;
pub mod machine;
mod mounts;
pub mod namespace;
mod pack;
mod program;
mod root;
mod scripts;
mod unpack;
mod upper;
mod work;

pub use chunks::{ChunkReader, ChunkWriter};
pub use error::{Error, Result};
pub use frame::{Channel, Ended, Failed, Failure, Frame, Packed, Space};
pub use job::{Bind, Hooks, Job, Phase, StoreJob};
pub use pack::HOLES;
pub use unpack::is_overlays;

/// Where the files of the base are.
const LOWER: &str = "/lower";
/// Where mount points are that the base may not have.
const POINTS: &str = "/points";
/// Where the overlay is put together.
const DISK: &str = "/disk";
