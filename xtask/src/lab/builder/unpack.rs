//! Packages unpacked into one prefix; of files that several have, the first one's stays.

use crate::lab::layout::{canonical, join};
use crate::process;
use anyhow::{Context, Result};
use std::fs::{self, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the packages held, in the order of the packages, within one by path.
#[derive(Default)]
pub struct Unpacked {
    /// Regular files, which are in place.
    pub files: Vec<File>,
    /// Symbolic links, which are to be made anew.
    pub links: Vec<Link>,
}

/// A regular file.
pub struct File {
    /// Its canonical path.
    pub path: PathBuf,
    /// Whether it is the C library's own, which finds its parts by itself.
    pub of_libc: bool,
}

/// A symbolic link.
pub struct Link {
    /// Its canonical path.
    pub path: PathBuf,
    /// Its directory in a Debian system, from which a relative target counts.
    pub debian_folder: PathBuf,
    /// The text that it had.
    pub target: PathBuf,
}

/// Makes `out` and moves the packages' files into it.
pub fn unpack(out: &Path, debs: &[&Path]) -> Result<Unpacked> {
    fs::create_dir(out).with_context(|| format!("cannot create: {}", out.display()))?;
    let mut unpacked = Unpacked::default();
    for deb in debs {
        // On the same file system as what will be, most of the time: there files are moved by renaming.
        let tree = out.join(".unpacked");
        process::run(Command::new("dpkg-deb").arg("-x").arg(deb).arg(&tree))?;
        let of_libc = deb.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"libc6_"));
        let mut mover = Mover { tree: &tree, out, of_libc, unpacked: &mut unpacked };
        mover.folder(Path::new("/")).with_context(|| format!("cannot unpack: {}", deb.display()))?;
        fs::remove_dir_all(&tree).with_context(|| format!("cannot remove: {}", tree.display()))?;
    }
    Ok(unpacked)
}

/// Moves a file by renaming, or where both places lie on different file systems, by copying.
fn put(source: &Path, place: &Path) -> io::Result<()> {
    match fs::rename(source, place) {
        Err(error) if error.kind() == ErrorKind::CrossesDevices => {
            fs::copy(source, place)?;
            fs::remove_file(source)
        }
        moved => moved,
    }
}

struct Mover<'a> {
    tree: &'a Path,
    out: &'a Path,
    of_libc: bool,
    unpacked: &'a mut Unpacked,
}

impl Mover<'_> {
    /// Moves what is in a directory of the Debian tree.
    fn folder(&mut self, folder: &Path) -> Result<()> {
        let here = self.here(folder);
        fs::set_permissions(&here, Permissions::from_mode(0o755))?;
        let mut names = fs::read_dir(&here)?.map(|entry| Ok(entry?.file_name())).collect::<Result<Vec<_>>>()?;
        names.sort();
        names.iter().try_for_each(|name| self.entry(folder, &folder.join(name)))
    }

    fn entry(&mut self, folder: &Path, debian_path: &Path) -> Result<()> {
        let source = self.here(debian_path);
        let path = canonical(debian_path);
        let place = join(self.out, &path);
        let kind = source.symlink_metadata()?.file_type();
        if kind.is_symlink() {
            let target = fs::read_link(&source)?;
            self.unpacked.links.push(Link { path, debian_folder: folder.to_owned(), target });
        } else if kind.is_dir() {
            fs::create_dir_all(&place)?;
            self.folder(debian_path)?;
        } else if kind.is_file() && !super::is_there(&place) {
            put(&source, &place)?;
            self.unpacked.files.push(File { path, of_libc: self.of_libc });
        }
        Ok(())
    }

    fn here(&self, debian_path: &Path) -> PathBuf {
        self.tree.join(debian_path.strip_prefix("/").unwrap_or(debian_path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    /// From one file system to another, where this machine has two that can be written.
    #[test]
    fn files_are_moved_across_file_systems() -> io::Result<()> {
        let here = tempfile::tempdir_in(env!("CARGO_MANIFEST_DIR"))?;
        let places = [here.path().to_owned(), std::env::temp_dir(), PathBuf::from("/dev/shm")];
        let device = |path: &Path| path.metadata().map(|metadata| metadata.dev()).ok();
        for folder in places.iter().filter(|folder| device(folder).is_some()) {
            let there = tempfile::tempdir_in(folder)?;
            let (source, place) = (here.path().join("source"), there.path().join("place"));
            fs::write(&source, "text")?;
            fs::set_permissions(&source, Permissions::from_mode(0o755))?;
            put(&source, &place)?;
            assert!(!source.exists() && fs::read_to_string(&place)? == "text", "{}", folder.display());
            assert_eq!(place.metadata()?.mode() & 0o777, 0o755);
        }
        Ok(())
    }
}
