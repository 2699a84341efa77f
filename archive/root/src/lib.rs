//! Makes the customisation layer of an image: contents merged into one tree, scripts run in it, a tar of that, and the
//! store paths that it refers to.
//!
//! [`build`] does all of it from an image's spec. Contents get into the tree as symlinks or as copies, helpers (`fakeNss`
//! and others) beside them, and over a base image the layer goes through the base's symlinks to directories.
//! [`build_nix_db`] makes the layer from which Nix knows the store paths. This crate does not know how store layers are
//! made, nor more of an image below its layer than the files.

#![forbid(unsafe_code)]

mod add_helpers;
mod bash;
mod chroot;
mod conflict;
mod copy;
mod divide;
mod elf;
mod error;
mod file_view;
#[cfg(test)]
mod fixtures;
mod input;
mod item;
mod libraries;
mod library_path;
mod load;
mod loader;
mod merge;
mod merge_rsync;
mod merge_trees;
mod nix_db;
mod ownership;
mod perms;
mod place_on_base;
mod ready_contents;
mod references;
mod root;
mod script;
mod script_log;
mod tree;
mod users;
mod warning;

pub use add_helpers::write_helper;
pub use conflict::Conflict;
pub use copy::{CopyInput, CopySource, Excluded, copied_files};
pub use elf::{DamagedElf, Elf};
pub use error::{Error, Result, Side};
pub use file_view::{FileView, FoundFile, ThisMachine};
pub use input::TreeSource;
pub use layerstone_sandbox::{Bounds, Error as SandboxError, Exceeded, SandboxMode, SandboxOptions};
pub use libraries::{Libraries, Library, Surroundings, find_libraries};
pub use loader::{Missing, Needed, Needs, interpreter_of_script, needs_of, runs_on};
pub use merge_trees::{MergedTrees, merge_trees};
pub use nix_db::{EARLIER_FILES, NixDbBase, NixDbPlace, NixDbSpec, build_nix_db, nix_db_directory};
pub use root::{RootConfig, build};
pub use script::Console;
pub use warning::Warning;
