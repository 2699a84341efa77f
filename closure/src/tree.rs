//! Walks a tree of files: names in byte order, a directory before its entries, symlinks not followed.
//!
//! The walk keeps its own stack, so that no depth of directories can overflow the thread's.

use crate::{Error, Result};
use layerstone_store::Error as StageError;
use rustix::fs::OFlags;
use std::ffi::{OsStr, OsString};
use std::fs::OpenOptions;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::vec;

/// Bytes read at once: enough that the calls do not count, little enough to stay in the processor's cache.
const CHUNK: usize = 128 << 10;

/// What a file is, as far as a NAR or a scan cares.
pub(crate) enum Node {
    /// A regular file of `size` bytes; executable if its owner may execute it.
    File { size: u64, executable: bool },
    /// A symbolic link and its text.
    Symlink { target: Vec<u8> },
    /// A directory.
    Directory,
    /// Anything else.
    Special { kind: &'static str },
}

/// One step of a walk.
pub(crate) enum Step {
    /// A file; [`Walk::path`] and [`Walk::name`] say which.
    Enter(Node),
    /// The end of the directory entered last and not left yet.
    Leave,
}

/// A walk through a tree.
pub(crate) struct Walk {
    path: PathBuf,
    /// The names that are left in each directory on the way to the current one; none before the first step.
    directories: Option<Vec<vec::IntoIter<OsString>>>,
    /// Whether the path is that of a file in the innermost directory and not of that directory.
    inside: bool,
}

impl Walk {
    /// A walk from `root`, itself the first step.
    pub(crate) fn new(root: &Path) -> Walk {
        Walk { path: root.to_owned(), directories: None, inside: false }
    }

    /// The file that was entered last.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Its name in its directory; none for the root.
    pub(crate) fn name(&self) -> Option<&OsStr> {
        self.path
            .file_name()
            .filter(|_| self.inside || self.directories.as_ref().is_some_and(|directories| directories.len() > 1))
    }

    /// The next step; none at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Step>> {
        let Some(directories) = &mut self.directories else {
            self.directories = Some(Vec::new());
            return self.enter().map(Some);
        };
        if std::mem::take(&mut self.inside) {
            self.path.pop();
        }
        let Some(names) = directories.last_mut() else { return Ok(None) };
        if let Some(name) = names.next() {
            self.path.push(name);
            self.inside = true;
            return self.enter().map(Some);
        }
        directories.pop();
        self.inside = !directories.is_empty();
        Ok(Some(Step::Leave))
    }

    fn enter(&mut self) -> Result<Step> {
        let metadata = self.path.symlink_metadata().map_err(StageError::io("read", &self.path))?;
        let kind = metadata.file_type();
        let node = if kind.is_dir() {
            let names = names(&self.path)?;
            self.directories.get_or_insert_default().push(names.into_iter());
            self.inside = false;
            Node::Directory
        } else if kind.is_file() {
            Node::File { size: metadata.len(), executable: metadata.permissions().mode() & 0o100 != 0 }
        } else if kind.is_symlink() {
            let target = std::fs::read_link(&self.path).map_err(StageError::io("read", &self.path))?;
            Node::Symlink { target: target.into_os_string().into_vec() }
        } else if kind.is_socket() {
            Node::Special { kind: "socket" }
        } else if kind.is_fifo() {
            Node::Special { kind: "named pipe" }
        } else if kind.is_block_device() {
            Node::Special { kind: "block device" }
        } else {
            Node::Special { kind: "character device" }
        };
        Ok(Step::Enter(node))
    }
}

/// The names in a directory in byte order.
fn names(directory: &Path) -> Result<Vec<OsString>> {
    let entries = std::fs::read_dir(directory).map_err(StageError::io("read", directory))?;
    let names = entries.map(|entry| entry.map(|entry| entry.file_name())).collect::<Result<Vec<_>, _>>();
    let mut names = names.map_err(StageError::io("read", directory))?;
    names.sort_unstable();
    Ok(names)
}

/// Reads a file that should have so many bytes, chunk by chunk.
pub(crate) fn read_file(path: &Path, size: u64, sink: impl FnMut(&[u8])) -> Result<()> {
    read_part(path, size, 0..size, sink)
}

/// Reads a part of a file that should have `size` bytes, chunk by chunk. If the part is the last one, the file must end
/// with it.
pub(crate) fn read_part(path: &Path, size: u64, part: Range<u64>, mut sink: impl FnMut(&[u8])) -> Result<()> {
    // A link or pipe that replaced the file must neither be followed nor waited for.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let opened = OpenOptions::new().read(true).custom_flags(flags.bits() as i32).open(path);
    let mut file = opened.map_err(StageError::io("read", path))?;
    if part.start > 0 {
        file.seek(SeekFrom::Start(part.start)).map_err(StageError::io("read", path))?;
    }
    let length = part.end - part.start;
    // One byte more than is expected, so that one read sees all of a small file and its end.
    let limit = length + u64::from(part.end == size);
    let mut buffer = vec![0; usize::try_from(limit).map_or(CHUNK, |all| all.min(CHUNK))];
    let mut reader = (&file).take(limit);
    let mut done = 0;
    loop {
        let count = match reader.read(&mut buffer) {
            Err(e) if e.kind() == ErrorKind::Interrupted => continue,
            result => result.map_err(StageError::io("read", path))?,
        };
        done += count as u64;
        if count == 0 || done > length {
            break;
        }
        sink(&buffer[..count]);
    }
    if done != length {
        let found = file.metadata().map_err(StageError::io("read", path))?.len();
        return Err(Error::Changed { path: path.to_owned(), expected: size, found });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_and_names() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a/x", "a.b/y", "B"] {
            std::fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        std::fs::write(dir.path().join("a/x/1"), "").unwrap();
        std::fs::write(dir.path().join("c"), "").unwrap();
        let (mut walk, mut seen) = (Walk::new(dir.path()), Vec::new());
        while let Some(step) = walk.next().unwrap() {
            match step {
                Step::Leave => seen.push("leave".to_owned()),
                Step::Enter(_) => {
                    seen.push(walk.name().map_or("root".into(), |name| name.to_str().unwrap().to_owned()))
                }
            }
        }
        let expected = "root B leave a x 1 leave leave a.b y leave leave c leave";
        assert_eq!(seen.join(" "), expected);
        assert_eq!(walk.path(), dir.path());
    }

    #[test]
    fn a_file_alone_has_no_name() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x");
        std::fs::write(&file, "abc").unwrap();
        let mut walk = Walk::new(&file);
        assert!(matches!(walk.next().unwrap(), Some(Step::Enter(Node::File { size: 3, executable: false }))));
        assert_eq!(walk.name(), None);
        assert!(walk.next().unwrap().is_none());
    }

    #[test]
    fn parts_of_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x");
        let bytes: Vec<u8> = (0..3 * CHUNK).map(|n| (n / 7) as u8).collect();
        std::fs::write(&file, &bytes).unwrap();
        let size = bytes.len();
        for part in [0..0, 0..1, 5..CHUNK, CHUNK - 1..size, 1..size - 1, size - 1..size, size..size] {
            let mut found: Vec<u8> = Vec::new();
            read_part(&file, size as u64, part.start as u64..part.end as u64, |bytes| found.extend(bytes)).unwrap();
            assert_eq!(found, bytes[part]);
        }
        // Only who reads the last part sees that the file is longer.
        read_part(&file, size as u64 - 1, 0..9, |_| ()).unwrap();
        for (size, part) in [(size - 1, 9..size - 1), (size + 1, 9..size + 1), (2 * size, size - 1..size + 1)] {
            let error = read_part(&file, size as u64, part.start as u64..part.end as u64, |_| ()).unwrap_err();
            assert!(matches!(error, Error::Changed { .. }), "{error}");
        }
    }

    #[test]
    fn a_changed_size_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x");
        std::fs::write(&file, vec![b'x'; 2 * CHUNK]).unwrap();
        let mut size = 0;
        read_file(&file, 2 * CHUNK as u64, |bytes| size += bytes.len()).unwrap();
        assert_eq!(size, 2 * CHUNK);
        for expected in [0, 1, CHUNK as u64, 2 * CHUNK as u64 - 1, 2 * CHUNK as u64 + 1] {
            let error = read_file(&file, expected, |_| ()).unwrap_err().to_string();
            let path = file.display();
            assert_eq!(
                error,
                format!("changed while it was read: {path}: found {} bytes, expected {expected}", 2 * CHUNK)
            );
        }
    }
}
