//! Describes what a host asks of a guest: scripts, store, sizes and times of a run.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A run. Names and texts are bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The script that runs as root in the image; none runs none.
    pub script: Option<Vec<u8>>,
    /// Scripts that run beside it.
    pub hooks: Hooks,
    /// PATH of the script.
    pub path: String,
    /// The store that the script sees; none if it sees none.
    pub store: Option<StoreRequest>,
    /// Later times of files become this one, in seconds since the epoch.
    pub mtime: i64,
    /// Bytes that the layer, and what scripts write besides, may have.
    pub disk: u64,
    /// Bytes that the files of the layer may have together, holes among them.
    pub files: u64,
    /// Whether there is a base.
    pub has_base: bool,
    /// Bytes of a tar that is put into the layer first; none if there is none.
    pub contents: Option<u64>,
}

/// Scripts that run beside the mount, in the directory that holds `mnt`, `layer` and `work`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hooks {
    /// Before the overlay is mounted.
    pub pre_mount: Option<Vec<u8>>,
    /// Before the script runs.
    pub post_mount: Option<Vec<u8>>,
    /// When the overlay is not mounted any more.
    pub post_umount: Option<Vec<u8>>,
    /// After that, in the directory `layer`.
    pub extra_commands: Option<Vec<u8>>,
}

/// The store in a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreRequest {
    /// The store directory.
    pub dir: String,
    /// Directories of programs, for hooks.
    pub programs: Vec<String>,
    /// The shell for scripts that name none, where the image has no `/bin/sh`.
    pub shell: Option<String>,
    /// What is mounted there from the machine; nothing in a virtual machine, which has it on a disk.
    pub binds: Vec<Bind>,
}

/// An entry of the store that is mounted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bind {
    /// Where it is on the machine.
    pub source: Vec<u8>,
    /// What it is called in the store.
    pub name: String,
}

/// Where a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Phase {
    /// Until the stage speaks.
    Boot,
    /// Mounting the base and the store.
    Mount,
    /// Putting contents into the layer.
    Contents,
    /// A hook.
    PreMount,
    /// A hook.
    PostMount,
    /// The script.
    Script,
    /// A hook.
    PostUmount,
    /// A hook.
    ExtraCommands,
    /// Reading the layer and sending it.
    Pack,
}

impl Phase {
    /// What a run does then.
    pub fn describe(self) -> &'static str {
        match self {
            Phase::Boot => "booting",
            Phase::Mount => "mounting",
            Phase::Contents => "putting contents into the layer",
            Phase::PreMount => "running the pre-mount hook",
            Phase::PostMount => "running the post-mount hook",
            Phase::Script => "running the script",
            Phase::PostUmount => "running the post-umount hook",
            Phase::ExtraCommands => "running extraCommands",
            Phase::Pack => "packing the layer",
        }
    }

    /// What the script is called that runs then.
    pub fn script(self) -> &'static str {
        match self {
            Phase::PreMount => "pre-mount hook",
            Phase::PostMount => "post-mount hook",
            Phase::PostUmount => "post-umount hook",
            Phase::ExtraCommands => "extraCommands",
            _ => "root script",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.describe())
    }
}
