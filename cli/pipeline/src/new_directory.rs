//! The directory of a command's outputs, made if it does not exist.

use crate::Result;
use layerstone_store::{Error, NewDirectory};
use std::io::ErrorKind;
use std::path::Path;

/// Opens a directory, made if it does not exist; its parent must. Unless it is kept, it goes again if it is empty.
pub fn make_directory(path: &Path) -> Result<NewDirectory> {
    named(NewDirectory::make(path), path)
}

/// The same with what making one of this path gave.
pub(crate) fn named(made: layerstone_store::Result<NewDirectory>, path: &Path) -> Result<NewDirectory> {
    match made {
        Err(Error::Io { source, .. }) if source.kind() == ErrorKind::AlreadyExists => {
            let message = format!("not a directory: {}", path.display());
            Err(crate::Error::advised(message, "choose another name for the directory"))
        }
        made => Ok(made?),
    }
}
