//! A folder that is made for outputs, and goes again if nothing comes of them.

use crate::Result;
use crate::error::Context;
use layerstone_store::check_folder;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A folder. Dropped before it is kept, it is removed if it was made and is empty.
#[derive(Debug)]
pub struct NewDirectory(Option<PathBuf>);

impl NewDirectory {
    /// Makes a folder if it is not there; its parent must be.
    pub fn make(folder: &Path) -> Result<NewDirectory> {
        check_folder(folder)?;
        match fs::create_dir(folder) {
            Ok(()) => Ok(NewDirectory(Some(folder.to_owned()))),
            Err(_) if folder.is_dir() => Ok(NewDirectory(None)),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => bail!("not a folder: {}", folder.display()),
            Err(e) => Err(e).with_context(|| format!("cannot make the folder: {}", folder.display())),
        }
    }

    /// Leaves it there.
    pub fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for NewDirectory {
    fn drop(&mut self) {
        if let Some(folder) = &self.0 {
            // Nothing can be done about a failure here, which leaves an empty folder or one that is used.
            let _ = fs::remove_dir(folder);
        }
    }
}
