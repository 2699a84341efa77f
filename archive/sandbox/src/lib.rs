//! Runs a command confined to one writable directory, as the caller or as a fake root.
//!
//! [`run_confined`] makes the best sandbox that the machine allows, runs a command in it until no process that it
//! started is left, and returns its exit status. With [`Privileges::FakeRoot`] the command may chown files, make device
//! nodes and set file capabilities: a user namespace or a seccomp notifier lets it, and [`Ownership`] holds the
//! result.
//!
//! A sandbox has a network, interprocess communication, a host name and a /proc of its own, and no keyrings;
//! [`SandboxOptions`] ask for more or less. It guards against mistakes, not against malice: the files of its caller can be
//! read, and sockets that have a name among them are in reach.

mod bpf;
mod capability;
mod census;
mod child;
mod confine;
mod death_signal;
mod fake;
mod fd_broker;
#[cfg(test)]
mod fixtures;
mod ids;
mod inner_root;
mod keyring;
mod namespace;
mod options;
mod ownership;
mod reclaim;
mod report;
mod run;
pub mod signal;
mod step;
pub mod system;
mod tail;
mod watch;

pub use capability::{KEPT_CAPABILITIES, bound_capabilities};
pub use death_signal::kill_with_us;
pub use fake::Device;
pub use ids::Ids;
pub use inner_root::{DEVICES, InnerRoot, LINKS, MountPoints, SCRATCH};
pub use options::{Bounds, Exceeded, SandboxMode, SandboxOptions};
pub use ownership::{FileFacts, Ownership};
pub use run::{Ended, Error, Job, Privileges, Weakness, WorkDirs, run_confined};
pub use step::Step;
pub use tail::{Tail, describe_exit, quote};
