//! Running a script where it can write nothing but a folder, as itself or as a root who is none.
//!
//! [`run`] makes the best sandbox that the machine allows, runs a command in it until nothing that it started is left, and
//! tells how it ended. As [`Power::FakeRoot`] the command may give files to others, make device nodes and set file
//! capabilities, in a user namespace or in [our own books](fake); [`Ownership`] says what became of it.

mod bond;
mod child;
mod confine;
pub mod fake;
mod ids;
mod inner_root;
mod opener;
mod ownership;
mod report;
mod run;
mod settle;
pub mod signal;
pub mod system;
mod tail;
#[cfg(test)]
mod trial;

pub use bond::die_with_us;
pub use confine::Step;
pub use ids::Ids;
pub use inner_root::{DEVICES, InnerRoot, LINKS, MountPoints, SCRATCH};
pub use ownership::{Facts, Ownership};
pub use run::{Ended, Error, Place, Power, run};
