//! An existing tar that a layout's members are appended to: all of it but the zeros that end it.

use crate::{Error, Result};
use layerstone_store::open_regular;
use layerstone_tar::{Allowance, BLOCK, Members, Part};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes of memory that a name takes besides its own.
const NAME_BYTES: usize = 64;

/// An existing tar, up to the end of its last member.
#[derive(Clone, Debug)]
pub struct Prefix {
    pub(crate) path: PathBuf,
    /// Open from its first look on, so that nothing can replace it.
    pub(crate) file: Arc<File>,
    /// Bytes up to the end of the last member.
    pub(crate) length: u64,
    /// The file's size, which must be the same when it is read.
    pub(crate) size: u64,
    /// The file's modification time, likewise.
    pub(crate) modified: (i64, i64),
    /// The members' names below the root of the image.
    pub(crate) names: BTreeSet<Vec<u8>>,
}

impl Prefix {
    /// The tar itself.
    pub(crate) fn part(&self) -> Part {
        Part::new(Arc::clone(&self.file), &self.path, 0, self.size)
    }

    /// Looks at the headers of a tar, and passes over contents.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or is no whole tar.
    pub fn read(path: &Path) -> Result<Prefix> {
        let file = Arc::new(open_regular(path).map_err(Error::read(path))?);
        let metadata = file.metadata().map_err(Error::read(path))?;
        let allowance = Allowance::default();
        let mut members = Members::new(BufReader::new(&*file), *allowance.limits());
        let mut names = BTreeSet::new();
        let mut next = || {
            let member = members.next_member()?;
            if let Some(member) = &member {
                allowance
                    .take(NAME_BYTES + member.name.len())
                    .map_err(|exceeded| members.invalid(&exceeded.to_string()))?;
            }
            members.pass_contents()?;
            Ok(member)
        };
        while let Some(member) = next().map_err(Error::read(path))? {
            names.insert(member.name);
        }
        let length = members.end();
        if !length.is_multiple_of(BLOCK as u64) {
            let cause = format!("not a whole tar: the input ends at byte {length}, inside a member's last block");
            return Err(Error::read(path)(io::Error::new(io::ErrorKind::UnexpectedEof, cause)));
        }
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        Ok(Prefix { path: path.to_owned(), file, length, size: metadata.len(), modified, names })
    }
}
