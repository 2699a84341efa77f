//! Mounts file systems, with errors that name the mount.

use crate::{Error, Result};
use layerstone_sandbox::{DEVICES, LINKS};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_change, mount_move, unmount,
};
use std::ffi::CString;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::Path;

/// Makes a directory, and those around it, of mode 0755.
pub fn make_directory(path: impl AsRef<Path>) -> Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o755).create(&path).map_err(Error::io("make", path))
}

/// Mounts a file system of a kind at a directory.
pub fn mount_at(kind: &str, source: &Path, at: impl AsRef<Path>, flags: MountFlags, options: &str) -> Result<()> {
    let options = CString::new(options).map_err(|e| Error::io("mount", &at)(io::Error::from(e)))?;
    mount(source, at.as_ref(), kind, flags, Some(&*options)).map_err(Error::io("mount", at))
}

/// Mounts memory of at most so many bytes, or as much as there is, at a directory.
pub fn mount_memory(at: impl AsRef<Path>, flags: MountFlags, bytes: Option<u64>) -> Result<()> {
    // Without a limit of their number, inodes take what they need of the size.
    let options = match bytes {
        Some(bytes) => format!("mode=0755,nr_inodes=0,size={bytes}"),
        None => "mode=0755,nr_inodes=0,size=90%".to_owned(),
    };
    mount_at("tmpfs", Path::new("tmpfs"), at, flags, &options)
}

/// Shows a file or directory at another path.
pub fn bind(source: impl AsRef<Path>, at: impl AsRef<Path>) -> Result<()> {
    mount_bind(source.as_ref(), at.as_ref()).map_err(Error::io("mount", at))
}

/// Keeps what is mounted from here on from everybody else.
pub fn make_private() -> Result<()> {
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(Error::io("make private", "/"))
}

/// Makes a mount, and all that is mounted below, read-only.
pub fn make_read_only(at: impl AsRef<Path>) -> Result<()> {
    let text = CString::new(at.as_ref().as_os_str().as_encoded_bytes()).unwrap_or_default();
    layerstone_sandbox::system::set_read_only(&text, true).map_err(Error::io("make read-only", at))
}

/// Moves a mount.
pub fn move_mount(from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<()> {
    mount_move(from.as_ref(), to.as_ref()).map_err(Error::io("mount", to))
}

/// Unmounts; an error if it is in use and not only detached.
pub fn unmount_at(at: impl AsRef<Path>, flags: UnmountFlags) -> Result<()> {
    unmount(at.as_ref(), flags).map_err(Error::io("unmount", at))
}

/// Makes `/dev` below a root: memory with the usual devices, which `make` makes, links, and `shm`.
pub fn make_dev(root: &Path, make: &dyn Fn(&str, &Path) -> Result<()>) -> Result<()> {
    let dev = root.join("dev");
    make_directory(&dev)?;
    mount_at("tmpfs", Path::new("tmpfs"), &dev, MountFlags::NOSUID, "mode=0755,size=16m")?;
    for (name, ..) in DEVICES {
        make(name, &dev.join(name))?;
    }
    for (name, target) in LINKS {
        let at = dev.join(name);
        symlink(target, &at).map_err(Error::io("make", at))?;
    }
    let shm = dev.join("shm");
    make_directory(&shm)?;
    set_mode(&shm, 0o1777)
}

/// A device of this name in a `/dev` that is being made, as this one's /dev has it.
pub fn bind_device(name: &str, at: &Path) -> Result<()> {
    fs::File::create(at).map_err(Error::io("make", at))?;
    bind(Path::new("/dev").join(name), at)
}

/// Gives a file, not what it links to, this time of last access and modification: seconds and nanoseconds.
pub fn set_time(path: &Path, (seconds, nanoseconds): (i64, u32)) -> io::Result<()> {
    let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds.into() };
    let times = Timestamps { last_access: time, last_modification: time };
    Ok(utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Gives a file this mode, whatever the umask is.
pub fn set_mode(path: &Path, mode: u32) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).map_err(Error::io("change the mode of", path))
}
