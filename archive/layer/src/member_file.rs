//! Reads the files of a layout, each as it was when it was laid out: another size or time is an error, and so is a link where
//! there was none.

use crate::layout::nonzero;
use crate::{Error, Layout, Prefix, Result};
use layerstone_store::open_real_file;
use layerstone_tar::Placed;
use rustix::fs::OFlags;
use std::fs::{File, Metadata, OpenOptions};
use std::hash::Hasher;
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use twox_hash::XxHash3_64;

/// A file as it was when it was laid out.
pub(crate) struct ExpectedFile<'a> {
    path: PathBuf,
    found: Found<'a>,
    size: u64,
    modified: (i64, i64),
    /// Bytes to be read of it.
    length: u64,
}

/// How a file is found again.
#[derive(Clone, Copy)]
enum Found<'a> {
    /// By its path, of which the last component is no link.
    ByPath,
    /// By its path, in which there is no link.
    ByRealPath,
    /// It is open.
    Open(&'a File),
}

impl<'a> ExpectedFile<'a> {
    pub fn member(layout: &Layout, member: &Placed) -> ExpectedFile<'a> {
        let size = member.entry.kind.size();
        let found = if layout.has_real_paths { Found::ByRealPath } else { Found::ByPath };
        ExpectedFile { path: layout.locate(member), found, size, modified: member.modified, length: size }
    }

    pub fn prefix(prefix: &'a Prefix) -> ExpectedFile<'a> {
        let Prefix { size, modified, length, .. } = *prefix;
        ExpectedFile { path: prefix.path.clone(), found: Found::Open(&prefix.file), size, modified, length }
    }

    fn open(&self) -> io::Result<OpenedFile<'a>> {
        // A link or pipe that replaced the file must neither be followed nor waited for.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
        Ok(match self.found {
            Found::ByPath => {
                OpenedFile::Own(OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(&self.path)?)
            }
            Found::ByRealPath => OpenedFile::Own(open_real_file(&self.path)?),
            Found::Open(file) => OpenedFile::Shared(file),
        })
    }
}

/// A file that is open for this reader, or for others too, whose place in it is not this one's.
enum OpenedFile<'a> {
    Own(File),
    Shared(&'a File),
}

impl OpenedFile<'_> {
    fn metadata(&self) -> io::Result<Metadata> {
        match self {
            OpenedFile::Own(file) => file.metadata(),
            OpenedFile::Shared(file) => file.metadata(),
        }
    }

    /// Reads some of what comes at this position, which is that of the file itself if nobody shares it.
    fn read(&mut self, position: u64, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            OpenedFile::Own(file) => read_some(file, buffer),
            OpenedFile::Shared(file) => loop {
                match file.read_at(buffer, position) {
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    read => return read,
                }
            },
        }
    }
}

/// A file being read.
pub(crate) struct OpenFile<'a> {
    file: OpenedFile<'a>,
    expected: ExpectedFile<'a>,
    left: u64,
    sum: Option<ContentSum<'a>>,
}

/// The sum of a file's contents, and where it is recorded.
struct ContentSum<'a> {
    hasher: XxHash3_64,
    recorded: &'a AtomicU64,
}

impl<'a> OpenFile<'a> {
    pub fn new(expected: ExpectedFile<'a>) -> Result<OpenFile<'a>> {
        let file = expected.open().map_err(Error::read(&expected.path))?;
        Ok(OpenFile { file, left: expected.length, expected, sum: None })
    }

    /// The same file, whose contents' sum is recorded when all of it was read.
    pub fn summed(self, recorded: &'a AtomicU64) -> OpenFile<'a> {
        OpenFile { sum: Some(ContentSum { hasher: XxHash3_64::new(), recorded }), ..self }
    }

    /// Whether all of it was read.
    pub fn is_at_end(&self) -> bool {
        self.left == 0
    }

    /// Reads some of what comes next.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let want = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let position = self.expected.length - self.left;
        let got = self.file.read(position, &mut buffer[..want]).map_err(Error::read(&self.expected.path))?;
        if got == 0 {
            let ExpectedFile { size, length, .. } = self.expected;
            return Err(self.changed(format!("found {} bytes, expected {size}", length - self.left)));
        }
        self.left -= got as u64;
        if let Some(sum) = &mut self.sum {
            sum.hasher.write(&buffer[..got]);
        }
        Ok(got)
    }

    /// Notices a write between layout and now. Not the change time nor the inode: Nix may hard-link equal files of the
    /// store at any moment (`auto-optimise-store`), which changes both and no content.
    pub fn finish(&self) -> Result<()> {
        let metadata = self.file.metadata().map_err(Error::read(&self.expected.path))?;
        let ExpectedFile { size, modified, .. } = self.expected;
        if metadata.len() != size {
            return Err(self.changed(format!("found {} bytes, expected {size}", metadata.len())));
        }
        if (metadata.mtime(), metadata.mtime_nsec()) != modified {
            return Err(self.changed("its modification time is not what it was".to_owned()));
        }
        if let Some(sum) = &self.sum {
            sum.recorded.store(nonzero(sum.hasher.finish()), Ordering::Relaxed);
        }
        Ok(())
    }

    fn changed(&self, cause: String) -> Error {
        Error::changed(&self.expected.path, cause)
    }
}

/// Reads once; again where a signal came first, as it may on network file systems (NFS's `intr`, FUSE).
pub(crate) fn read_some(file: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match file.read(buffer) {
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
