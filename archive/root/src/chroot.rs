//! Makes a layer the root directory of a script: mounts the store, /dev and /proc there, and finds bash in it.
//!
//! Programs are those of the layer and of the store: PATH keeps its directories in the store, followed by those in which
//! a root directory has programs.

use crate::bash::{Bash, is_program};
use crate::{Error, Result};
use layerstone_sandbox::{InnerRoot, MountPoints, SCRATCH};
use layerstone_store::{Found, Store, Walk};
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

/// Directories of programs in a root.
const DIRECTORIES: [&str; 4] = ["/bin", "/usr/bin", "/sbin", "/usr/sbin"];
/// Where the script is.
const SCRIPT: &str = "/dev/script";

/// A layer that is made ready to become the root; what was made in it for that goes when this is dropped.
#[derive(Debug)]
pub struct Chroot {
    /// What is mounted.
    pub inner_root: InnerRoot,
    _mount_points: MountPoints,
}

impl Chroot {
    /// Makes a layer's directory ready; returns the script and its bash, by their paths inside, too.
    ///
    /// # Errors
    ///
    /// There is no bash for the script, or something that is no directory where the store, /dev or /proc goes.
    pub fn make(
        script: &str,
        layer: &Path,
        temporary: &Path,
        file: &Path,
        store: &Store,
        path: &OsStr,
    ) -> Result<(Bash, Chroot)> {
        let path = inner_path(store, path).map_err(|cause| spawn_error(script, cause))?;
        let (dev, proc, store_dir) = (Path::new("/dev"), Path::new("/proc"), Path::new(store.dir()));
        let real_store = store.locate(store.dir());
        let has_store = real_store.is_dir();
        let mut names = vec![dev, proc];
        names.extend(has_store.then_some(store_dir));
        let mount_points = MountPoints::make(layer, &names).map_err(|(path, source)| {
            let name = path.strip_prefix(layer).unwrap_or(&path).to_owned();
            Error::NoMountPoint { script: script.to_owned(), name, source }
        })?;
        let mut programs = std::env::split_paths(&path).map(|directory| directory.join("bash"));
        let found = programs.find(|program| locate(program, layer, store).is_some_and(|real| is_program(&real)));
        let searched = "the layer or the store";
        let no_bash = || Error::NoBash { script: script.to_owned(), searched, path: (&path).into() };
        let program = found.ok_or_else(no_bash)?;
        let mut shown = vec![(file.to_owned(), PathBuf::from(SCRIPT))];
        shown.extend(has_store.then(|| (real_store, store_dir.to_owned())));
        let inner_root = InnerRoot::new(layer, temporary, &shown).map_err(|source| spawn_error(script, source))?;
        let bash = Bash { program, script: SCRIPT.into(), path, temporary: SCRATCH.into() };
        Ok((bash, Chroot { inner_root, _mount_points: mount_points }))
    }
}

fn spawn_error(script: &str, source: io::Error) -> Error {
    Error::Spawn { script: script.to_owned(), source: source.into() }
}

fn inner_path(store: &Store, path: &OsStr) -> io::Result<std::ffi::OsString> {
    let of_store = std::env::split_paths(path).filter(|directory| directory.starts_with(store.dir()));
    std::env::join_paths(of_store.chain(DIRECTORIES.map(PathBuf::from))).map_err(io::Error::other)
}

/// Where a file of the inner root is on this machine, its links followed as they are inside.
fn locate(name: &Path, layer: &Path, store: &Store) -> Option<PathBuf> {
    let look = |at: &Path| Found::on_disk(&real(at, layer, store));
    Walk::new("/", "/", name).follow(look).ok().map(|at| real(&at, layer, store))
}

fn real(inside: &Path, layer: &Path, store: &Store) -> PathBuf {
    match inside.starts_with(store.dir()) {
        true => store.locate(inside),
        false => layer.join(inside.strip_prefix("/").unwrap_or(inside)),
    }
}
