//! Runs a guest as a child process in namespaces of its own, a user namespace among them if asked for.
//!
//! It reads on standard input, each as [chunks](crate::ChunkWriter), a [`Request`], the base as one tar if there is one, and the tar
//! of the contents if there are any; it speaks on standard output.
//!
//! ```text
//! the caller ── this process ── process 1 of the stage ── scripts
//! ```
//!
//! Whoever dies takes all to the right along: the kernel kills a child of these with its parent, and a process namespace
//! with its first process. All mounts and all files are in memory that belongs to the namespace, so nothing is left.

use crate::chunked::ChunkReader;
use crate::mounts::{bind, bind_device, make_dev, make_directory, make_private, make_read_only, mount_memory};
use crate::root::mount_sys;
use crate::run::{Inputs, conclude, run};
use crate::unpack::unpack;
use crate::{Channel, DISK, Error, Frame, LOWER, Phase, Request, Result};
use layerstone_sandbox::system::{become_root, close_from, die_with_parent, exit, fork, unshare};
use rustix::fs::Mode;
use rustix::io::retry_on_intr;
use rustix::mount::MountFlags;
use rustix::process::{WaitOptions, setsid, umask, waitpid};
use rustix::thread::UnshareFlags;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Where the stage is put together.
const SYS: &str = "/sys";
/// The argument that asks for a namespace of users.
pub const USERS: &str = "--users";

/// Runs the guest, and ends with status 0 if its result was sent.
pub fn main(with_users: bool) -> ! {
    let done = open_channel().and_then(|mut channel| {
        let result = enter(with_users, &mut channel);
        conclude(result, &mut channel)
    });
    exit(i32::from(done.is_err()))
}

/// The channel to the host, on standard output.
fn open_channel() -> Result<Channel> {
    // Whoever started our parent may have left directories of the machine open.
    close_from(3).map_err(Error::call("close descriptors"))?;
    let out = rustix::stdio::stdout().try_clone_to_owned().map_err(Error::Channel)?;
    Ok(Channel::new(File::from(out)))
}

/// Makes the namespaces, and the stage in them.
fn enter(with_users: bool, channel: &mut Channel) -> Result<()> {
    die_with_parent().map_err(Error::call("die with the parent"))?;
    umask(Mode::from_raw_mode(0o022));
    let mut input = File::from(rustix::stdio::stdin().try_clone_to_owned().map_err(Error::Channel)?);
    if with_users {
        unshare(UnshareFlags::NEWUSER).map_err(Error::call("make a user namespace"))?;
        channel.send(&Frame::Users)?;
        input.read_exact(&mut [0]).map_err(Error::Channel)?;
        become_root().map_err(Error::call("become root of the user namespace"))?;
        // A change of credentials has undone it.
        die_with_parent().map_err(Error::call("die with the parent"))?;
    }
    let flags = UnshareFlags::NEWNS
        | UnshareFlags::NEWPID
        | UnshareFlags::NEWIPC
        | UnshareFlags::NEWUTS
        | UnshareFlags::NEWNET
        | UnshareFlags::NEWCGROUP;
    unshare(flags).map_err(Error::call("make namespaces"))?;
    make_private()?;
    match fork().map_err(Error::call("fork"))? {
        Some(stage) => {
            let ended = retry_on_intr(|| waitpid(Some(stage), WaitOptions::empty())).ok().flatten();
            exit(if ended.is_some_and(|(_, status)| status.exit_status() == Some(0)) { 0 } else { 1 })
        }
        None => {
            die_with_parent().map_err(Error::call("die with the parent"))?;
            // Without a terminal: what is typed into it for us by a script would be read by whoever started us.
            setsid().map_err(Error::call("make a session"))?;
            channel.greet()?;
            stage(input, with_users, channel)
        }
    }
}

/// Becomes a stage, and works.
fn stage(mut input: File, with_users: bool, channel: &mut Channel) -> Result<()> {
    let mut request = Vec::new();
    ChunkReader::new(&mut input).read_to_end(&mut request).map_err(Error::Channel)?;
    let request: Request = serde_json::from_slice(&request).map_err(|e| Error::Channel(io::Error::from(e)))?;
    channel.send(&Frame::Phase(Phase::Mount))?;
    make_stage(&request)?;
    if request.has_base {
        make_directory(LOWER)?;
        mount_memory(LOWER, MountFlags::NODEV, None)?;
        let mut base = ChunkReader::new(&mut input);
        unpack(&mut base, Path::new(LOWER), &mut || channel.send(&Frame::Beat))?;
        base.finish().map_err(Error::Channel)?;
        make_read_only(LOWER)?;
    }
    make_directory(DISK)?;
    mount_memory(DISK, MountFlags::NODEV, Some(request.disk))?;
    let contents = request.contents.map(|_| Box::new(ChunkReader::new(input)) as Box<dyn Read>);
    run(&request, Inputs { contents, is_machine: false, in_user_namespace: with_users }, channel)
}

/// Makes a root of memory that shows nothing of the machine but some devices and the store, and enters it.
fn make_stage(request: &Request) -> Result<()> {
    // Nobody else sees what is mounted there, and nothing that is shown comes from there.
    let root = Path::new(SYS);
    mount_memory(root, MountFlags::NODEV, Some(64 << 20))?;
    make_dev(root, &bind_device)?;
    make_directory(root.join("proc"))?;
    crate::root::mount_proc(root, false)?;
    make_directory(root.join("sys"))?;
    // Without one that is seen, none can be mounted later (user_namespaces(7), "mount_too_revealing").
    mount_sys(root)?;
    if let Some(store) = &request.store {
        let dir = root.join(store.dir.trim_start_matches('/'));
        make_directory(&dir)?;
        mount_memory(&dir, MountFlags::NODEV, Some(16 << 20))?;
        for item in &store.binds {
            show(Path::new(std::ffi::OsStr::from_bytes(&item.source)), &dir.join(&item.name))?;
        }
        make_read_only(&dir)?;
    }
    crate::root::pivot(root)
}

/// Shows an entry of the store: a link is made again, all else mounted.
fn show(source: &Path, at: &Path) -> Result<()> {
    let metadata = source.symlink_metadata().map_err(Error::io("read", source))?;
    if metadata.is_symlink() {
        let target = fs::read_link(source).map_err(Error::io("read", source))?;
        return std::os::unix::fs::symlink(target, at).map_err(Error::io("make", at));
    }
    if metadata.is_dir() {
        make_directory(at)?;
    } else {
        File::create(at).map_err(Error::io("make", at))?;
    }
    bind(source, at)
}
