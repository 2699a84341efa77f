//! Opens files and directories by paths without symbolic links: what another user may replace between two looks is what it was,
//! of the same kind, or an error.
//!
//! A path is made free of links once, when it is first looked at (`canonicalize`); from then on none is followed, wherever in
//! the path it is. Does not know whose the files are.

use super::{Directory, follow, has_openat2};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2, readlinkat};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

/// Opens a regular file; a link anywhere in its path is an error, and so is anything else in its place, which is not waited
/// for.
pub fn open_real_file(path: &Path) -> io::Result<File> {
    follow::regular(open_real(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY))
}

/// An entry of a directory, open as `O_PATH`: what it is and, if it is a symbolic link, its text are of one file.
#[derive(Debug)]
pub struct RealEntry(File);

impl Directory {
    /// Opens a directory; a link anywhere in its path is an error.
    pub fn open_real(path: &Path) -> io::Result<Directory> {
        Ok(open_real(path, OFlags::PATH | OFlags::DIRECTORY)?.into())
    }

    /// An entry of this directory.
    pub fn entry(&self, name: &OsStr) -> io::Result<RealEntry> {
        Ok(RealEntry(self.open_any(name)?.into()))
    }

    /// The directory itself as an entry of another one.
    pub fn as_entry(&self) -> io::Result<RealEntry> {
        Ok(RealEntry(self.try_clone()?.fd.into()))
    }
}

impl RealEntry {
    /// What is known of it.
    pub fn metadata(&self) -> io::Result<Metadata> {
        self.0.metadata()
    }

    /// The text of a symbolic link.
    pub fn link_text(&self) -> io::Result<PathBuf> {
        Ok(OsString::from_vec(readlinkat(&self.0, "", Vec::new())?.into_bytes()).into())
    }
}

fn open_real(path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    if has_openat2() {
        match openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS) {
            // Older kernels do not know it, and filters of system calls answer EPERM for what they do not know.
            Err(Errno::NOSYS | Errno::PERM) => {}
            opened => return Ok(opened?),
        }
    }
    // Name by name, each in an open directory.
    let is_absolute = path.is_absolute();
    let mut at = Directory::open(Path::new(if is_absolute { "/" } else { "." }))?;
    let mut names = path.components().filter(|part| !matches!(part, Component::RootDir | Component::CurDir)).peekable();
    while let Some(name) = names.next() {
        if names.peek().is_none() {
            return Ok(openat(&at, name.as_os_str(), flags, Mode::empty())?);
        }
        let directory = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        at = openat(&at, name.as_os_str(), directory, Mode::empty())?.into();
    }
    Ok(openat(&at, ".", flags, Mode::empty())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::tests::IS_OLD_KERNEL;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn links_are_followed_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::write(root.join("a/b/file"), "text").unwrap();
        symlink("b", root.join("a/link")).unwrap();
        symlink("file", root.join("a/b/last")).unwrap();
        for is_old in [false, true] {
            IS_OLD_KERNEL.set(is_old);
            let read = |path: &str| open_real_file(&root.join(path)).and_then(io::read_to_string);
            assert_eq!(read("a/b/file").unwrap(), "text");
            assert_eq!(read("a/absent").unwrap_err().kind(), io::ErrorKind::NotFound);
            assert_eq!(read("a/b").unwrap_err().to_string(), "found no regular file");
            for path in ["a/link/file", "a/b/last", "a/link/last"] {
                let errno = Errno::from_io_error(&read(path).unwrap_err());
                assert!(matches!(errno, Some(Errno::LOOP | Errno::NOTDIR)), "{path}: {errno:?}");
            }
            assert!(Directory::open_real(&root.join("a/link")).is_err());
            let directory = Directory::open_real(&root.join("a")).unwrap();
            assert!(directory.as_entry().unwrap().metadata().unwrap().is_dir());
            let entry = directory.entry("link".as_ref()).unwrap();
            assert!(entry.metadata().unwrap().is_symlink());
            assert_eq!(entry.link_text().unwrap(), Path::new("b"));
            assert!(Directory::open_real(Path::new("/")).unwrap().as_entry().unwrap().metadata().unwrap().is_dir());
        }
        IS_OLD_KERNEL.set(false);
    }
}
