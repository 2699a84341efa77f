//! Writes outputs atomically.
//!
//! A file is written under a temporary name in the directory of its destination, checked for errors that come late
//! (see [`crate::write_back`]), and renamed over the destination; until then that keeps what it had, whatever kills us.
//! The new file has the mode of the one that it replaces (see [`crate::replaced`]).
//!
//! A destination that is a symbolic link stays one: what it leads to is written. One that is there and is no regular file
//! (`/dev/null`, a named pipe) cannot be replaced by a rename without harm: it is written directly. Links and pipes that
//! another user put into a directory for everybody are refused. The directory is held open, so that nothing that happens
//! to its path meanwhile matters.

use crate::directory::{Directory, Entry, Walk, file_type};
use crate::replaced::Replaced;
use crate::symlink::parent_of;
use crate::write_back::{Sync, begin_write_back, check_close, check_written, sync};
use crate::{Error, Leftover, Result, temporary};
use rustix::fs::{FileType, Mode, OFlags, fchmod, fstat};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file that is being written: writes go to a temporary file beside the destination, [`Output::commit`] moves it there. Dropped
/// without commit, it disappears.
///
/// A file that replaces none is created readable by all and writable by its owner, less the umask, as any new file is.
#[derive(Debug)]
pub struct Output {
    file: File,
    /// The name to be renamed or removed; none once committed, or when the destination is written directly.
    temporary: Option<Temporary>,
    destination: PathBuf,
    kind: Kind,
    /// Whether all that was written is known to have arrived.
    is_checked: bool,
}

/// A temporary name in a directory.
#[derive(Debug)]
struct Temporary {
    directory: Arc<Directory>,
    name: OsString,
    /// For when a signal ends this process.
    leftover: Leftover,
}

/// What an output is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// A file that keeps the mode of the one that it replaces.
    File,
    /// A file of a cache, which is checked when it is read: of a fixed mode, and never synced.
    Cached,
    /// A device or a pipe.
    Special,
}

impl Output {
    /// Starts an output; its directory must exist. Removes what dead processes left in that directory first.
    pub fn create(destination: &Path) -> Result<Output> {
        Output::create_in(destination, &mut BTreeMap::new())
    }

    /// Starts several outputs, all or none; each directory is looked through once.
    pub fn create_all<P: AsRef<Path>>(destinations: &[P]) -> Result<Vec<Output>> {
        let mut directories = BTreeMap::new();
        destinations.iter().map(|destination| Output::create_in(destination.as_ref(), &mut directories)).collect()
    }

    /// Starts several outputs in an open directory, by the names that these paths end in, all or none.
    pub fn create_all_below<P: AsRef<Path>>(directory: &Directory, destinations: &[P]) -> Result<Vec<Output>> {
        let mut directories = Directories::new();
        let create = |destination: &P| {
            let destination = destination.as_ref();
            let walk = Walk::below(directory, Path::new(name_of(destination)), destination);
            Output::create_at(walk.map_err(Error::io("write", destination))?, destination, &mut directories)
        };
        destinations.iter().map(create).collect()
    }

    /// Starts a file of a cache in an open directory, of exactly this mode, which replaces whatever is there.
    pub(crate) fn create_cached(directory: &Arc<Directory>, destination: &Path, mode: u32) -> Result<Output> {
        temporary::sweep(directory);
        let output = Output::begin(Arc::clone(directory), mode, destination, Kind::Cached)?;
        fchmod(&output.file, Mode::from_raw_mode(mode)).map_err(|e| Error::io("write", destination)(e.into()))?;
        Ok(output)
    }

    /// Checks that the directory of a destination exists, before work is done for it.
    ///
    /// # Errors
    ///
    /// [`Error::NoParent`], or it cannot be looked at.
    pub fn check_parent(destination: &Path) -> Result<()> {
        let mut walk = Walk::named(destination).map_err(Error::io("write", destination))?;
        entry_of(&mut walk, destination).map(drop)
    }

    fn begin(directory: Arc<Directory>, mode: u32, destination: &Path, kind: Kind) -> Result<Output> {
        let created = temporary::create_file(&directory, mode);
        let (file, name, leftover) = created.map_err(Error::io("write", destination))?;
        let temporary = Some(Temporary { directory, name, leftover });
        Ok(Output { file, temporary, destination: destination.to_owned(), kind, is_checked: false })
    }

    /// Starts an output below an open directory, where links are followed as [`Directory::open_below`] does; `destination`
    /// is what messages call it.
    pub fn create_below(directory: &Directory, path: &Path, destination: &Path) -> Result<Output> {
        let walk = Walk::below(directory, path, destination).map_err(Error::io("write", destination))?;
        Output::create_at(walk, destination, &mut Directories::new())
    }

    /// Starts an output in an open directory of ours, to which nobody else writes and in which nothing has its name.
    pub fn create_new(directory: &Arc<Directory>, destination: &Path) -> Result<Output> {
        Output::begin(Arc::clone(directory), Replaced::mode_at_first(None), destination, Kind::File)
    }

    fn create_in(destination: &Path, directories: &mut Directories) -> Result<Output> {
        check_name(destination)?;
        let walk = Walk::named(destination).map_err(Error::io("write", destination))?;
        Output::create_at(walk, destination, directories)
    }

    fn create_at(mut walk: Walk, destination: &Path, directories: &mut Directories) -> Result<Output> {
        let entry = entry_of(&mut walk, destination)?;
        let end = walk.path.clone();
        let found = entry.file.as_ref().map(fstat).transpose().map_err(|e| Error::io("write", &end)(e.into()))?;
        match found.as_ref().map(file_type) {
            None | Some(FileType::RegularFile) => {}
            Some(FileType::Directory) => return Err(Error::io("write", &end)(io::ErrorKind::IsADirectory.into())),
            Some(_) => {
                let checked = found.map_or(Ok(()), |stat| walk.check(&entry.directory, &entry.name, &stat));
                checked.map_err(Error::io("write", destination))?;
                return Output::special(entry, destination);
            }
        }
        let (name, directory) = (entry.name, swept(entry.directory, directories).map_err(Error::io("write", &end))?);
        let replaced = Replaced::find(&directory, &name);
        Output::begin(directory, Replaced::mode_at_first(replaced.as_ref()), &end, Kind::File)
    }

    /// An output to a device or a pipe.
    fn special(entry: Entry, destination: &Path) -> Result<Output> {
        let file = entry.reopen(OFlags::WRONLY).map_err(Error::io("write", destination))?.into();
        let destination = destination.to_owned();
        Ok(Output { file, temporary: None, destination, kind: Kind::Special, is_checked: false })
    }

    /// The temporary file, for positioned writes ([`FileExt`]) and seeking.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Whether bytes can be written at any offset in any order: true but for devices and pipes.
    pub fn is_seekable(&self) -> bool {
        self.kind != Kind::Special
    }

    /// The name under which the file will appear.
    pub fn destination(&self) -> &Path {
        &self.destination
    }

    /// Writes all bytes at an offset.
    pub fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    /// Begins anew: what was written is gone.
    ///
    /// # Errors
    ///
    /// It is a device or a pipe, or cannot be written.
    pub fn restart(&mut self) -> Result<()> {
        let again = self.file.set_len(0).and_then(|()| self.file.rewind());
        again.map_err(Error::io("write", &self.destination))
    }

    /// Moves the finished file to its destination, replacing what was there.
    pub fn commit(self) -> Result<()> {
        match &self.temporary {
            Some(temporary) => {
                let (directory, destination) = (Arc::clone(&temporary.directory), self.destination.clone());
                self.commit_in(&directory, &destination)
            }
            None => self.check(),
        }
    }

    /// Moves several finished files to their destinations, after all of them were checked.
    pub fn commit_all(outputs: impl IntoIterator<Item = Output>) -> Result<()> {
        let mut outputs: Vec<Output> = outputs.into_iter().collect();
        outputs.iter().for_each(|output| begin_write_back(&output.file));
        for output in &mut outputs {
            output.check()?;
            output.is_checked = true;
        }
        outputs.into_iter().try_for_each(Output::commit)
    }

    /// Moves the finished file into an open directory on the same file system; `destination` leads there.
    pub fn commit_in(mut self, directory: &Directory, destination: &Path) -> Result<()> {
        self.destination = destination.to_owned();
        self.check()?;
        let Some(Temporary { directory: from, name: temporary, leftover }) = self.temporary.take() else {
            return Ok(());
        };
        let name = name_of(&self.destination);
        let moved = leftover.settle(|| {
            match Replaced::find(directory, name) {
                Some(replaced) if self.kind == Kind::File => replaced.take_over(&self.file)?,
                _ => {}
            }
            from.rename(&temporary, directory, name)
        });
        if let Err((leftover, e)) = moved {
            self.temporary = Some(Temporary { directory: from, name: temporary, leftover });
            return Err(Error::io("write", &self.destination)(e));
        }
        if sync() == Sync::Always && self.kind == Kind::File {
            directory.sync().map_err(Error::io("write", &self.destination))?;
        }
        Ok(())
    }

    /// Checks that all that was written has arrived.
    fn check(&self) -> Result<()> {
        let checked = match self.kind {
            _ if self.is_checked => Ok(()),
            Kind::Cached => check_close(&self.file),
            Kind::File | Kind::Special => check_written(&self.file),
        };
        checked.map_err(Error::io("write", &self.destination))
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Some(Temporary { directory, name, .. }) = &self.temporary {
            // Nothing can be done about a failure here; the next sweep tries again.
            let _ = directory.remove_file(name);
        }
    }
}

/// Writes a small file atomically.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut output = Output::create(path)?;
    output.write_all(bytes).map_err(Error::io("write", path))?;
    output.commit()
}

/// Writes a small file of an open directory atomically if nothing has its name, and else leaves what has it; whether it was
/// written. `path` leads there.
pub fn write_new(directory: &Arc<Directory>, path: &Path, bytes: &[u8]) -> Result<bool> {
    let mut output = Output::create_new(directory, path)?;
    output.write_all(bytes).map_err(Error::io("write", path))?;
    output.check()?;
    // What is not renamed is removed with the output.
    let Some(temporary) = &output.temporary else { return Ok(true) };
    let moved = directory.rename_new(&temporary.name, name_of(path));
    let is_new = moved.map_err(Error::io("write", path))?;
    if is_new && sync() == Sync::Always {
        directory.sync().map_err(Error::io("write", path))?;
    }
    Ok(is_new)
}

/// The directories of outputs, by device and inode.
type Directories = BTreeMap<(u64, u64), Arc<Directory>>;

/// A directory, from which what dead processes left was removed once.
fn swept(directory: Directory, directories: &mut Directories) -> io::Result<Arc<Directory>> {
    let stat = directory.stat()?;
    let directory = directories.entry((stat.st_dev, stat.st_ino)).or_insert_with(|| {
        temporary::sweep(&directory);
        Arc::new(directory)
    });
    Ok(Arc::clone(directory))
}

fn name_of(path: &Path) -> &OsStr {
    path.file_name().unwrap_or_default()
}

/// Refuses a name that says it is a directory's.
fn check_name(destination: &Path) -> Result<()> {
    if !destination.as_os_str().as_encoded_bytes().ends_with(b"/") {
        return Ok(());
    }
    let cause = io::Error::new(io::ErrorKind::IsADirectory, "found the name of a directory, expected that of a file");
    Err(Error::io("write", destination)(cause))
}

/// Where an output goes.
fn entry_of(walk: &mut Walk, destination: &Path) -> Result<Entry> {
    match walk.entry() {
        Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            let (path, parent) = (walk.path.clone(), parent_of(&walk.path));
            Err(Error::NoParent { path, parent })
        }
        entry => entry.map_err(Error::io("write", destination)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        std::fs::write(&path, "old").unwrap();
        let mut output = Output::create(&path).unwrap();
        output.write_all(b"new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        drop(output);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        write_whole(&path, b"new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn of_many_writers_one_is_the_first() {
        for _ in 0..50 {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("x");
            let directory = Arc::new(Directory::open(dir.path()).unwrap());
            let write = |number: u8| write_new(&directory, &path, &[number]).unwrap();
            let written: Vec<bool> = std::thread::scope(|scope| {
                let writers: Vec<_> = (0..4).map(|number| scope.spawn(move || write(number))).collect();
                writers.into_iter().map(|writer| writer.join().unwrap()).collect()
            });
            let first = written.iter().position(|&it| it).unwrap();
            assert_eq!(written.iter().filter(|&&it| it).count(), 1);
            assert_eq!(std::fs::read(&path).unwrap(), [u8::try_from(first).unwrap()]);
            assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        }
    }

    #[test]
    fn devices_are_not_replaced() {
        let mut output = Output::create(Path::new("/dev/null")).unwrap();
        output.write_all(b"x").unwrap();
        assert!(!output.is_seekable());
        output.commit().unwrap();
        assert!(!Path::new("/dev/null").symlink_metadata().unwrap().is_file());
    }

    #[test]
    fn a_missing_directory_is_an_error() {
        let error = Output::create(Path::new("/nonexistent/x")).unwrap_err().to_string();
        assert_eq!(error, "cannot write: /nonexistent/x: its directory /nonexistent does not exist");
    }

    #[test]
    fn a_name_that_is_known_late() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("far")).unwrap();
        for name in ["near", "far/x"] {
            let mut output = Output::create(&dir.path().join("new")).unwrap();
            output.write_all(name.as_bytes()).unwrap();
            let path = dir.path().join(name);
            output.commit_in(&Directory::open(&parent_of(&path)).unwrap(), &path).unwrap();
            assert_eq!(std::fs::read(dir.path().join(name)).unwrap(), name.as_bytes());
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    /// A link at the destination stays one; what it leads to is written, below an open directory too.
    #[test]
    fn links_stay() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::create_dir(at("far")).unwrap();
        std::os::unix::fs::symlink("far/x", at("link")).unwrap();
        std::os::unix::fs::symlink("link", at("to-link")).unwrap();
        let directory = Directory::open(dir.path()).unwrap();
        for (number, name) in [(0, "link"), (1, "to-link")] {
            write_whole(&at(name), &[number]).unwrap();
            assert_eq!(std::fs::read(at("far/x")).unwrap(), [number]);
            let mut output = Output::create_below(&directory, Path::new(name), &at(name)).unwrap();
            assert_eq!(output.destination(), at("far/x"));
            output.write_all(name.as_bytes()).unwrap();
            output.commit().unwrap();
            assert_eq!(std::fs::read(at("far/x")).unwrap(), name.as_bytes());
            assert!(at(name).is_symlink());
        }
        assert!(Output::create_below(&directory, Path::new("far"), &at("far")).is_err());
        assert!(Output::create(&at("far/x/y")).is_err());
    }
}
