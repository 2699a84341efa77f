//! A store path's files as a value, and how they are written: read-only, dated one second after the epoch, as Nix
//! leaves them.

use anyhow::{Context, Result};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

/// A file or directory and what it holds.
pub enum Tree {
    /// A regular file.
    File(Vec<u8>),
    /// A regular file that can be executed.
    Exec(Vec<u8>),
    /// A symbolic link with its target.
    Link(Vec<u8>),
    /// A further name of a regular file, which is named from the whole tree's top.
    Hard(&'static str),
    /// A directory; names are bytes and sorted as such.
    Dir(BTreeMap<Vec<u8>, Tree>),
}

/// A [`Tree::Dir`] of `NAME => TREE` pairs; a name is text or bytes.
macro_rules! dir {
    ($($name:expr => $tree:expr),* $(,)?) => {
        $crate::synth::tree::Tree::Dir(std::collections::BTreeMap::from([$((Vec::from($name), $tree)),*]))
    };
}
pub(crate) use dir;

impl Tree {
    pub fn file(contents: impl AsRef<[u8]>) -> Tree {
        Tree::File(contents.as_ref().to_vec())
    }

    pub fn exec(contents: impl AsRef<[u8]>) -> Tree {
        Tree::Exec(contents.as_ref().to_vec())
    }

    pub fn link(target: impl AsRef<[u8]>) -> Tree {
        Tree::Link(target.as_ref().to_vec())
    }

    pub fn dir(entries: impl IntoIterator<Item = (String, Tree)>) -> Tree {
        Tree::Dir(entries.into_iter().map(|(name, tree)| (name.into_bytes(), tree)).collect())
    }

    /// What a `/`-separated path leads to from this tree's top.
    pub fn get(&self, path: &str) -> Option<&Tree> {
        path.split('/').try_fold(self, |tree, name| match tree {
            Tree::Dir(entries) => entries.get(name.as_bytes()),
            _ => None,
        })
    }

    /// Writes the tree in place of whatever has its name.
    pub fn write(&self, path: &Path) -> Result<()> {
        remove(path).with_context(|| format!("cannot remove: {}", path.display()))?;
        self.create(path)?;
        self.link_hard(path, path)?;
        self.seal(path)
    }

    /// Everything but the hard links, whose files must be there first.
    fn create(&self, path: &Path) -> Result<()> {
        let done = match self {
            Tree::File(contents) => write_file(path, contents, 0o444),
            Tree::Exec(contents) => write_file(path, contents, 0o555),
            Tree::Link(target) => symlink(OsStr::from_bytes(target), path),
            Tree::Hard(_) => Ok(()),
            Tree::Dir(_) => fs::create_dir(path),
        };
        done.with_context(|| format!("cannot create: {}", path.display()))?;
        self.each(path, |tree, path| tree.create(path))
    }

    fn link_hard(&self, path: &Path, top: &Path) -> Result<()> {
        if let Tree::Hard(target) = self {
            fs::hard_link(top.join(target), path).with_context(|| format!("cannot link: {}", path.display()))?;
        }
        self.each(path, |tree, path| tree.link_hard(path, top))
    }

    /// Sets times and takes the right to write away, innermost first because each change touches the directory above.
    fn seal(&self, path: &Path) -> Result<()> {
        self.each(path, Tree::seal)?;
        let sealed = match self {
            Tree::Dir(_) => fs::set_permissions(path, Permissions::from_mode(0o555)),
            _ => Ok(()),
        };
        let second = Timespec { tv_sec: 1, tv_nsec: 0 };
        let times = Timestamps { last_access: second, last_modification: second };
        sealed
            .and_then(|()| Ok(utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?))
            .with_context(|| format!("cannot set mode and time: {}", path.display()))
    }

    fn each(&self, path: &Path, mut action: impl FnMut(&Tree, &Path) -> Result<()>) -> Result<()> {
        let Tree::Dir(entries) = self else { return Ok(()) };
        entries.iter().try_for_each(|(name, tree)| action(tree, &path.join(OsStr::from_bytes(name))))
    }
}

/// Writes a file with exactly this mode, whatever the umask.
pub fn write_file(path: &Path, contents: &[u8], mode: u32) -> std::io::Result<()> {
    fs::write(path, contents)?;
    fs::set_permissions(path, Permissions::from_mode(mode))
}

/// Removes a file or a tree, also one whose directories cannot be written; what is not there is fine.
pub fn remove(path: &Path) -> std::io::Result<()> {
    match path.symlink_metadata() {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
        Ok(meta) if !meta.is_dir() => fs::remove_file(path),
        Ok(_) => {
            fs::set_permissions(path, Permissions::from_mode(0o755))?;
            fs::read_dir(path)?.try_for_each(|entry| remove(&entry?.path()))?;
            fs::remove_dir(path)
        }
    }
}

#[cfg(test)]
impl Tree {
    /// Reads a tree back; hard links come as the files that they name.
    pub fn read(path: &Path) -> std::io::Result<Tree> {
        use std::os::unix::ffi::OsStringExt;
        let meta = path.symlink_metadata()?;
        if meta.is_symlink() {
            return Ok(Tree::Link(fs::read_link(path)?.into_os_string().into_vec()));
        }
        if meta.is_dir() {
            let entries = fs::read_dir(path)?.map(|entry| {
                let entry = entry?;
                Ok((entry.file_name().into_vec(), Tree::read(&entry.path())?))
            });
            return entries.collect::<std::io::Result<_>>().map(Tree::Dir);
        }
        let contents = fs::read(path)?;
        Ok(if meta.permissions().mode() & 0o100 == 0 { Tree::File(contents) } else { Tree::Exec(contents) })
    }
}
