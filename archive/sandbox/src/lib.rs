//! Runs a command confined to one writable directory, as the caller or as a fake root.
//!
//! [`run_confined`] makes the best sandbox that the machine allows, runs a command in it until no process that it
//! started is left, and returns its exit status. With [`Privileges::FakeRoot`] the command may chown files, make device
//! nodes and set file capabilities: a user namespace or a seccomp notifier lets it, and [`Ownership`] holds the
//! result.
//!
//! This guards against mistakes, not against malice: the network and the sockets of other processes stay in reach.

mod child;
mod confine;
mod death_signal;
mod fake;
mod fd_broker;
#[cfg(test)]
mod fixtures;
mod ids;
mod inner_root;
mod ownership;
mod reclaim;
mod report;
mod run;
pub mod signal;
mod step;
pub mod system;
mod tail;

pub use death_signal::kill_with_us;
pub use fake::Device;
pub use ids::Ids;
pub use inner_root::{DEVICES, InnerRoot, LINKS, MountPoints, SCRATCH};
pub use ownership::{FileFacts, Ownership};
pub use run::{Ended, Error, Privileges, WorkDirs, run_confined};
pub use step::Step;
pub use tail::{Tail, describe_exit, quote};
