//! Writes the store paths that a script needs as a read-only file system for a virtual machine.

use crate::file_system::write_erofs;
use crate::{Error, Result, ScriptStore};
use layerstone_erofs::{FileContents, Inode, InodeKind, SmallFiles};
use layerstone_store::StorePath;
use std::collections::HashMap;
use std::fs::{self, DirEntry, File, Metadata};
use std::io::{self, Write};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The file system whose root is the store directory.
pub fn image(store: &ScriptStore<'_>) -> Result<File> {
    let file = tempfile::tempfile().map_err(Error::io("make a file in", std::env::temp_dir()))?;
    let mut files = Files::default();
    files.add_all(store)?;
    let inodes = std::mem::take(&mut files.inodes);
    let written = write_erofs(&inodes, SmallFiles::BehindInode, &mut files, &file);
    written.map_err(Error::io("write", "the store of the root script"))?;
    Ok(file)
}

/// The files of a store, by their numbers in the file system.
#[derive(Default)]
struct Files {
    inodes: Vec<Inode>,
    paths: Vec<PathBuf>,
    /// Files with several names, by device and inode number.
    linked: HashMap<(u64, u64), usize>,
    /// Directories that are to be read.
    left: Vec<usize>,
}

impl FileContents for Files {
    fn copy(&mut self, number: usize, out: &mut dyn Write) -> io::Result<()> {
        io::copy(&mut File::open(&self.paths[number])?, out).map(drop)
    }
}

impl Files {
    fn add_all(&mut self, store: &ScriptStore<'_>) -> Result<()> {
        let kind = InodeKind::Directory(Vec::new());
        self.inodes.push(Inode { kind, mode: 0o755, uid: 0, gid: 0, mtime: (1, 0), xattrs: Vec::new() });
        self.paths.push(PathBuf::new());
        let entry = |path: &StorePath| (path.base_name().as_bytes().into(), store.store.locate(path.as_str()));
        self.add_entries(0, store.closure.iter().map(entry).collect())?;
        while let Some(number) = self.left.pop() {
            let directory = &self.paths[number];
            let children = fs::read_dir(directory).and_then(|children| {
                let child = |child: io::Result<DirEntry>| child.map(|it| (it.file_name().into_vec().into(), it.path()));
                children.map(child).collect::<io::Result<Vec<(Box<[u8]>, PathBuf)>>>()
            });
            let mut children = children.map_err(Error::io("read", directory))?;
            // The order of a directory is the file system's.
            children.sort();
            self.add_entries(number, children)?;
        }
        Ok(())
    }

    /// Adds the files of a directory.
    fn add_entries(&mut self, number: usize, children: Vec<(Box<[u8]>, PathBuf)>) -> Result<()> {
        let mut entries = Vec::new();
        for (name, path) in children {
            entries.push((name, self.add(path)?));
        }
        self.inodes[number].kind = InodeKind::Directory(entries);
        Ok(())
    }

    /// Adds a file; its number.
    fn add(&mut self, path: PathBuf) -> Result<usize> {
        let metadata = path.symlink_metadata().map_err(Error::io("read", &path))?;
        let identity = (metadata.dev(), metadata.ino());
        if let Some(first) = self.linked.get(&identity) {
            return Ok(*first);
        }
        let number = self.inodes.len();
        self.inodes.push(inode(&path, &metadata)?);
        self.paths.push(path);
        if metadata.is_dir() {
            self.left.push(number);
        } else if metadata.nlink() > 1 {
            self.linked.insert(identity, number);
        }
        Ok(number)
    }
}

/// A file of a store: root's, whatever owner it has here.
fn inode(path: &Path, metadata: &Metadata) -> Result<Inode> {
    let kind = if metadata.is_file() {
        InodeKind::File(metadata.len())
    } else if metadata.is_dir() {
        InodeKind::Directory(Vec::new())
    } else if metadata.is_symlink() {
        let target = fs::read_link(path).map_err(Error::io("read", path))?;
        InodeKind::Symlink(target.into_os_string().into_vec().into())
    } else {
        let cause = io::Error::new(io::ErrorKind::InvalidData, "expected a file, directory or link");
        return Err(Error::io("read", path)(cause));
    };
    let nanoseconds = u32::try_from(metadata.mtime_nsec()).unwrap_or_default();
    let mode = metadata.permissions().mode() & 0o7777;
    Ok(Inode { kind, mode, uid: 0, gid: 0, mtime: (metadata.mtime(), nanoseconds), xattrs: Vec::new() })
}
