//! Records which files of a directory a run wrote, so that the next one removes those that it does not write again, and no
//! others.
//!
//! The record is a file of the directory, [`NAME`]. A file counts as written by us as long as it has the size and the sha256
//! that the record says.

use crate::Result;
use crate::error::Context;
use layerstone_layer::DigestWriter;
use layerstone_overlay::signal;
use layerstone_store::{Digest, Document, Output, Scratch, from_value, parse_document, prepare_stage_file};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

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
    directory: PathBuf,
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

    /// Whether a file is still what was written.
    fn is(&self, path: &Path) -> io::Result<bool> {
        let metadata = path.symlink_metadata()?;
        let may_be = metadata.is_file() && metadata.len() == self.size;
        Ok(may_be && Written::read(&File::open(path)?)? == *self)
    }
}

impl Record {
    /// Reads the record of a directory; without one nothing in the directory is ours.
    pub fn read(directory: &Path) -> Result<Record> {
        let path = directory.join(NAME);
        let name = path.display().to_string();
        let files = match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Files::default(),
            Err(error) => return Err(error).with_context(|| format!("cannot read: {name}")),
            Ok(bytes) => match parse_document(&bytes, &name, FORMAT, VERSION, RERUN)? {
                Document::Ours(value) => from_value(value, FORMAT, &name)?,
                Document::Bare(_) => bail!("malformed {FORMAT}: {name}: found no format, expected {FORMAT:?}"),
            },
        };
        let is_name = |name: &&String| !name.is_empty() && !name.contains('/') && *name != "." && *name != "..";
        if let Some(bad) = files.files.keys().find(|name| !is_name(name)) {
            bail!("malformed {FORMAT}: {name}: found {bad:?}, expected the name of a file of the folder");
        }
        Ok(Record { directory: directory.to_owned(), files: files.files })
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
        let aside = Aside::put(&self.directory, &stale)?;
        Output::commit_all(outputs.into_iter().chain(list))?;
        aside.remove();
        Ok(())
    }

    /// What an earlier run wrote, is still what it was, and is not written again.
    fn stale(&self, new: &BTreeMap<String, Written>) -> Result<Vec<String>> {
        let mut stale = Vec::new();
        for (name, written) in self.files.iter().filter(|(name, _)| !new.contains_key(*name)) {
            let path = self.directory.join(name);
            match written.is(&path) {
                Ok(true) => stale.push(name.clone()),
                Ok(false) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error).with_context(|| format!("cannot read: {}", path.display())),
            }
        }
        Ok(stale)
    }

    /// The new record; none if it says what the old one does.
    fn list(&self, files: BTreeMap<String, Written>) -> Result<Option<Output>> {
        let is_new = files != self.files;
        let prepare = || prepare_stage_file(&self.directory.join(NAME), FORMAT, VERSION, &Files { files });
        Ok(is_new.then(prepare).transpose()?)
    }
}

/// Files that are out of the way, and come back unless they are removed.
struct Aside {
    scratch: Option<Scratch>,
    /// Where each was, and where it is.
    moved: Vec<(PathBuf, PathBuf)>,
}

impl Aside {
    fn put(directory: &Path, names: &[String]) -> Result<Aside> {
        let mut aside = Aside { scratch: None, moved: Vec::new() };
        if names.is_empty() {
            return Ok(aside);
        }
        let scratch = aside.scratch.insert(Scratch::create(directory)?);
        for name in names {
            let (from, to) = (directory.join(name), scratch.path().join(name));
            fs::rename(&from, &to)
                .with_context(|| format!("cannot remove what an earlier run wrote: {}", from.display()))?;
            aside.moved.push((from, to));
        }
        Ok(aside)
    }

    fn remove(mut self) {
        self.moved.clear();
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        for (from, to) in self.moved.drain(..) {
            // Nothing can be done about a failure here.
            let _ = fs::rename(to, from);
        }
    }
}
