//! Runs a script as root over a base image, and writes its changes as a layer.
//!
//! [`run`] executes a [`Run`] in one of several [`Backend`]s: a virtual machine, a user namespace, or namespaces of root's
//! own. The [guest](layerstone_guest) is the same in all of them. A run leaves nothing behind: disks are anonymous files,
//! the guest answers through a pipe, mounts live in a namespace, and child processes die with this one.
//! [`write_layer_image`] writes the file system of one layer, for whoever mounts it.

#![forbid(unsafe_code)]

mod backend;
mod console;
mod error;
mod file_system;
mod kernel;
mod layer_image;
mod lower;
#[cfg(feature = "vm")]
mod machine;
#[cfg(not(feature = "vm"))]
#[path = "no_machine.rs"]
mod machine;
mod namespace;
mod receive;
mod run;
mod select;

pub use backend::{Backend, Unavailable};
pub use error::{Error, Result};
pub use kernel::Kernel;
pub use layer_image::write_layer_image;
pub use layerstone_guest::{Hooks, Phase};
pub use layerstone_sandbox::signal;
pub use lower::LowerImage;
pub use namespace::INSIDE;
pub use run::{Machine, Ran, Run, ScriptStore};
pub use select::{Choice, probe, run};
