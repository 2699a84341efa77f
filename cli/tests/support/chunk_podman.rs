//! Today's podman with a storage of its own, which fetches layers in zstd:chunked chunk by chunk.

use crate::support::Place;
use crate::support::today::Today;
use std::path::Path;

/// podman, whose storage goes when it is dropped.
pub struct ChunkPodman {
    today: Today,
    storage: Place,
}

impl ChunkPodman {
    /// It, or the running test is skipped.
    #[track_caller]
    pub fn find() -> Option<ChunkPodman> {
        let today = Today::find()?;
        // podman wants its state in a directory whose name is short.
        let storage = Place::within(Path::new("/tmp"));
        let path = storage.path().display();
        // Single chunks are fetched where layers are mounted over each other, and if that is asked for.
        let settings = format!(
            "[storage]\ndriver = \"overlay\"\ngraphroot = \"{path}/graph\"\nrunroot = \"{path}/run\"\n[storage.options]\n\
             pull_options = {{enable_partial_images = \"true\", use_hard_links = \"false\", ostree_repos = \"\"}}\n"
        );
        storage.write("storage.conf", settings);
        Some(ChunkPodman { today, storage })
    }

    /// What it prints, and what it logs.
    #[track_caller]
    pub fn run(&self, line: &str) -> (String, String) {
        let flags = "--runtime runc --cgroup-manager cgroupfs --events-backend file --log-level debug";
        let mut command = self.today.command(&format!("podman {flags} {line}"));
        command.env("CONTAINERS_STORAGE_CONF", self.storage.join("storage.conf"));
        let ran = command.output().unwrap();
        let said = String::from_utf8_lossy(&ran.stderr).into_owned();
        assert!(ran.status.success(), "{line}: {said}");
        (String::from_utf8(ran.stdout).unwrap(), said)
    }
}

impl Drop for ChunkPodman {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            // What it mounted is to be gone before its directory.
            self.run("system reset --force");
        }
    }
}
