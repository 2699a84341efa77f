//! A layout that was begun, and is removed again unless an image arrives in it.

use crate::layout::{BLOBS, INDEX_NAME, LAYOUT_NAME};
use layerstone_stage::Leftover;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The use of a layout's folder. As long as somebody else uses it, nothing of it is removed.
#[derive(Debug)]
pub struct InUse(Arc<File>);

impl InUse {
    /// Uses a folder. Where there are no locks, nothing is ever removed.
    pub fn new(folder: &Path) -> io::Result<InUse> {
        let file = File::open(folder)?;
        let _ = file.try_lock_shared();
        Ok(InUse(Arc::new(file)))
    }
}

/// A layout that was begun; dropped without an index.json, it is removed.
#[derive(Debug)]
pub struct NewLayout {
    folder: PathBuf,
    is_made: bool,
    lock: Arc<File>,
    /// For when a signal ends us.
    _leftover: Leftover,
}

impl NewLayout {
    /// Begins a layout by `make`; `is_made` if its folder is new too.
    pub fn begin(
        folder: &Path,
        is_made: bool,
        user: &InUse,
        make: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<NewLayout> {
        let (folder, lock) = (folder.to_owned(), Arc::clone(&user.0));
        let (of_signal, lock_of_signal) = (folder.clone(), Arc::clone(&lock));
        let made = || Ok((make()?, move || remove(&of_signal, is_made, &lock_of_signal)));
        let ((), leftover) = Leftover::make(made)?;
        Ok(NewLayout { folder, is_made, lock, _leftover: leftover })
    }
}

impl Drop for NewLayout {
    fn drop(&mut self) {
        remove(&self.folder, self.is_made, &self.lock);
    }
}

/// Nothing can be done about a failure, which leaves blobs that nobody names.
fn remove(folder: &Path, is_made: bool, lock: &File) {
    if folder.join(INDEX_NAME).exists() || lock.try_lock().is_err() {
        return;
    }
    // What is in blobs is named after what it holds, and was put there by whoever used the layout.
    let _ = fs::remove_dir_all(folder.join(BLOBS));
    let _ = fs::remove_dir(folder.join(BLOBS).parent().unwrap_or(folder));
    let _ = fs::remove_file(folder.join(LAYOUT_NAME));
    if is_made {
        let _ = fs::remove_dir(folder);
    }
}
