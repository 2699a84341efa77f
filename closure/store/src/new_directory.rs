//! A directory that is made for outputs, and goes again if nothing comes of them.

use crate::directory::{Directory, Walk, is_refused};
use crate::write_back::check_entries;
use crate::{Error, Leftover, Result};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A directory, held open. Dropped before it is kept, it is removed if it was made and is empty; so it is if a signal ends
/// the process.
#[derive(Debug)]
pub struct NewDirectory {
    directory: Arc<Directory>,
    path: PathBuf,
    made: Option<Made>,
}

/// The name of a directory that was made.
#[derive(Debug)]
struct Made {
    parent: Arc<Directory>,
    name: OsString,
    _leftover: Leftover,
}

impl NewDirectory {
    /// Opens a directory, made if it does not exist; its parent must.
    ///
    /// # Errors
    ///
    /// It cannot be made; something else has its name ([`io::ErrorKind::AlreadyExists`]); or it is a link that another user
    /// put into a directory for everybody.
    pub fn make(path: &Path) -> Result<NewDirectory> {
        NewDirectory::try_make(path).map_err(|e| {
            let action = if is_refused(&e) { "write" } else { "make the directory" };
            Error::io(action, path)(e)
        })
    }

    /// [`NewDirectory::make`] for a name in an open directory, of which it has the path.
    pub fn make_in(parent: &NewDirectory, name: &str) -> Result<NewDirectory> {
        let path = parent.path.join(name);
        let made = || match parent.directory.open_below(Path::new(name)) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => NewDirectory::new(&parent.directory, name.into(), &path),
            opened => {
                let directory = Arc::new(opened.map_err(taken)?);
                Ok(NewDirectory { directory, path: path.clone(), made: None })
            }
        };
        made().map_err(Error::io("make the directory", &path))
    }

    fn try_make(path: &Path) -> io::Result<NewDirectory> {
        loop {
            let entry = Walk::named(path)?.entry()?;
            if entry.file.is_none() {
                match NewDirectory::new(&Arc::new(entry.directory), entry.name, path) {
                    // Another program was first.
                    Err(e) if e.kind() == io::ErrorKind::AlreadyExists => continue,
                    made => return made,
                }
            }
            let directory = Directory::of_entry(entry).map_err(taken)?;
            return Ok(NewDirectory { directory: Arc::new(directory), path: path.to_owned(), made: None });
        }
    }

    fn new(parent: &Arc<Directory>, name: OsString, path: &Path) -> io::Result<NewDirectory> {
        let make = || {
            parent.create_directory(&name, 0o777)?;
            let (above, left) = (Arc::clone(parent), name.clone());
            Ok((parent.subdirectory(&name)?, move || drop(above.remove_directory(&left))))
        };
        let (directory, leftover) = Leftover::make(make)?;
        let made = Some(Made { parent: Arc::clone(parent), name, _leftover: leftover });
        let new = NewDirectory { directory: Arc::new(directory), path: path.to_owned(), made };
        check_entries(parent)?;
        Ok(new)
    }

    /// The directory.
    pub fn directory(&self) -> &Arc<Directory> {
        &self.directory
    }

    /// The path that leads there.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it was made.
    pub fn is_new(&self) -> bool {
        self.made.is_some()
    }

    /// Keeps it.
    pub fn keep(&mut self) {
        self.made = None;
    }
}

impl Drop for NewDirectory {
    fn drop(&mut self) {
        if let Some(Made { parent, name, .. }) = &self.made {
            // Nothing can be done about a failure here, which leaves an empty directory or one that is used.
            let _ = parent.remove_directory(name);
        }
    }
}

/// The error of a name that something else has than a directory.
fn taken(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::NotADirectory { io::ErrorKind::AlreadyExists.into() } else { error }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Output;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn what_is_not_kept_goes_if_it_is_empty() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new");
        for (file, keep, stays) in [(false, false, false), (true, false, true), (false, true, true)] {
            let mut made = NewDirectory::make(&path).unwrap();
            let mut inner = NewDirectory::make_in(&made, "inner").unwrap();
            assert!(made.is_new() && inner.is_new() && !NewDirectory::make(&path).unwrap().is_new());
            if file {
                drop(made.directory().create_file("file".as_ref(), 0o600).unwrap());
            }
            if keep {
                [&mut made, &mut inner].into_iter().for_each(NewDirectory::keep);
            }
            drop((inner, made));
            assert_eq!((path.exists(), path.join("inner").exists()), (stays, keep));
            let _ = fs::remove_dir_all(&path);
        }
        fs::write(&path, "").unwrap();
        for error in [NewDirectory::make(&path), NewDirectory::make(&dir.path().join("no/new"))].map(Result::unwrap_err)
        {
            let Error::Io { action, source, .. } = error else { panic!("{error}") };
            assert!(action == "make the directory" && source.kind() != io::ErrorKind::PermissionDenied, "{source}");
        }
    }

    /// Whatever happens to the path, outputs get into the directory that was opened.
    #[test]
    fn the_directory_is_held() {
        let dir = tempfile::tempdir().unwrap();
        let [path, moved, other] = ["new", "moved", "other"].map(|name| dir.path().join(name));
        let mut made = NewDirectory::make(&path).unwrap();
        fs::create_dir(&other).unwrap();
        fs::rename(&path, &moved).unwrap();
        symlink(&other, &path).unwrap();
        let outputs = Output::create_all_below(made.directory(), &[path.join("a"), path.join("b")]).unwrap();
        Output::commit_all(outputs).unwrap();
        assert!(NewDirectory::make_in(&made, "inner").unwrap().is_new());
        made.keep();
        assert_eq!(fs::read_dir(&moved).unwrap().count(), 2);
        assert_eq!(fs::read_dir(&other).unwrap().count(), 0);
    }
}
