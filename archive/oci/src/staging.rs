//! Stages new blobs of a layout under temporary names until the image is complete. Does not know what the blobs are.
//!
//! They lie in a temporary directory inside the layout, on the same file system, so that a rename publishes them. A failure
//! removes that directory, and the layout's own if it was new.

use crate::Result;
use crate::layout_file::{BLOBS, INDEX_NAME, LAYOUT_NAME, blob_name};
use layerstone_store::{Digest, Directory, Error as StageError, Leftover, Output, Scratch, Sync, sync};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// New blobs of a layout.
#[derive(Debug)]
pub(crate) struct Staging {
    directory: PathBuf,
    /// The directory if it was made for the layout: it is removed if nothing is published.
    new: Option<Leftover>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    work: Option<Scratch>,
    /// Size in bytes of each blob that is complete.
    blobs: BTreeMap<Digest, u64>,
    /// Those that have their own names now.
    moved: Vec<Digest>,
    is_published: bool,
}

impl Staging {
    pub(crate) fn new(directory: &Path, new: Option<Leftover>) -> Staging {
        Staging { directory: directory.to_owned(), new, state: Mutex::default() }
    }

    /// Begins a blob whose digest is not known yet.
    pub(crate) fn create(&self) -> Result<Output> {
        let mut state = self.state();
        let work = match &mut state.work {
            Some(work) => work,
            none => none.insert(Scratch::create(&self.directory)?),
        };
        Ok(Output::create(&work.path().join("new"))?)
    }

    /// Keeps a blob that is complete.
    pub(crate) fn keep(&self, output: Output, digest: &Digest, size: u64) -> Result<()> {
        let mut state = self.state();
        let work = state.work.as_ref().map(Scratch::path).unwrap_or(&self.directory);
        output.commit_as(&work.join(digest.hex()))?;
        state.blobs.insert(*digest, size);
        Ok(())
    }

    pub(crate) fn has(&self, digest: &Digest, size: u64) -> bool {
        self.state().blobs.get(digest) == Some(&size)
    }

    /// Gives all blobs their names, and then calls what names them; nothing is put away afterwards.
    pub(crate) fn publish(&self, finish: impl FnOnce() -> Result<()>) -> Result<()> {
        let mut state = self.state();
        let blobs = self.directory.join(BLOBS);
        fs::create_dir_all(&blobs).map_err(StageError::io("make the folder", &blobs))?;
        while let Some((digest, _)) = state.blobs.pop_first() {
            let Some(work) = &state.work else { break };
            let path = self.directory.join(blob_name(&digest));
            fs::rename(work.path().join(digest.hex()), &path).map_err(StageError::io("write", &path))?;
            state.moved.push(digest);
        }
        if sync() == Sync::Always {
            let synced = Directory::open(&blobs).and_then(|directory| directory.sync());
            synced.map_err(StageError::io("write", &blobs))?;
        }
        finish()?;
        state.is_published = true;
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        drop(state.work.take());
        // Somebody else may have made an image in the same directory.
        if self.new.is_none() || state.is_published || self.directory.join(INDEX_NAME).exists() {
            return;
        }
        // Nothing can be done about a failure here. Directories go only if they are empty.
        for digest in &state.moved {
            let _ = fs::remove_file(self.directory.join(blob_name(digest)));
        }
        let _ = fs::remove_dir(self.directory.join(BLOBS));
        let _ = fs::remove_dir(self.directory.join(Path::new(BLOBS).parent().unwrap_or(Path::new(""))));
        let _ = fs::remove_file(self.directory.join(LAYOUT_NAME));
        let _ = fs::remove_dir(&self.directory);
    }
}
