//! Running a script as root over a base image, and what it changes as a layer.
//!
//! A [`Run`] says what is to be done, and [`run`] does it in one of several [`Backend`]s, which share all that happens
//! [inside](layerstone_guest): a virtual machine, a user namespace, or namespaces of root's own. Nothing of a run has a
//! name outside: disks are anonymous files, the way back is a pipe, mounts are in memory of a namespace, and whatever
//! works for us dies with us.

mod backend;
mod base;
mod choice;
mod console;
mod error;
mod initramfs;
mod kernel;
mod limits;
mod machine;
mod modules;
mod namespace;
mod program;
mod receive;
mod run;
mod store;

pub use backend::Backend;
pub use base::Base;
pub use choice::{Choice, Passed, probe, run};
pub use error::{Error, Result};
pub use kernel::Kernel;
pub use layerstone_guest::{Hooks, Phase};
pub use layerstone_sandbox::{Interrupts, end_by};
pub use namespace::INSIDE;
pub use run::{Machine, Ran, Run, ScriptStore};
