//! Follows paths on open directories, name by name, and decides whose symbolic links are followed.
//!
//! On a path that a user named, links are followed but for those that another user put into a sticky directory where
//! others can write, as the kernel does on demand (proc_sys_fs(5), protected_symlinks). Below an open directory, links are
//! followed that the caller, root, or the owner of that directory made; they may lead anywhere. The owner does not count
//! if the directory itself was put into a sticky one by another user.
//!
//! Does not know what is at the end.

use super::{Directory, file_type};
use crate::symlink::{Components, parent_of};
use crate::write_back::check_entries;
use rustix::fs::{
    CWD, FileType, Mode, OFlags, PROC_SUPER_MAGIC, ResolveFlags, Stat, fstat, fstatfs, openat, openat2, readlinkat,
};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::geteuid;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

/// The sticky bit of a directory: whoever can write to it cannot remove what is another's (inode(7)).
const STICKY: u32 = 0o1000;
/// Whether the group or others can write.
pub const OTHERS_WRITE: u32 = 0o022;

/// Whose links are followed.
#[derive(Clone, Copy, Debug)]
enum Links {
    /// All but those that were planted.
    NotPlanted,
    /// Those of these users.
    Of([u32; 3]),
}

/// A path that is being followed.
#[derive(Debug)]
pub(crate) struct Walk {
    at: Directory,
    left: Components,
    links: Links,
    /// The path, with the links that its last component was followed in its text.
    pub path: PathBuf,
}

/// What a path leads to: a name in an open directory, which is no link.
#[derive(Debug)]
pub(crate) struct Entry {
    pub directory: Directory,
    /// `.` or `..` if the path does not end in a name.
    pub name: OsString,
    /// What has the name, open as `O_PATH`; none if nothing has it.
    pub file: Option<OwnedFd>,
    /// Whether the name is a link whose text leads nowhere, which the kernel follows (proc_pid_fd(5)).
    is_magic: bool,
}

/// The cause of an error: another user put something into a directory where everybody may put things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Planted(&'static str);

impl fmt::Display for Planted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "found a {} of another user in a directory that everybody can write to, expected one of your own or nothing",
            self.0
        )
    }
}

impl std::error::Error for Planted {}

/// Whether an error says that something was planted.
pub(crate) fn is_refused(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|cause| cause.is::<Planted>())
}

/// Whether another user put an entry into a sticky directory where others can write.
fn is_planted(parent: &Stat, entry: &Stat) -> bool {
    let is_shared = parent.st_mode & STICKY != 0 && parent.st_mode & OTHERS_WRITE != 0;
    is_shared && ![geteuid().as_raw(), parent.st_uid].contains(&entry.st_uid)
}

impl Walk {
    /// Begins to follow a path that a user named.
    pub fn named(path: &Path) -> io::Result<Walk> {
        if path.as_os_str().is_empty() {
            return Err(Errno::NOENT.into());
        }
        let start = Path::new(if path.is_absolute() { "/" } else { "." });
        // Without a slash at its end.
        let left = Components::new(&path.components().collect::<PathBuf>());
        Ok(Walk { at: Directory::open(start)?, left, links: Links::NotPlanted, path: path.to_owned() })
    }

    /// Begins to follow a path in an open directory; `shown` is what messages call it.
    pub fn below(directory: &Directory, path: &Path, shown: &Path) -> io::Result<Walk> {
        let mine = geteuid().as_raw();
        let owner = if directory.is_planted { mine } else { directory.stat()?.st_uid };
        let (at, left) = (directory.try_clone()?, Components::new(beneath(path)?));
        Ok(Walk { at, left, links: Links::Of([mine, 0, owner]), path: shown.to_owned() })
    }

    /// Goes to the end of the path.
    ///
    /// # Errors
    ///
    /// Something on the way is not there, is no directory, or is a link that is not followed.
    pub fn entry(&mut self) -> io::Result<Entry> {
        while let Some(name) = self.left.next() {
            let is_last = self.left.is_empty();
            let name = if name.is_empty() { ".".into() } else { name };
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = match retry_on_intr(|| openat(&self.at, &name, flags, Mode::empty())) {
                Err(Errno::NOENT) if is_last => return self.end(name, None, false),
                opened => opened?,
            };
            let stat = fstat(&file)?;
            if file_type(&stat) == FileType::Symlink {
                if let Some(end) = self.enter(&name, &file, &stat, is_last)? {
                    match is_last {
                        true => return self.end(name, Some(end), true),
                        false => self.at = end.into(),
                    }
                }
            } else if is_last {
                return self.end(name, Some(file), false);
            } else {
                self.at = file.into();
            }
        }
        Err(Errno::NOENT.into())
    }

    fn end(&self, name: OsString, file: Option<OwnedFd>, is_magic: bool) -> io::Result<Entry> {
        Ok(Entry { directory: self.at.try_clone()?, name, file, is_magic })
    }

    /// Refuses a link, pipe, socket or device in a directory if it may be there for no good.
    ///
    /// # Errors
    ///
    /// It is; or the directory cannot be looked at.
    pub fn check(&self, directory: &Directory, name: &OsStr, stat: &Stat) -> io::Result<()> {
        let kind = match file_type(stat) {
            FileType::Symlink => "symbolic link",
            FileType::Fifo => "named pipe",
            FileType::Socket => "socket",
            _ => "device",
        };
        let refused = io::ErrorKind::PermissionDenied;
        match self.links {
            Links::NotPlanted if is_planted(&directory.stat()?, stat) => Err(io::Error::new(refused, Planted(kind))),
            Links::Of(owners) if !owners.contains(&stat.st_uid) => {
                let expected = "expected one of your own, of root or of the directory's owner";
                let cause = format!("found a {kind} of another user ({}), {expected}", name.display());
                Err(io::Error::new(refused, cause))
            }
            _ => Ok(()),
        }
    }

    /// Goes on with the text of a link; or what it leads to, if only the kernel knows that.
    fn enter(&mut self, name: &OsStr, link: &OwnedFd, stat: &Stat, is_last: bool) -> io::Result<Option<OwnedFd>> {
        self.check(&self.at, name, stat)?;
        if retry_on_intr(|| fstatfs(&self.at))?.f_type == PROC_SUPER_MAGIC {
            let end = retry_on_intr(|| openat(&self.at, name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()))?;
            // A regular file has a name, under which it can be replaced.
            if file_type(&fstat(&end)?) != FileType::RegularFile {
                return Ok(Some(end));
            }
        }
        let target = PathBuf::from(OsString::from_vec(readlinkat(link, "", Vec::new())?.into_bytes()));
        if is_last {
            self.path = parent_of(&self.path).join(&target);
        }
        if target.is_absolute() {
            self.at = Directory::open(Path::new("/"))?;
        }
        self.left.enter(name.into(), target).map_err(|_| Errno::LOOP)?;
        Ok(None)
    }
}

impl Entry {
    /// Opens what was found, whatever has its name meanwhile.
    pub fn reopen(self, flags: OFlags) -> io::Result<OwnedFd> {
        let file = self.file.as_ref().ok_or(Errno::NOENT)?;
        // The link in /proc leads to the very inode that is open (open(2), O_PATH).
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        match retry_on_intr(|| openat(CWD, &path, flags | OFlags::CLOEXEC, Mode::empty())) {
            Err(Errno::NOENT) => self.open(flags),
            opened => Ok(opened?),
        }
    }

    /// Opens it; it is an error if it has become a link meanwhile.
    pub fn open(self, flags: OFlags) -> io::Result<OwnedFd> {
        let file = self.file.ok_or(Errno::NOENT)?;
        if flags.contains(OFlags::PATH) {
            let is_wanted = !flags.contains(OFlags::DIRECTORY) || file_type(&fstat(&file)?) == FileType::Directory;
            return if is_wanted { Ok(file) } else { Err(Errno::NOTDIR.into()) };
        }
        let nofollow = if self.is_magic { OFlags::empty() } else { OFlags::NOFOLLOW };
        Ok(retry_on_intr(|| openat(&self.directory, &self.name, flags | nofollow | OFlags::CLOEXEC, Mode::empty()))?)
    }
}

impl Directory {
    /// Opens the directory that a path of the user leads to, for writing below it: a link that another user put into a
    /// directory for everybody is not followed.
    pub fn open_named(path: &Path) -> io::Result<Directory> {
        Directory::of_entry(Walk::named(path)?.entry()?)
    }

    pub(crate) fn of_entry(entry: Entry) -> io::Result<Directory> {
        let parent = entry.directory.stat()?;
        let opened = Directory::from(entry.open(OFlags::PATH | OFlags::DIRECTORY)?);
        let is_planted = is_planted(&parent, &opened.stat()?);
        Ok(Directory { is_planted, ..opened })
    }

    /// Opens the directory that a path of the user leads to as [`Directory::open_named`]; what is missing is made.
    pub fn create_named(path: &Path) -> io::Result<Directory> {
        let found = Walk::named(path)?.entry();
        let entry = match found {
            Err(e) if e.kind() == io::ErrorKind::NotFound && path.parent().is_some() => {
                Directory::create_named(&parent_of(path))?;
                Walk::named(path)?.entry()?
            }
            found => found?,
        };
        if entry.file.is_none() {
            entry.directory.create_directory_if_missing(&entry.name)?;
            return Directory::open_named(path);
        }
        Directory::of_entry(entry)
    }

    /// Opens a directory below this one, on whatever mount.
    pub fn open_below(&self, path: &Path) -> io::Result<Directory> {
        Ok(self.open_path(path, OFlags::PATH | OFlags::DIRECTORY)?.into())
    }

    /// Opens a directory below this one; it, and those above it, are made where nothing is.
    pub fn create_below(&self, path: &Path) -> io::Result<Directory> {
        let mut made = PathBuf::new();
        let mut at = self.try_clone()?;
        for name in beneath(path)? {
            made.push(name);
            at = match self.open_below(&made) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    at.create_directory_if_missing(name)?;
                    self.open_below(&made)?
                }
                opened => opened?,
            };
        }
        Ok(at)
    }

    /// Opens a regular file below this directory; anything else in its place is an error and is not waited for.
    pub fn open_file_below(&self, path: &Path) -> io::Result<File> {
        regular(self.open_path(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY))
    }

    /// [`Directory::open_file_below`], for writing too if that is allowed: for locks, which network file systems give to
    /// writers alone.
    pub fn open_lockable_below(&self, path: &Path) -> io::Result<File> {
        let writable = regular(self.open_path(path, OFlags::RDWR | OFlags::NONBLOCK | OFlags::NOCTTY));
        writable.or_else(|_| self.open_file_below(path))
    }

    /// Reads a regular file below this directory; it is an error if it has more bytes than this.
    pub fn read_below(&self, path: &Path, most: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.open_file_below(path)?.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > most {
            let cause = format!("found more than {most} bytes, expected at most as many");
            return Err(io::Error::new(io::ErrorKind::InvalidData, cause));
        }
        Ok(bytes)
    }

    /// What is known of what a path below this directory leads to.
    pub fn metadata_below(&self, path: &Path) -> io::Result<Metadata> {
        File::from(self.open_path(path, OFlags::PATH)?).metadata()
    }

    /// Whether a path below this directory leads to anything.
    pub fn has_below(&self, path: &Path) -> bool {
        self.open_path(path, OFlags::PATH).is_ok()
    }

    fn create_directory_if_missing(&self, name: &OsStr) -> io::Result<()> {
        match self.create_directory(name, 0o777) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            Err(e) => Err(e),
            Ok(()) => check_entries(self),
        }
    }

    /// Opens what a path below this directory leads to.
    fn open_path(&self, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        if super::has_openat2() {
            let below = beneath(path)?;
            match retry_on_intr(|| openat2(self, below, flags | OFlags::CLOEXEC, Mode::empty(), resolve)) {
                // A link; a rename somewhere; an older kernel; a filter of system calls.
                Err(Errno::LOOP | Errno::AGAIN | Errno::NOSYS | Errno::PERM) => {}
                opened => return Ok(opened?),
            }
        }
        Walk::below(self, path, path)?.entry()?.open(flags)
    }
}

/// Opens a regular file that a user named; anything else in its place is an error and is not waited for.
pub fn open_regular(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    regular(retry_on_intr(|| openat(CWD, path, flags, Mode::empty())).map_err(io::Error::from))
}

/// What was opened, if it is a regular file.
pub(super) fn regular(opened: io::Result<OwnedFd>) -> io::Result<File> {
    let other = || io::Error::new(io::ErrorKind::InvalidInput, "found no regular file");
    let file = match opened {
        // Sockets cannot be opened, nor pipes for writing that nobody reads.
        Err(e) if Errno::from_io_error(&e) == Some(Errno::NXIO) => return Err(other()),
        opened => File::from(opened?),
    };
    match file_type(&fstat(&file)?) {
        FileType::RegularFile => Ok(file),
        _ => Err(other()),
    }
}

/// A path that names something below a directory.
fn beneath(path: &Path) -> io::Result<&Path> {
    let is_beneath = path.components().all(|part| matches!(part, Component::Normal(_)));
    if is_beneath && !path.as_os_str().is_empty() { Ok(path) } else { Err(io::ErrorKind::InvalidInput.into()) }
}
