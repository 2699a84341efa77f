//! Runs a script as root over a base image, inside a virtual machine or namespaces, and sends back its changes as a layer.
//!
//! A program that calls [`machine::main`] as process 1 of a virtual machine, or [`namespace::main`] as a child process,
//! becomes a guest: its root is a tmpfs with the base in `/lower`, the store, and in `/disk` the directories `mnt`,
//! `layer` and `work`. From there on both do the same: they mount an overlay, run a [`Request`], and send
//! [frames](Frame) to the host.
//!
//! A guest has one thread, since it forks. It trusts its caller, and nothing that it finds in images.

#![forbid(unsafe_code)]

mod chunked;
mod error;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod machine;
mod mounts;
pub mod namespace;
mod program;
mod protocol;
mod request;
mod root;
mod run;
mod scripts;
mod send_layer;
mod unpack;
mod upperdir;

pub use chunked::{ChunkReader, ChunkWriter};
pub use error::{Error, Result};
pub use protocol::{Channel, DiskUsage, Done, Failed, Failure, Frame};
pub use request::{Bind, Hooks, Phase, Request, StoreRequest};
pub use unpack::is_overlays;

/// Where the files of the base are.
const LOWER: &str = "/lower";
/// Where mount points are that the base may not have.
const MOUNT_POINTS: &str = "/points";
/// Where the overlay is put together.
const DISK: &str = "/disk";
