//! Makes the root directory that the script sees: the overlay with `/dev`, `/proc`, `/sys` and the store mounted in it.

use crate::mounts::{bind, bind_device, make_dev, make_read_only, mount_at, set_mode, unmount_at};
use crate::{Error, Request, Result};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::{Errno, retry_on_intr};
use rustix::mount::{MountFlags, UnmountFlags, mount_bind_recursive};
use rustix::process::{chdir, pivot_root};
use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

/// Files of /proc that change or show the machine, and are hidden in namespaces, where the kernel is the machine's.
const HIDDEN: [&str; 6] = ["kcore", "keys", "timer_list", "sched_debug", "kmsg", "sysrq-trigger"];
/// Directories and files of /proc that change the machine, and can be read.
const READ_ONLY: [&str; 5] = ["sys", "bus", "fs", "irq", "acpi"];

/// Makes a directory, which is a mount, the root; what was there before is gone.
pub fn pivot(root: &Path) -> Result<()> {
    let step = Error::io("enter", root);
    let pivoted = chdir(root).and_then(|()| pivot_root(".", "."));
    pivoted.map_err(step)?;
    unmount_at(".", UnmountFlags::DETACH)?;
    chdir("/").map_err(Error::io("enter", "/"))
}

/// The root script, in a directory that the image's root shows too: its own files stay as they are.
pub const SCRIPT: &str = "/dev/root-script";
/// Where the script's /dev is put together, in its own mounts.
const DEV_ROOT: &str = "/script";

/// Mounts what is seen below a root, but for /proc; the script is in a /dev of its own, since the stage trusts what is in
/// its own.
pub fn mount_system_dirs(root: &Path, request: &Request, script: &[u8]) -> Result<()> {
    let dev_root = Path::new(DEV_ROOT);
    make_dev(dev_root, &bind_device)?;
    let file = dev_root.join(SCRIPT.trim_start_matches('/'));
    fs::write(&file, script).map_err(Error::io("write", &file))?;
    set_mode(&file, 0o755)?;
    bind_below(&dev_root.join("dev"), root, "/dev")?;
    if let Some(store) = &request.store {
        bind_below(Path::new(&store.dir), root, &store.dir)?;
    }
    mount_sys(root)
}

/// Mounts /sys below a root, of this network namespace, to be read only.
pub fn mount_sys(root: &Path) -> Result<()> {
    let sys = mount_point(root, "/sys")?;
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC | MountFlags::NODEV | MountFlags::RDONLY;
    match mount_at("sysfs", Path::new("sysfs"), through(&sys), flags, "") {
        // In containers that hide parts of it (user_namespaces(7), "mount_too_revealing"): the directory stays empty.
        Err(error) if error.errno() == Some(Errno::PERM) => Ok(()),
        result => result,
    }
}

/// Mounts /proc below a root, of this process namespace; in namespaces without what belongs to the machine.
pub fn mount_proc(root: &Path, is_machine: bool) -> Result<()> {
    let point = mount_point(root, "/proc")?;
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC | MountFlags::NODEV;
    mount_at("proc", Path::new("proc"), through(&point), flags, "")?;
    if is_machine {
        return Ok(());
    }
    let proc = root.join("proc");
    for name in READ_ONLY.map(|name| proc.join(name)).iter().filter(|path| path.exists()) {
        bind(name, name)?;
        make_read_only(name)?;
    }
    for name in HIDDEN.map(|name| proc.join(name)).iter().filter(|path| path.exists()) {
        bind("/dev/null", name)?;
    }
    Ok(())
}

/// Shows a directory with all that is mounted in it, at a directory below a root.
fn bind_below(source: &Path, root: &Path, name: &str) -> Result<()> {
    let point = mount_point(root, name)?;
    mount_bind_recursive(source, through(&point)).map_err(Error::io("mount", name))
}

/// A directory below a root, to which no link leads: an image may have one to anywhere.
fn mount_point(root: &Path, name: &str) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut directory = retry_on_intr(|| openat(CWD, root, flags, Mode::empty())).map_err(Error::io("open", root))?;
    for part in name.split('/').filter(|part| !part.is_empty()) {
        directory = match retry_on_intr(|| openat(&directory, part, flags, Mode::empty())) {
            Err(Errno::NOTDIR | Errno::LOOP) => {
                return Err(Error::Found(format!(
                    "cannot mount over the image's {name}: expected a directory, found none"
                )));
            }
            result => result.map_err(Error::io("open", name))?,
        };
    }
    Ok(directory)
}

fn through(directory: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", directory.as_raw_fd())
}
