//! Runs as process 1 of a virtual machine: loads modules, finds its disks and its port, and becomes a stage.
//!
//! The initramfs holds this program as `/init`, [`REQUEST`], and modules in the order of [`MODULES`]. Disks and the port are
//! found by what QEMU calls them, never by the order in which they appear.

use crate::mounts::{make_dev, make_directory, mount_at, mount_memory, move_mount};
use crate::run::{Inputs, run};
use crate::{Channel, DISK, Error, Frame, LOWER, Phase, Request, Result};
use layerstone_sandbox::system::{exit, swap_on};
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use rustix::mount::MountFlags;
use rustix::system::RebootCommand;
use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The program in the initramfs.
pub const INIT: &str = "/init";
/// The request, as JSON.
pub const REQUEST: &str = "/request.json";
/// Names of modules' files in the order in which they are loaded, one a line.
pub const MODULES: &str = "/modules.order";
/// What the port to the outside is called.
pub const PORT: &str = "out";
/// What the disk of the base's files is called: an EROFS file system.
pub const BASE_DISK: &str = "base";
/// What the disk of the store is called: an EROFS file system.
pub const STORE_DISK: &str = "store";
/// What the disk of the contents is called: a tar.
pub const CONTENTS_DISK: &str = "contents";
/// What the disk is called that takes what does not fit in memory.
pub const SWAP_DISK: &str = "swap";
/// A class of devices, and the file of each in which its name is.
const PORTS: (&str, &str) = ("/sys/class/virtio-ports", "name");
const DISKS: (&str, &str) = ("/sys/block", "serial");
/// How long devices may take to appear.
const PATIENCE: Duration = Duration::from_secs(20);

/// Whether this process is the one that a virtual machine starts.
pub fn is_init() -> bool {
    rustix::process::getpid().is_init() && std::env::args_os().next().is_some_and(|name| name == INIT)
}

/// Runs the guest, and turns the machine off.
pub fn main() -> ! {
    if let Err(error) = start() {
        // Nobody listens but the console.
        eprintln!("error: {error}");
    }
    rustix::fs::sync();
    let _ = rustix::system::reboot(RebootCommand::PowerOff);
    exit(1)
}

/// Finds the port, over which later errors are sent.
fn start() -> Result<()> {
    for (kind, at) in [("proc", "/proc"), ("sysfs", "/sys"), ("devtmpfs", "/dev")] {
        make_directory(at)?;
        mount_at(kind, Path::new(kind), at, MountFlags::empty(), "")?;
    }
    load_modules()?;
    let port = wait_for(PORTS, PORT)?;
    let out = OpenOptions::new().write(true).open(&port).map_err(Error::io("open", &port))?;
    let mut channel = Channel::new(out);
    channel.greet()?;
    let result = stage(&mut channel);
    crate::run::conclude(result, &mut channel)
}

fn load_modules() -> Result<()> {
    let names = fs::read_to_string(MODULES).map_err(Error::io("read", MODULES))?;
    for name in names.lines() {
        let file = File::open(name).map_err(Error::io("open", name))?;
        match rustix::system::finit_module(&file, c"", 0) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(errno) => return Err(Error::io("load", name)(errno)),
        }
    }
    Ok(())
}

/// Looks for the device of a class that has this name until it is there.
fn wait_for((class, file): (&str, &str), name: &str) -> Result<PathBuf> {
    let begin = Instant::now();
    loop {
        match device(class, file, name) {
            Some(path) => return Ok(path),
            None if begin.elapsed() > PATIENCE => {
                return Err(Error::Found(format!("found no device called {name}")));
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// The device of the entry of a class that has this text in a file.
fn device(class: &str, file: &str, text: &str) -> Option<PathBuf> {
    let entries = fs::read_dir(class).ok()?;
    let is_it = |path: &PathBuf| fs::read_to_string(path.join(file)).is_ok_and(|found| found.trim_end() == text);
    let found = entries.filter_map(|entry| Some(entry.ok()?.path())).find(is_it)?;
    let device = Path::new("/dev").join(found.file_name()?);
    device.exists().then_some(device)
}

/// Becomes a stage, and works.
fn stage(channel: &mut Channel) -> Result<()> {
    channel.send(&Frame::Phase(Phase::Mount))?;
    let request = fs::read(REQUEST).map_err(Error::io("read", REQUEST))?;
    let request: Request =
        serde_json::from_slice(&request).map_err(|e| Error::io("read", REQUEST)(std::io::Error::from(e)))?;
    let swap = CString::new(wait_for(DISKS, SWAP_DISK)?.into_os_string().into_encoded_bytes()).unwrap_or_default();
    swap_on(&swap).map_err(Error::call("use the swap disk"))?;
    let root = Path::new("/stage");
    make_directory(root)?;
    mount_memory(root, MountFlags::empty(), Some(64 << 20))?;
    let below = |path: &str| root.join(path.trim_start_matches('/'));
    let mount_disk = |name: &str, at: &str| {
        make_directory(below(at))?;
        // Without this flag the kernel refuses a disk that cannot be written.
        mount_at("erofs", &wait_for(DISKS, name)?, below(at), MountFlags::RDONLY, "")
    };
    if request.has_base {
        mount_disk(BASE_DISK, LOWER)?;
    }
    if let Some(store) = &request.store {
        mount_disk(STORE_DISK, &store.dir)?;
    }
    let contents = |size| -> Result<Box<dyn Read>> {
        let disk = wait_for(DISKS, CONTENTS_DISK)?;
        Ok(Box::new(File::open(&disk).map_err(Error::io("open", &disk))?.take(size)))
    };
    let contents = request.contents.map(contents).transpose()?;
    make_dev(root, &|name, at| {
        let numbers = layerstone_sandbox::DEVICES.iter().find(|device| device.0 == name);
        let (_, major, minor) = numbers.ok_or_else(|| Error::Found(format!("found no device {name}")))?;
        mknodat(CWD, at, FileType::CharacterDevice, Mode::from_raw_mode(0o666), makedev(*major, *minor))
            .map_err(Error::io("make", at))?;
        crate::mounts::set_mode(at, 0o666)
    })?;
    for name in ["proc", "sys"] {
        make_directory(root.join(name))?;
        move_mount(Path::new("/").join(name), root.join(name))?;
    }
    make_directory(below(DISK))?;
    mount_memory(below(DISK), MountFlags::empty(), Some(request.disk))?;
    // The initramfs cannot be left by pivot_root(2), but a root that is mounted over it can.
    rustix::process::chdir(root).map_err(Error::io("enter", root))?;
    move_mount(".", "/")?;
    rustix::process::chroot(".").map_err(Error::io("enter", root))?;
    rustix::process::chdir("/").map_err(Error::io("enter", "/"))?;
    run(&request, Inputs { contents, is_machine: true, in_user_namespace: false }, channel)
}
