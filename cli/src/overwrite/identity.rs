//! The identity of a file: its path without links, and its device and inode if it exists.

use layerstone_store::follow_last;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A file, and what it is called on the command line or in a spec.
pub struct NamedFile {
    pub name: PathBuf,
    pub identity: Identity,
    pub is_directory: bool,
}

impl NamedFile {
    /// None for what is no file: standard input and output as such, devices, pipes.
    pub fn at(path: &Path) -> Option<NamedFile> {
        if path == Path::new("-") {
            return None;
        }
        let identity = Identity::of(path)?;
        Some(NamedFile { name: path.to_owned(), identity, is_directory: path.is_dir() })
    }
}

/// Which file it is, whatever it is called.
pub struct Identity {
    /// Where it is, without links.
    pub path: PathBuf,
    /// Device and inode, if it exists.
    inode: Option<(u64, u64)>,
}

impl Identity {
    /// None for what is neither a file nor a directory.
    pub fn of(path: &Path) -> Option<Identity> {
        let metadata = path.metadata().ok();
        if metadata.as_ref().is_some_and(|metadata| !metadata.is_file() && !metadata.is_dir()) {
            return None;
        }
        let inode = metadata.map(|metadata| (metadata.dev(), metadata.ino()));
        Some(Identity { path: real(path), inode })
    }

    pub fn is(&self, other: &Identity) -> bool {
        self.path == other.path || self.inode.is_some() && self.inode == other.inode
    }

    /// Whether it is a directory, or is somewhere in it.
    pub fn is_in(&self, directory: &Identity) -> bool {
        self.path.starts_with(&directory.path)
    }
}

/// Where a file is, or will be when it is written: links followed, the last one too though it leads to nothing yet.
fn real(path: &Path) -> PathBuf {
    if let Ok(real) = path.canonicalize() {
        return real;
    }
    let at = follow_last(path).ok().and_then(|mut links| links.pop()).unwrap_or_else(|| path.to_owned());
    // The directories that exist, and behind them what does not.
    let absolute = std::path::absolute(&at).unwrap_or(at);
    let existing = absolute.ancestors().skip(1).find_map(|above| Some((above, above.canonicalize().ok()?)));
    match existing {
        Some((above, real)) => real.join(absolute.strip_prefix(above).unwrap_or(Path::new(""))),
        None => absolute,
    }
}
