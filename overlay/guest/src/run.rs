//! Runs a request in a guest: unpacks contents, mounts the overlay, runs hooks and script, sends the layer.

use crate::mounts::{make_directory, mount_at, mount_memory, set_mode, set_time, unmount_at};
use crate::scripts::{run_hook, run_script};
use crate::send_layer::{check_holes, send_layer};
use crate::unpack::unpack;
use crate::upperdir::{RootFacts, read_upper};
use crate::{
    Channel, DISK, DiskUsage, Done, Error, Failed, Failure, Frame, LOWER, MOUNT_POINTS, Phase, Request, Result,
};
use rustix::fs::statvfs;
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often a mount is taken away that is in use: what used it is dead, and its last file soon closed.
const TRIES: usize = 50;

/// The inputs of a run besides its request.
pub struct Inputs {
    /// The tar of the contents.
    pub contents: Option<Box<dyn Read>>,
    /// Whether the kernel is the run's own: then scripts may do all that root may.
    pub is_machine: bool,
    /// Whether root is one of a user namespace.
    pub in_user_namespace: bool,
}

/// Runs a request, and sends the layer.
pub fn run(request: &Request, mut inputs: Inputs, channel: &mut Channel) -> Result<()> {
    let disk = Path::new(DISK);
    let [mnt, layer] = ["mnt", "layer"].map(|name| disk.join(name));
    for name in ["mnt", "layer", "work"] {
        make_directory(disk.join(name))?;
    }
    make_directory("/tmp")?;
    set_mode(Path::new("/tmp"), 0o1777)?;
    make_mount_points(request)?;
    if inputs.in_user_namespace {
        try_overlay()?;
    }
    let root = copy_root_attributes(&layer)?;
    if let Some(contents) = &mut inputs.contents {
        channel.send(&Frame::Phase(Phase::Contents))?;
        unpack(contents, &layer, &mut || channel.send(&Frame::Beat))?;
    }
    let hooks = &request.hooks;
    let hook = |phase: Phase, text: &Option<Vec<u8>>, directory: &Path, channel: &mut Channel| match text {
        None => Ok(()),
        Some(text) => {
            channel.send(&Frame::Phase(phase))?;
            run_hook(text, directory, request, inputs.is_machine, channel)
        }
    };
    hook(Phase::PreMount, &hooks.pre_mount, disk, channel)?;
    mount_overlay(&inputs, &mnt)?;
    hook(Phase::PostMount, &hooks.post_mount, disk, channel)?;
    if let Some(script) = &request.script {
        channel.send(&Frame::Phase(Phase::Script))?;
        run_script(script, request, inputs.is_machine, channel)?;
    }
    unmount_when_free(&mnt)?;
    hook(Phase::PostUmount, &hooks.post_umount, disk, channel)?;
    hook(Phase::ExtraCommands, &hooks.extra_commands, &layer, channel)?;
    channel.send(&Frame::Phase(Phase::Pack))?;
    let changes = read_upper(&layer, Path::new(LOWER), root)?;
    check_holes(&changes.members, request.disk, request.files)?;
    let (size, digest) = send_layer(&changes.members, request.mtime, channel)?;
    channel.send(&Frame::Done(Done { size, digest, sockets: changes.sockets }))
}

/// Sends how a run went that did not get to its end.
pub fn conclude(result: Result<()>, channel: &mut Channel) -> Result<()> {
    let failure = match result {
        Ok(()) => return Ok(()),
        Err(Error::Script(status)) => Failure::Script(status),
        Err(error) => Failure::Stage(error.to_string()),
    };
    channel.send(&Frame::Failed(Failed { phase: channel.phase, failure, space: disk_usage() }))
}

/// How full the disk is.
fn disk_usage() -> Option<DiskUsage> {
    let stat = statvfs(DISK).ok()?;
    Some(DiskUsage { total: stat.f_blocks * stat.f_frsize, free: stat.f_bavail * stat.f_frsize })
}

/// Directories to mount at that the base may not have, in a layer below it: what is made for a run alone is in no upper
/// directory, and changes the time of none.
fn make_mount_points(request: &Request) -> Result<()> {
    let points = Path::new(MOUNT_POINTS);
    let store = request.store.iter().flat_map(|store| Path::new(&store.dir).ancestors());
    let names = ["/dev", "/proc", "/sys", "/tmp"].map(Path::new).into_iter().chain(store);
    let directories: Vec<PathBuf> =
        names.filter_map(|name| Some(points.join(name.strip_prefix("/").ok()?))).chain([points.to_owned()]).collect();
    directories.iter().try_for_each(make_directory)?;
    set_mode(&points.join("tmp"), 0o1777)?;
    // When all are there: each changes the time of the one around it.
    directories.iter().try_for_each(|path| set_time(path, (0, 0)).map_err(Error::io("change the time of", path)))
}

/// Gives the layer's root directory what the base's has: an overlay shows the upper one's.
fn copy_root_attributes(layer: &Path) -> Result<RootFacts> {
    let lower = Path::new(LOWER);
    if let Ok(metadata) = lower.symlink_metadata() {
        chown(layer, Some(metadata.uid()), Some(metadata.gid())).map_err(Error::io("change the owner of", layer))?;
        set_mode(layer, metadata.mode() & 0o7777)?;
        let time = (metadata.mtime(), u32::try_from(metadata.mtime_nsec()).unwrap_or_default());
        set_time(layer, time).map_err(Error::io("change the time of", layer))?;
    }
    RootFacts::of(layer)
}

/// Mounts the overlay. What would make a layer depend on the base's files is switched off; a user namespace keeps
/// overlayfs' attributes where it may, without which removing a directory of the base fails (EIO).
fn mount_overlay(inputs: &Inputs, mnt: &Path) -> Result<()> {
    let lower = if Path::new(LOWER).is_dir() { format!("{LOWER}:{MOUNT_POINTS}") } else { MOUNT_POINTS.to_owned() };
    let users = if inputs.in_user_namespace { ",userxattr" } else { "" };
    let options = format!(
        "lowerdir={lower},upperdir={DISK}/layer,workdir={DISK}/work,redirect_dir=nofollow,metacopy=off,index=off,xino=off{users}"
    );
    // A device node of an image must not be one of the machine.
    let flags = if inputs.is_machine { MountFlags::empty() } else { MountFlags::NODEV };
    mount_at("overlay", Path::new("overlay"), mnt, flags, &options)
}

/// Whether an overlay of memory keeps its attributes in a user namespace, tried by doing: where it does not, it mounts all
/// the same, and later fails to hide a directory of the base (EIO).
fn try_overlay() -> Result<()> {
    let trial = Path::new("/trial");
    for name in ["lower/folder/in", "upper", "work", "mnt"] {
        make_directory(trial.join(name))?;
    }
    mount_memory(trial.join("upper"), MountFlags::NODEV, Some(1 << 20))?;
    for name in ["upper/upper", "upper/work"] {
        make_directory(trial.join(name))?;
    }
    let options =
        "lowerdir=/trial/lower,upperdir=/trial/upper/upper,workdir=/trial/upper/work,redirect_dir=nofollow,userxattr";
    mount_at("overlay", Path::new("overlay"), trial.join("mnt"), MountFlags::NODEV, options)?;
    let directory = trial.join("mnt/folder");
    let hidden = std::fs::remove_dir_all(&directory).and_then(|()| std::fs::create_dir(&directory));
    let is_empty = hidden.and_then(|()| Ok(std::fs::read_dir(&directory)?.next().transpose()?.is_none()));
    unmount_at(trial.join("mnt"), UnmountFlags::empty())?;
    unmount_at(trial.join("upper"), UnmountFlags::empty())?;
    match is_empty {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::Found("an overlay in memory does not hide directories: needs Linux 6.6".to_owned())),
        Err(error) if error.raw_os_error() == Some(Errno::IO.raw_os_error()) => {
            Err(Error::Found(format!("an overlay in memory cannot hide directories: {error}: needs Linux 6.6")))
        }
        Err(error) => Err(Error::io("hide", directory)(error)),
    }
}

/// Unmounts the overlay: the layer must not change any more when it is read.
fn unmount_when_free(mnt: &Path) -> Result<()> {
    for _ in 0..TRIES {
        match unmount_at(mnt, UnmountFlags::empty()) {
            Err(error) if error.errno() == Some(Errno::BUSY) => std::thread::sleep(Duration::from_millis(20)),
            result => return result,
        }
    }
    unmount_at(mnt, UnmountFlags::empty())
}
