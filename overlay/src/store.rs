//! Writes the store paths that a script needs as a read-only file system for a virtual machine.

use crate::{Error, Result, ScriptStore};
use layerstone_erofs::{FileContent, FileContents, Inode, InodeKind};
use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Bytes written at a time.
const WRITTEN: usize = 1 << 18;

/// The file system whose root is the store directory.
pub fn image(store: &ScriptStore<'_>) -> Result<File> {
    let file = tempfile::tempfile().map_err(Error::io("make a file in", std::env::temp_dir()))?;
    let mut files = Files::default();
    files.add_all(store)?;
    let mut out = BufWriter::with_capacity(WRITTEN, &file);
    let inodes = std::mem::take(&mut files.inodes);
    let written = layerstone_erofs::write(&inodes, &mut files, &mut out).and_then(|()| out.flush());
    written.map_err(Error::io("write", "the store of the root script"))?;
    drop(out);
    Ok(file)
}

#[derive(Default)]
struct Files {
    inodes: Vec<Inode>,
    /// Where each file is; the key of contents is its place here.
    paths: Vec<PathBuf>,
    /// Files with several names, by device and inode number.
    linked: HashMap<(u64, u64), usize>,
}

impl FileContents for Files {
    fn copy(&mut self, key: usize, out: &mut dyn Write) -> io::Result<()> {
        io::copy(&mut File::open(&self.paths[key])?, out).map(drop)
    }
}

impl Files {
    fn add_all(&mut self, store: &ScriptStore<'_>) -> Result<()> {
        let kind = InodeKind::Directory { parent: 0, entries: Vec::new() };
        self.inodes.push(Inode { kind, mode: 0o755, uid: 0, gid: 0, mtime: (1, 0), links: 2, xattrs: Vec::new() });
        self.paths.push(PathBuf::new());
        let mut entries = Vec::new();
        let mut folders = Vec::new();
        for path in &store.closure {
            let real = store.store.locate(path.as_str());
            entries.push((path.base_name().as_bytes().into(), self.add(&real, 0, &mut folders)?));
        }
        while let Some((number, parent)) = folders.pop() {
            let folder = self.paths[number].clone();
            let mut found = Vec::new();
            for child in fs::read_dir(&folder).map_err(Error::io("read", &folder))? {
                let child = child.map_err(Error::io("read", &folder))?;
                found.push((child.file_name().into_vec().into(), child.path()));
            }
            // The order of a folder is the file system's.
            found.sort();
            let mut entries: Vec<(Box<[u8]>, usize)> = Vec::new();
            for (name, path) in found {
                entries.push((name, self.add(&path, number, &mut folders)?));
            }
            self.inodes[number].kind = InodeKind::Directory { parent, entries };
        }
        self.inodes[0].kind = InodeKind::Directory { parent: 0, entries };
        Ok(())
    }

    /// Adds a file; its number. A folder's files are still to come.
    fn add(&mut self, path: &Path, parent: usize, folders: &mut Vec<(usize, usize)>) -> Result<usize> {
        let metadata = path.symlink_metadata().map_err(Error::io("read", path))?;
        let identity = (metadata.dev(), metadata.ino());
        if let Some(first) = self.linked.get(&identity) {
            self.inodes[*first].links += 1;
            return Ok(*first);
        }
        let number = self.inodes.len();
        self.inodes.push(inode(path, &metadata, number)?);
        self.paths.push(path.to_owned());
        if metadata.is_dir() {
            self.inodes[parent].links += 1;
            folders.push((number, parent));
        } else if metadata.nlink() > 1 {
            self.linked.insert(identity, number);
        }
        Ok(number)
    }
}

/// A file of a store: root's, whoever owns it here.
fn inode(path: &Path, metadata: &Metadata, number: usize) -> Result<Inode> {
    let kind = if metadata.is_file() {
        InodeKind::File(FileContent { size: metadata.len(), key: number })
    } else if metadata.is_dir() {
        InodeKind::Directory { parent: 0, entries: Vec::new() }
    } else if metadata.is_symlink() {
        let target = fs::read_link(path).map_err(Error::io("read", path))?;
        InodeKind::Symlink(target.into_os_string().into_vec().into())
    } else {
        let cause = io::Error::new(io::ErrorKind::InvalidData, "expected a file, folder or link");
        return Err(Error::io("read", path)(cause));
    };
    let nanoseconds = u32::try_from(metadata.mtime_nsec()).unwrap_or_default();
    let links = if metadata.is_dir() { 2 } else { 1 };
    let mode = metadata.permissions().mode() & 0o7777;
    Ok(Inode { kind, mode, uid: 0, gid: 0, mtime: (metadata.mtime(), nanoseconds), links, xattrs: Vec::new() })
}
