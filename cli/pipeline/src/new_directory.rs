//! A directory that is made for outputs, and goes again if nothing comes of them.

use crate::Result;
use crate::error::Context;
use layerstone_store::check_folder;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A directory. Dropped before it is kept, it is removed if it was made and is empty.
#[derive(Debug)]
pub struct NewDirectory(Option<PathBuf>);

impl NewDirectory {
    /// Makes a directory if it does not exist; its parent must.
    pub fn make(directory: &Path) -> Result<NewDirectory> {
        check_folder(directory)?;
        match fs::create_dir(directory) {
            Ok(()) => Ok(NewDirectory(Some(directory.to_owned()))),
            Err(_) if directory.is_dir() => Ok(NewDirectory(None)),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => bail!("not a folder: {}", directory.display()),
            Err(e) => Err(e).with_context(|| format!("cannot make the folder: {}", directory.display())),
        }
    }

    /// Keeps it.
    pub fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for NewDirectory {
    fn drop(&mut self) {
        if let Some(directory) = &self.0 {
            // Nothing can be done about a failure here, which leaves an empty directory or one that is used.
            let _ = fs::remove_dir(directory);
        }
    }
}
