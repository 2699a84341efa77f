//! Runs a guest in QEMU: one processor, disks with names, no network, and no process that outlives this one.
//!
//! Disks and the initramfs are files without names, which QEMU opens as ours in /proc; the port to us is its standard
//! output, the console its standard error. That QEMU ends says nothing: it does so with status 0 after a panic.

mod disk;
mod initramfs;
mod modules;
mod program;
mod store;

use crate::kernel::Kernel;
use crate::receive::{Bounds, ChildGuard, HostSide, Received, receive};
use crate::{Backend, Error, Result, Run};
use layerstone_guest::machine::{BASE_DISK, CONTENTS_DISK, PORT, STORE_DISK, SWAP_DISK};
use modules::modules;
use rustix::fs::{MemfdFlags, memfd_create};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The emulator of this kind of machine.
const QEMU: &str = "qemu-system-x86_64";
/// Arguments of the kernel: to print little, to restart after a panic (which QEMU does not do, but ends), to leave out guards
/// against other users of the processor, of which there are none, and to trust the timer: its test of that panics where the
/// emulator waits for a processor for a tenth of a second (Linux itself leaves it out under KVM and Hyper-V).
const KERNEL_ARGUMENTS: &str = "console=ttyS0 quiet panic=-1 mitigations=off no_timer_check";
/// An emulated processor: without what makes the emulator slow. With ERMS and FSRM, memory is copied byte by byte.
const EMULATED: &str = "max,-erms,-fsrm,-smap,-smep";
/// Until a machine says hello. A kernel that is compressed with xz takes an emulated processor a quarter of a minute.
const BOOT: Duration = Duration::from_secs(150);
/// The same with KVM, of which some let a machine begin and then hang.
const BOOT_KVM: Duration = Duration::from_secs(10);
/// Bytes that a disk for memory has at least.
const LEAST_SWAP: u64 = 64 << 20;

/// Why there can be no such machine here, as far as that is certain before one is started.
fn check(backend: Backend, run: &Run<'_>) -> Result<Kernel> {
    if std::env::consts::ARCH != "x86_64" {
        return Err(Error::Unavailable(format!("no virtual machine on {}: expected x86_64", std::env::consts::ARCH)));
    }
    if backend == Backend::Kvm {
        File::options().read(true).write(true).open("/dev/kvm").map_err(|source| {
            let advice = match source.kind() {
                io::ErrorKind::PermissionDenied => ": add yourself to the group kvm",
                _ => "",
            };
            Error::Unavailable(format!("/dev/kvm: {source}{advice}"))
        })?;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    if !std::env::split_paths(&path).any(|directory| directory.join(QEMU).is_file()) {
        return Err(Error::Unavailable(format!("found no {QEMU} in PATH: install qemu-system-x86")));
    }
    Kernel::find(run.machine.kernel.as_deref())
}

/// Runs in a virtual machine.
pub fn run(backend: Backend, run: &Run<'_>, host: &mut HostSide<'_>) -> Result<Received> {
    let begin = Instant::now();
    let kernel = check(backend, run)?;
    let request = run.request(backend)?;
    let modules = modules(&kernel)?;
    let (base, store) = rayon::join(
        || run.base.map(|base| base.image(run.machine.cache.as_deref(), &run.limits)).transpose(),
        || run.store.as_ref().map(store::image).transpose(),
    );
    let (base, store) = (base?, store?);
    let memory =
        memfd_create("initramfs", MemfdFlags::CLOEXEC).map_err(|e| Error::io("make", "the initramfs")(e.into()))?;
    let first = File::from(memory);
    let mut out = BufWriter::with_capacity(1 << 18, &first);
    initramfs::write(&request, &modules, &mut out)?;
    out.flush().map_err(Error::io("write", "the initramfs"))?;
    drop(out);
    let swap = swap(run.disk.max(LEAST_SWAP))?;

    let mut command = command(backend, &kernel, run, &first);
    add_disk(&mut command, SWAP_DISK, &swap, false);
    let disks = [(BASE_DISK, &base), (STORE_DISK, &store), (CONTENTS_DISK, &run.contents)];
    for (name, file) in disks.into_iter().filter_map(|(name, file)| Some((name, file.as_ref()?))) {
        add_disk(&mut command, name, file, true);
    }
    let mut guard = ChildGuard::start("QEMU", &mut command)?;
    let usual = if backend == Backend::Kvm { BOOT_KVM } else { BOOT };
    let hello = run.machine.boot_timeout.unwrap_or(usual);
    let prepared = begin.elapsed();
    Ok(Received { prepared, ..receive(&mut guard, Bounds::of(run, hello), host)? })
}

fn command(backend: Backend, kernel: &Kernel, run: &Run<'_>, first: &File) -> Command {
    let mut command = Command::new(QEMU);
    command.args(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-machine", "pc", "-smp", "1"]);
    command.args(["-m", &(run.machine.memory >> 20).to_string()]);
    match backend {
        Backend::Kvm => command.args(["-accel", "kvm", "-cpu", "host"]),
        _ => command.args(["-accel", "tcg", "-cpu", EMULATED]),
    };
    command.arg("-kernel").arg(&kernel.image).args(["-initrd", &name_of(first), "-append", KERNEL_ARGUMENTS]);
    command.args(["-chardev", "file,id=console,path=/proc/self/fd/2", "-serial", "chardev:console"]);
    command.args(["-chardev", "file,id=out,path=/proc/self/fd/1", "-device", "virtio-serial-pci", "-device"]);
    command.arg(format!("virtserialport,chardev=out,name={PORT}"));
    command.stdin(Stdio::null());
    command
}

/// A file of ours that has no name, as others may open it.
fn name_of(file: &File) -> String {
    format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd())
}

fn add_disk(command: &mut Command, name: &str, file: &File, is_read_only: bool) {
    let read_only = if is_read_only { "on" } else { "off" };
    let file = name_of(file);
    command.arg("-drive");
    command.arg(format!("file={file},if=none,id={name},format=raw,readonly={read_only},cache=unsafe"));
    command.args(["-device", &format!("virtio-blk-pci,drive={name},serial={name}")]);
}

/// A disk for what does not fit in memory, as mkswap(8) makes it: with a header in its first page.
fn swap(size: u64) -> Result<File> {
    const PAGE: u64 = 4096;
    let file = tempfile::tempfile().map_err(Error::io("make a file in", std::env::temp_dir()))?;
    let pages = u32::try_from(size / PAGE).unwrap_or(u32::MAX);
    let write = || -> io::Result<()> {
        file.set_len(u64::from(pages) * PAGE)?;
        // linux/swap.h, `union swap_header`: version, last page, number of bad pages.
        file.write_all_at(&[1_u32.to_le_bytes(), (pages - 1).to_le_bytes(), [0; 4]].concat(), 1024)?;
        file.write_all_at(b"SWAPSPACE2", PAGE - 10)
    };
    write().map_err(Error::io("write", Path::new("the swap disk")))?;
    Ok(file)
}
