//! Makes a directory a root to run in: mounts the store, a `/dev` and a `/proc` in it.
//!
//! Mount points are made in the directory where they are absent, and removed by [`MountPoints`] afterwards. What the
//! directory has at these paths is hidden while the command runs, and visible again after it.

use rustix::fs::{Mode, OFlags, mkdir, open, symlink};
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind_recursive, unmount};
use std::ffi::{CStr, CString};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Devices that a program may expect wherever it runs, with their numbers (Documentation/admin-guide/devices.txt); none
/// of them stores anything.
pub const DEVICES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];
/// Links in /dev.
pub const LINKS: [(&str, &str); 4] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];
/// Where the scratch directory is, seen from inside.
pub const SCRATCH: &str = "/dev/shm";

/// What is mounted, in memory before the fork.
#[derive(Clone, Debug)]
pub struct InnerRoot {
    actions: Vec<Action>,
    proc: CString,
    /// The scratch directory's mount.
    pub(crate) scratch: CString,
}

#[derive(Clone, Debug)]
enum Action {
    Memory(CString),
    Directory(CString),
    File(CString),
    Link { text: CString, at: CString },
    Bind { source: CString, at: CString },
}

impl InnerRoot {
    /// The root at an absolute path. `shown` are files and directories that can be read inside: where they are, and
    /// what they are called there, below /dev or where there is a mount point. The scratch directory is at [`SCRATCH`].
    pub fn new(root: &Path, scratch: &Path, shown: &[(PathBuf, PathBuf)]) -> io::Result<InnerRoot> {
        let inside = |path: &Path| text(&root.join(path.strip_prefix("/").unwrap_or(path)));
        let dev = |name: &str| inside(&Path::new("/dev").join(name));
        let mut actions = vec![Action::Memory(inside(Path::new("/dev"))?)];
        for name in present_devices() {
            actions.push(Action::File(dev(name)?));
            actions.push(Action::Bind { source: text(&Path::new("/dev").join(name))?, at: dev(name)? });
        }
        for (name, target) in LINKS {
            actions.push(Action::Link { text: CString::new(target)?, at: dev(name)? });
        }
        actions.push(Action::Directory(inside(Path::new(SCRATCH))?));
        actions.push(Action::Bind { source: text(scratch)?, at: inside(Path::new(SCRATCH))? });
        for (source, name) in shown {
            if name.starts_with("/dev") {
                actions.push(Action::File(inside(name)?));
            }
            actions.push(Action::Bind { source: text(source)?, at: inside(name)? });
        }
        Ok(InnerRoot { actions, proc: inside(Path::new("/proc"))?, scratch: inside(Path::new(SCRATCH))? })
    }

    /// Where devices that can be opened are below a root: whatever of [`DEVICES`] this machine has.
    pub(crate) fn devices(root: &Path) -> io::Result<Vec<CString>> {
        present_devices().map(|name| text(&root.join("dev").join(name))).collect()
    }

    /// Mounts all but /proc. For between fork and exec.
    pub(crate) fn mount(&self) -> Result<(), Errno> {
        self.actions.iter().try_for_each(|action| match action {
            Action::Memory(at) => mount(c"tmpfs", &**at, c"tmpfs", MountFlags::NOSUID, Some(c"mode=0755,size=1m")),
            Action::Directory(at) => mkdir(&**at, Mode::from_raw_mode(0o755)),
            Action::File(at) => open(&**at, OFlags::CREATE | OFlags::CLOEXEC, Mode::from_raw_mode(0o644)).map(drop),
            Action::Link { text, at } => symlink(&**text, &**at),
            Action::Bind { source, at } => mount_bind_recursive(&**source, &**at),
        })
    }

    /// Where /proc is mounted.
    pub(crate) fn proc(&self) -> &CStr {
        &self.proc
    }

    /// Shows the caller's /proc, where none of its own can be had.
    pub(crate) fn bind_proc(&self) -> Result<(), Errno> {
        mount_bind_recursive(c"/proc", &*self.proc)?;
        crate::system::set_read_only(&self.proc, true)
    }

    /// Takes all mounts away again, in the process that made them.
    pub(crate) fn unmount(&self) -> Result<(), Errno> {
        unmount(&*self.proc, UnmountFlags::DETACH)?;
        self.actions.iter().rev().try_for_each(|action| match action {
            Action::Memory(at) | Action::Bind { at, .. } => unmount(&**at, UnmountFlags::DETACH),
            Action::Directory(_) | Action::File(_) | Action::Link { .. } => Ok(()),
        })
    }
}

/// Mounts a /proc of the caller's process namespace. The kernel denies that in containers that hide parts of theirs
/// (user_namespaces(7), "mount_too_revealing").
pub(crate) fn mount_proc(at: &CStr) -> Result<(), Errno> {
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC | MountFlags::NODEV | MountFlags::RDONLY;
    mount(c"proc", at, c"proc", flags, None::<&CStr>)
}

/// Directories that were made to be mounted on; removed when dropped, as far as they are empty.
#[derive(Debug, Default)]
pub struct MountPoints(Vec<PathBuf>);

impl MountPoints {
    /// Makes the directories of these names below a root that are absent, with those around them.
    ///
    /// # Errors
    ///
    /// One cannot be made, or there is something else than a directory among them: `NotADirectory`.
    pub fn make(root: &Path, names: &[&Path]) -> Result<MountPoints, (PathBuf, io::Error)> {
        let mut made = MountPoints::default();
        for name in names {
            let mut at = root.to_owned();
            for part in name.strip_prefix("/").unwrap_or(name) {
                at.push(part);
                made.make_one(&at).map_err(|source| (at.clone(), source))?;
            }
        }
        Ok(made)
    }

    fn make_one(&mut self, directory: &Path) -> io::Result<()> {
        match directory.symlink_metadata() {
            Ok(metadata) if metadata.is_dir() => Ok(()),
            Ok(_) => Err(io::ErrorKind::NotADirectory.into()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                std::fs::create_dir(directory)?;
                self.0.push(directory.to_owned());
                Ok(())
            }
            Err(e) => Err(e),
        }
    }
}

impl Drop for MountPoints {
    fn drop(&mut self) {
        // One that is not empty any more is the command's.
        self.0.iter().rev().for_each(|directory| drop(std::fs::remove_dir(directory)));
    }
}

fn present_devices() -> impl Iterator<Item = &'static str> {
    DEVICES.iter().map(|(name, ..)| *name).filter(|name| Path::new("/dev").join(name).exists())
}

fn text(path: &Path) -> io::Result<CString> {
    Ok(CString::new(path.as_os_str().as_bytes())?)
}
