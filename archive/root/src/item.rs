//! Finds the directory of a contents item, and follows links in it.
//!
//! An item is a directory in the store, or a symbolic link to one in the same store. Links are followed below the store's
//! root, because the system would follow absolute ones to the store of this machine.

use crate::{Error, Result};
use layerstone_store::{Found, Stop, Store, StorePath, Walk};
use std::fs::FileType;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

/// Why there is nothing at the end of links.
#[derive(Debug)]
pub enum Lost {
    /// They lead out of the store, or to the store itself.
    Outside,
    /// There are too many of them.
    Loop,
    /// There is nothing at this path, or something above it is no directory.
    Nowhere(PathBuf, io::Error),
    /// This path cannot be read.
    Unread(PathBuf, io::Error),
}

/// The directory that a contents item is or leads to, as a logical path without links.
pub fn directory_of(store: &Store, item: &StorePath) -> Result<PathBuf> {
    let refuse = |cause: String| Error::Contents { item: item.clone(), cause };
    let at = follow(store, Path::new(store.dir()), Path::new(item.base_name())).map_err(|lost| match lost {
        Lost::Outside => refuse(format!("its links lead out of the store {}", store.dir())),
        Lost::Loop => refuse("too many links".to_owned()),
        Lost::Nowhere(path, source) | Lost::Unread(path, source) => Error::io("read", &path)(source),
    })?;
    let real = store.locate(&at);
    let found = real.symlink_metadata().map_err(Error::io("read", &real))?.file_type();
    if found.is_dir() {
        return Ok(at);
    }
    let link = if at == Path::new(item.as_str()) { String::new() } else { format!("a link to {}, ", at.display()) };
    Err(refuse(format!("found {link}a {}, expected a directory", describe(found))))
}

/// What a file is, for messages.
pub fn describe(kind: FileType) -> &'static str {
    match kind {
        kind if kind.is_dir() => "directory",
        kind if kind.is_file() => "regular file",
        kind if kind.is_symlink() => "symbolic link",
        kind if kind.is_socket() => "socket",
        kind if kind.is_fifo() => "named pipe",
        _ => "device",
    }
}

/// The logical path to which `text` leads from a directory of the store, all links followed: an entry of the store or
/// something in one. The directory's own path has no links. The directories above the store are not read: a link that
/// leads above the store and back into it leads into it.
pub fn follow(store: &Store, directory: &Path, text: &Path) -> Result<PathBuf, Lost> {
    let dir = Path::new(store.dir());
    let look = |at: &Path| match at.starts_with(dir) && at != dir {
        true => {
            let real = store.locate(at);
            Found::on_disk(&real).map_err(|source| lost(&real, source))
        }
        false if dir.starts_with(at) => Ok(Found::Directory),
        false => Err(Lost::Outside),
    };
    let at = Walk::new("/", directory, text).follow(look).map_err(|stop| match stop {
        Stop::TooManySymlinks => Lost::Loop,
        Stop::NotADirectory(at) => Lost::Nowhere(store.locate(at), io::ErrorKind::NotADirectory.into()),
        Stop::Lookup(lost) => lost,
    })?;
    if at.starts_with(dir) && at != dir { Ok(at) } else { Err(Lost::Outside) }
}

fn lost(path: &Path, source: io::Error) -> Lost {
    use io::ErrorKind::{InvalidFilename, NotADirectory, NotFound};
    match source.kind() {
        NotFound | NotADirectory | InvalidFilename => Lost::Nowhere(path.to_owned(), source),
        _ => Lost::Unread(path.to_owned(), source),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{create_dir_all, write};
    use std::os::unix::fs::symlink;

    /// A store with a directory, a file and links; what an item named `base` leads to, relative to the store.
    #[track_caller]
    fn check(base: &str, expected: Result<&str, &str>) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new("/s/t", dir.path()).unwrap();
        let at = dir.path().join("s/t");
        create_dir_all(at.join("tree/deep/er")).unwrap();
        create_dir_all(dir.path().join("s/beside")).unwrap();
        write(at.join("file"), "").unwrap();
        for (name, target) in [
            ("absolute", "/s/t/tree"),
            ("relative", "./tree//deep"),
            ("chain", "absolute/deep/../link/er"),
            ("tree/link", "/s/t/relative"),
            ("loop", "loop"),
            ("to-file", "/s/t/file"),
            ("up", "../beside"),
            ("out", "/etc"),
            ("self", "/s/t"),
            ("dangling", "nowhere"),
            ("through-file", "file/../tree"),
            ("file-as-folder", "file/"),
            ("round-about", "../../../s/t/tree"),
        ] {
            symlink(target, at.join(name)).unwrap();
        }
        let found = directory_of(&store, &store.entry(base).unwrap());
        let found =
            found.map(|path| path.strip_prefix("/s/t").unwrap().display().to_string()).map_err(|e| e.to_string());
        assert_eq!(found.as_deref().map_err(|e| e.split(": ").last().unwrap()), expected);
    }

    #[test]
    fn directories_and_links_to_them() {
        check("tree", Ok("tree"));
        check("absolute", Ok("tree"));
        check("relative", Ok("tree/deep"));
        check("chain", Ok("tree/deep/er"));
        check("round-about", Ok("tree"));
    }

    #[test]
    fn what_is_no_directory_in_the_store() {
        check("file", Err("found a regular file, expected a directory"));
        check("to-file", Err("found a link to /s/t/file, a regular file, expected a directory"));
        check("loop", Err("too many links"));
        for outside in ["up", "out", "self"] {
            check(outside, Err("its links lead out of the store /s/t"));
        }
        check("through-file", Err("not a directory"));
        check("file-as-folder", Err("not a directory"));
        check("dangling", Err("No such file or directory (os error 2)"));
        check("absent", Err("No such file or directory (os error 2)"));
    }
}
