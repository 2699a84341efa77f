//! Records which files of a directory a run wrote, so that the next one removes those that it does not write again, and no
//! others.
//!
//! The record is a file of the directory, [`NAME`]. A file counts as written by us as long as it has the size and the sha256
//! that the record says.

use crate::Result;
use crate::error::Context;
use crate::prior_layers::MOST;
use layerstone_layer::DigestWriter;
use layerstone_overlay::signal;
use layerstone_store::{
    Digest, Directory, Document, NewDirectory, Output, Scratch, fill_stage_file, from_value, parse_document,
};
use rustix::fs::OFlags;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Name of the record in its directory.
pub const NAME: &str = ".layerstone-outputs";
const FORMAT: &str = "layerstone/outputs";
const VERSION: u64 = 1;
/// What writes records.
const RERUN: &str = "layerstone layer --all";

/// A file that was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    pub digest: Digest,
    pub size: u64,
}

/// What stands in a record: files of its directory by their names.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Files {
    files: BTreeMap<String, Written>,
}

/// The record of a directory.
#[derive(Debug)]
pub struct Record {
    directory: Arc<Directory>,
    /// The path that leads there.
    path: PathBuf,
    files: BTreeMap<String, Written>,
}

impl Written {
    /// A file that is on its way.
    pub fn of(output: &Output) -> Result<Written> {
        let mut file = output.file();
        let read = io::Seek::rewind(&mut file).and_then(|()| Written::read(file));
        read.with_context(|| format!("cannot read: {}", output.destination().display()))
    }

    /// What a file has from here on.
    fn read(mut file: &File) -> io::Result<Written> {
        let mut sink = io::sink();
        let mut hashed = DigestWriter::new(&mut sink);
        io::copy(&mut file, &mut hashed)?;
        let (digest, size) = hashed.finish();
        Ok(Written { digest, size })
    }

    /// Whether a file of a directory is still what was written.
    fn is(&self, directory: &Directory, name: &OsStr) -> io::Result<bool> {
        let file = match directory.open_file(name, OFlags::RDONLY) {
            // A link, or something else that is no file.
            Err(e)
                if e.kind() == io::ErrorKind::InvalidInput || e.raw_os_error() == Some(Errno::LOOP.raw_os_error()) =>
            {
                return Ok(false);
            }
            opened => opened?,
        };
        Ok(file.metadata()?.len() == self.size && Written::read(&file)? == *self)
    }
}

impl Record {
    /// Reads the record of a directory; without one nothing in the directory is ours.
    pub fn read(directory: &NewDirectory) -> Result<Record> {
        let (path, directory) = (directory.path().to_owned(), Arc::clone(directory.directory()));
        let name = path.join(NAME).display().to_string();
        let files = match directory.read_below(Path::new(NAME), MOST) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Files::default(),
            Err(error) => return Err(error).with_context(|| format!("cannot read: {name}")),
            Ok(bytes) => match parse_document(&bytes, &name, FORMAT, VERSION, RERUN)? {
                Document::Ours(value) => from_value(value, FORMAT, &name)?,
                Document::Bare(_) => bail!("malformed {FORMAT}: {name}: found no format, expected {FORMAT:?}"),
            },
        };
        let is_name = |name: &&String| !name.is_empty() && !name.contains('/') && *name != "." && *name != "..";
        if let Some(bad) = files.files.keys().find(|name| !is_name(name)) {
            bail!("malformed {FORMAT}: {name}: found {bad:?}, expected the name of a file of the directory");
        }
        Ok(Record { directory, path, files: files.files })
    }

    /// Starts outputs in the directory, by the names that these paths end in.
    pub fn create_all(&self, paths: &[PathBuf]) -> Result<Vec<Output>> {
        Ok(Output::create_all_below(&self.directory, paths)?)
    }

    /// Whether an earlier run wrote a file of this name.
    pub fn has(&self, name: &str) -> bool {
        self.files.contains_key(name)
    }

    /// Gives outputs of the directory their names, and removes what an earlier run wrote and this one does not. After an
    /// error the directory is what it was, as far as names can be given back.
    pub fn replace(&self, outputs: Vec<Output>, new: BTreeMap<String, Written>) -> Result<()> {
        let stale = self.stale(&new)?;
        let list = self.list(new)?;
        // Between the first rename and the last nothing is broken off.
        let _hold = signal::hold();
        let aside = Aside::put(self, &stale)?;
        Output::commit_all(outputs.into_iter().chain(list))?;
        aside.remove();
        Ok(())
    }

    /// What an earlier run wrote, is still what it was, and is not written again.
    fn stale(&self, new: &BTreeMap<String, Written>) -> Result<Vec<String>> {
        let mut stale = Vec::new();
        for (name, written) in self.files.iter().filter(|(name, _)| !new.contains_key(*name)) {
            match written.is(&self.directory, OsStr::new(name)) {
                Ok(true) => stale.push(name.clone()),
                Ok(false) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    return Err(error).with_context(|| format!("cannot read: {}", self.path.join(name).display()));
                }
            }
        }
        Ok(stale)
    }

    /// The new record; none if it says what the old one does.
    fn list(&self, files: BTreeMap<String, Written>) -> Result<Option<Output>> {
        if files == self.files {
            return Ok(None);
        }
        let mut output = Output::create_below(&self.directory, Path::new(NAME), &self.path.join(NAME))?;
        fill_stage_file(&mut output, FORMAT, VERSION, &Files { files })?;
        Ok(Some(output))
    }
}

/// Files that are out of the way, and come back unless they are removed.
struct Aside<'a> {
    directory: &'a Directory,
    scratch: Option<Scratch>,
    /// The names of those that are there.
    moved: Vec<String>,
}

impl<'a> Aside<'a> {
    fn put(record: &'a Record, names: &[String]) -> Result<Aside<'a>> {
        let directory = &record.directory;
        let mut aside = Aside { directory, scratch: None, moved: Vec::new() };
        if names.is_empty() {
            return Ok(aside);
        }
        let scratch = aside.scratch.insert(Scratch::create_in(directory, &record.path)?);
        for name in names {
            directory.rename(OsStr::new(name), scratch.directory(), OsStr::new(name)).with_context(|| {
                format!("cannot remove what an earlier run wrote: {}", record.path.join(name).display())
            })?;
            aside.moved.push(name.clone());
        }
        Ok(aside)
    }

    fn remove(mut self) {
        self.moved.clear();
    }
}

impl Drop for Aside<'_> {
    fn drop(&mut self) {
        let Some(scratch) = &self.scratch else { return };
        for name in self.moved.drain(..) {
            // Nothing can be done about a failure here.
            let _ = scratch.directory().rename(OsStr::new(&name), self.directory, OsStr::new(&name));
        }
    }
}
