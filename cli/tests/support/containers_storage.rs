//! A storage of podman's and buildah's own kind (containers-storage.conf(5)), which goes when it is dropped.

use rustix::fs::{StatFs, statfs};
use std::path::Path;
use std::process::Command;

/// The file system of a container (statfs(2)): layers cannot be mounted from it.
const OVERLAYFS: u64 = 0x794c_7630;

/// Where they keep images.
pub struct ContainersStorage {
    state: tempfile::TempDir,
    driver: &'static str,
}

impl ContainersStorage {
    /// An empty one. Layers are mounted over each other where that works; elsewhere each is a copy of all below it.
    pub fn new() -> ContainersStorage {
        // podman wants its state in a directory whose name is short.
        let state = tempfile::tempdir_in("/tmp").unwrap();
        let StatFs { f_type, .. } = statfs(state.path()).unwrap();
        ContainersStorage { state, driver: if f_type as u64 == OVERLAYFS { "vfs" } else { "overlay" } }
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        self.state.path()
    }

    /// podman or buildah with this storage, and without the configuration of whoever runs the tests.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.args(["--storage-driver", self.driver]).env_remove("CONTAINER_HOST").env("HOME", self.path());
        for folder in ["root", "runroot"] {
            command.arg(format!("--{folder}")).arg(self.path().join(folder));
        }
        command
    }
}

impl Drop for ContainersStorage {
    fn drop(&mut self) {
        // The driver makes it a mount of its own, which keeps the directory from being removed.
        if self.driver == "overlay" {
            let _ = Command::new("umount").arg(self.path().join("root/overlay")).output();
        }
    }
}
