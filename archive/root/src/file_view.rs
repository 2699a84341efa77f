//! Looks at files by their paths: of this machine, or of an image.

use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// A regular file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundFile {
    /// Its path without links.
    pub path: PathBuf,
    /// Permission bits.
    pub mode: u32,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// Files by their absolute paths.
pub trait FileView {
    /// The regular file that a path leads to, links followed; none if it leads to none.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    fn file(&self, path: &Path) -> io::Result<Option<FoundFile>>;

    /// The names in a directory, sorted; none if there is no directory.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    fn names(&self, directory: &Path) -> io::Result<Vec<Vec<u8>>>;
}

/// The files of this machine.
#[derive(Clone, Copy, Debug)]
pub struct ThisMachine;

impl FileView for ThisMachine {
    fn file(&self, path: &Path) -> io::Result<Option<FoundFile>> {
        let is_absent = |error: &io::Error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory);
        let real = match path.canonicalize() {
            Err(error) if is_absent(&error) => return Ok(None),
            real => real?,
        };
        let metadata = real.metadata()?;
        if !metadata.is_file() {
            return Ok(None);
        }
        Ok(Some(FoundFile { bytes: std::fs::read(&real)?, mode: metadata.permissions().mode() & 0o7777, path: real }))
    }

    fn names(&self, directory: &Path) -> io::Result<Vec<Vec<u8>>> {
        let entries = match directory.read_dir() {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut names = entries.map(|entry| Ok(entry?.file_name().into_vec())).collect::<io::Result<Vec<_>>>()?;
        names.sort_unstable();
        Ok(names)
    }
}

/// What an image has at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// No regular file.
    Nothing,
    /// A file whose own needs are looked after.
    File(FoundFile),
    /// A file whose needs are the image's own affair.
    Unread,
}

/// An image that a program will run in, and which lacks some of what it needs.
pub trait Image {
    /// What the image has at a path, links followed.
    ///
    /// # Errors
    ///
    /// It cannot be read.
    fn held(&self, path: &Path) -> io::Result<Held>;
}
