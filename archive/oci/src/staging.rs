//! Stages new blobs of a layout under temporary names until the image is complete. Does not know what the blobs are.
//!
//! They lie in a temporary directory inside the layout, on the same file system, so that a rename publishes them. A failure
//! removes that directory, and the layout's own if it was new.

use crate::Result;
use crate::layout_file::{BLOBS, INDEX_NAME, LAYOUT_NAME};
use layerstone_store::{Digest, Directory, Error as StageError, NewDirectory, Output, Scratch, check_entries};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// New blobs of a layout.
#[derive(Debug)]
pub(crate) struct Staging {
    state: Mutex<State>,
    /// The directory of the layout. If it was made, it is removed if nothing is published.
    new: NewDirectory,
}

#[derive(Debug, Default)]
struct State {
    work: Option<Scratch>,
    /// Size in bytes of each blob that is complete.
    blobs: BTreeMap<Digest, u64>,
    /// The directory of those that have their own names now, and which these are.
    moved: Option<(Directory, Vec<Digest>)>,
    is_published: bool,
}

impl Staging {
    pub(crate) fn new(new: NewDirectory) -> Staging {
        Staging { state: Mutex::default(), new }
    }

    /// Begins a blob whose digest is not known yet.
    pub(crate) fn create(&self) -> Result<Output> {
        let mut state = self.state();
        let work = match &mut state.work {
            Some(work) => work,
            none => none.insert(Scratch::create_in(self.new.directory(), self.new.path())?),
        };
        Ok(Output::create_new(work.directory(), &work.path().join("new"))?)
    }

    /// Keeps a blob that is complete.
    pub(crate) fn keep(&self, output: Output, digest: &Digest, size: u64) -> Result<()> {
        let mut state = self.state();
        if let Some(work) = &state.work {
            output.commit_in(work.directory(), &work.path().join(digest.hex()))?;
        }
        state.blobs.insert(*digest, size);
        Ok(())
    }

    pub(crate) fn has(&self, digest: &Digest, size: u64) -> bool {
        self.state().blobs.get(digest) == Some(&size)
    }

    /// Gives all blobs their names, and then calls what names them; nothing is put away afterwards.
    pub(crate) fn publish(&self, finish: impl FnOnce() -> Result<()>) -> Result<()> {
        let state = &mut *self.state();
        let path = self.new.path().join(BLOBS);
        let blobs = self.new.directory().create_below(Path::new(BLOBS));
        let blobs = blobs.map_err(StageError::io("make the directory", &path))?;
        let (blobs, moved) = state.moved.get_or_insert((blobs, Vec::new()));
        while let Some((digest, _)) = state.blobs.pop_first() {
            let Some(work) = &state.work else { break };
            let name = digest.hex();
            let name = OsStr::new(&name);
            work.directory().rename(name, blobs, name).map_err(StageError::io("write", &path.join(name)))?;
            moved.push(digest);
        }
        check_entries(blobs).map_err(StageError::io("write", &path))?;
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
        let directory = self.new.directory();
        // Somebody else may have made an image in the same directory.
        if state.is_published || directory.has_below(Path::new(INDEX_NAME)) {
            return self.new.keep();
        }
        if !self.new.is_new() {
            return;
        }
        // Nothing can be done about a failure here. Directories go only if they are empty.
        if let Some((blobs, moved)) = &state.moved {
            for digest in moved {
                let _ = blobs.remove_file(OsStr::new(&digest.hex()));
            }
        }
        if let Some((above, name)) = BLOBS.split_once('/') {
            let _ = directory.open_below(Path::new(above)).and_then(|above| above.remove_directory(OsStr::new(name)));
            let _ = directory.remove_directory(OsStr::new(above));
        }
        let _ = directory.remove_file(OsStr::new(LAYOUT_NAME));
    }
}
