//! Makes system calls that rustix lacks, or offers only for programs with threads. All of them are async-signal-safe, and
//! may be made between fork and exec (signal-safety(7)). They are for processes of one thread: a child that has just been
//! forked, or a program that starts none.

use rustix::io::Errno;
use rustix::process::{
    Pid, Resource, Rlimit, Signal, WaitOptions, getrlimit, set_parent_process_death_signal, setrlimit, wait,
};
use rustix::thread::{UnshareFlags, unshare_unsafe};
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

/// Umask of the command: what it creates is readable by all, as in Nix builds.
pub const UMASK: u32 = 0o022;

/// Moves the calling process into new namespaces.
pub fn unshare(flags: UnshareFlags) -> Result<(), Errno> {
    // SAFETY: the descriptor table stays shared with nobody, as fork(2) left it.
    unsafe { unshare_unsafe(flags) }
}

/// Makes the mount at a path read-only with all that is mounted below, or this one mount writable.
pub fn set_read_only(path: &CStr, read_only: bool) -> Result<(), Errno> {
    match read_only {
        true => set_mount(path, libc::AT_RECURSIVE, libc::MOUNT_ATTR_RDONLY, 0),
        false => set_mount(path, 0, 0, libc::MOUNT_ATTR_RDONLY),
    }
}

/// Makes the mount at a path with all that is mounted below one where nothing can be written and no device is opened.
pub fn close_mounts(path: &CStr) -> Result<(), Errno> {
    set_mount(path, libc::AT_RECURSIVE, libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NODEV, 0)
}

/// Lets the device that is mounted at a path be opened again.
pub fn open_device(path: &CStr) -> Result<(), Errno> {
    match set_mount(path, 0, 0, libc::MOUNT_ATTR_NODEV) {
        // Whoever made our namespace has forbidden it, and it could not be opened before.
        Err(Errno::PERM) => Ok(()),
        result => result,
    }
}

fn set_mount(path: &CStr, flags: libc::c_int, set: u64, clear: u64) -> Result<(), Errno> {
    let attributes = libc::mount_attr { attr_set: set, attr_clr: clear, propagation: 0, userns_fd: 0 };
    let size = size_of::<libc::mount_attr>();
    // SAFETY: path and attributes are valid for the length of the call, which only reads them.
    check(unsafe {
        libc::syscall(libc::SYS_mount_setattr, libc::AT_FDCWD, path.as_ptr(), flags, &raw const attributes, size)
    })
    .map(drop)
}

/// The child's process id in the parent, none in the child.
pub fn fork() -> Result<Option<Pid>, Errno> {
    // SAFETY: the child goes on as the parent may: system calls only.
    check(unsafe { libc::fork() }.into()).map(|id| i32::try_from(id).ok().and_then(Pid::from_raw))
}

/// Ends the process at once: nothing that the program registered to run at its exit may run in its copies.
pub fn exit(status: i32) -> ! {
    // SAFETY: _exit(2) has no preconditions.
    unsafe { libc::_exit(status) }
}

/// Has the kernel kill this process when its parent dies, so that a kill -9 of the parent leaves no script behind.
pub fn die_with_parent() -> Result<(), Errno> {
    set_parent_process_death_signal(Some(Signal::KILL))
}

/// Waits for children, also those that came to us as orphans, until this one has ended; its raw status (wait(2)).
///
/// # Errors
///
/// The child is not ours to wait for: somebody ignores SIGCHLD for us.
pub fn wait_for(child: Pid) -> Result<i32, Errno> {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == child => return Ok(status.as_raw()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// Closes all descriptors from this one on.
pub fn close_from(first: libc::c_uint) -> Result<(), Errno> {
    // SAFETY: only for a process with a single thread that uses none of them from here on.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, 0 as libc::c_uint) }).map(drop)
}

/// Becomes user and group 0 of its user namespace, and a member of no other group.
pub fn become_root() -> Result<(), Errno> {
    // SAFETY: the raw calls change the calling thread alone, which is all that there is of a forked process.
    unsafe {
        check(libc::syscall(libc::SYS_setgroups, 0_usize, std::ptr::null::<libc::gid_t>()))?;
        check(libc::syscall(libc::SYS_setresgid, 0, 0, 0))?;
        check(libc::syscall(libc::SYS_setresuid, 0, 0, 0)).map(drop)
    }
}

/// Has the calling process and its children's system calls decided by a filter (seccomp(2)), and gives the descriptor at
/// which those of [`RET_USER_NOTIF`](libc::SECCOMP_RET_USER_NOTIF) arrive. Linux 5.5; no new privileges from here on.
pub fn listen_to_calls(program: &[libc::sock_filter]) -> Result<OwnedFd, Errno> {
    let listener = libc::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    // With this a signal does not interrupt a call that is being answered, to make it again; Linux 5.19.
    let descriptor = match filter_calls(program, listener | WAIT_KILLABLE_RECV) {
        Err(Errno::INVAL) => filter_calls(program, listener),
        result => result,
    }?;
    let descriptor = i32::try_from(descriptor).map_err(|_| Errno::BADF)?;
    // SAFETY: the kernel has just made it for us.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Has the calling process and its children's system calls decided by a filter (seccomp(2)); the call's result. No new
/// privileges from here on.
pub fn filter_calls(program: &[libc::sock_filter], flags: libc::c_ulong) -> Result<libc::c_long, Errno> {
    rustix::thread::set_no_new_privs(true)?;
    let length = u16::try_from(program.len()).map_err(|_| Errno::INVAL)?;
    let program = libc::sock_fprog { len: length, filter: program.as_ptr().cast_mut() };
    // SAFETY: the program is valid for the length of the call, which copies it.
    check(unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) })
}

/// Bounds the address space of the calling process and of each of its children, in bytes.
pub fn limit_memory(bytes: u64) -> Result<(), Errno> {
    // Who may not raise a limit keeps to the one that there is.
    let most = getrlimit(Resource::As).maximum.map_or(bytes, |hard| hard.min(bytes));
    setrlimit(Resource::As, Rlimit { current: Some(most), maximum: Some(most) })
}

/// Bounds the tasks of the calling process's user, which the kernel does for all but root of the machine.
pub fn limit_tasks(tasks: u64) -> Result<(), Errno> {
    let most = getrlimit(Resource::Nproc).maximum.map_or(tasks, |hard| hard.min(tasks));
    setrlimit(Resource::Nproc, Rlimit { current: Some(most), maximum: Some(most) })
}

/// Has the calling process, and children that it makes from here on, run before all others whenever it can, or like all
/// others again (sched(7)). Only root of the machine may do the first.
pub fn run_first(first: bool) -> Result<(), Errno> {
    let policy = if first { libc::SCHED_FIFO } else { libc::SCHED_OTHER };
    // SAFETY: a number, and in some libraries others, for all of which zeros will do.
    let mut parameters: libc::sched_param = unsafe { std::mem::zeroed() };
    parameters.sched_priority = i32::from(first);
    // SAFETY: the kernel reads a number. The raw call, as some libraries have none behind their function.
    check(unsafe { libc::syscall(libc::SYS_sched_setscheduler, 0, policy, &raw const parameters) }).map(drop)
}

/// Brings up a network interface (netdevice(7)).
pub fn set_flags_up(socket: &OwnedFd, interface: &CStr) -> Result<(), Errno> {
    // SAFETY: a name and numbers, for all of which zeros will do.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    // The last byte stays the NUL.
    let name = interface.to_bytes().iter().take(request.ifr_name.len() - 1);
    request.ifr_name.iter_mut().zip(name).for_each(|(to, from)| *to = *from as libc::c_char);
    // The flag is among the lowest bits.
    request.ifr_ifru.ifru_flags = libc::IFF_UP as libc::c_short;
    // SAFETY: the kernel reads a request of this form.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw const request) }.into()).map(drop)
}

/// Has memory written out to a disk that says it is for that (swapon(2)).
pub fn swap_on(device: &CStr) -> Result<(), Errno> {
    // SAFETY: the path is valid for the length of the call, which only reads it.
    check(unsafe { libc::swapon(device.as_ptr(), 0) }.into()).map(drop)
}

/// Signals that are waited for instead of being obeyed.
#[derive(Clone, Copy)]
pub struct Signals(libc::sigset_t);

impl Signals {
    /// Blocks these signals, from here on.
    pub fn block(signals: &[Signal]) -> Result<Signals, Errno> {
        // SAFETY: a set of signals is a number; the functions fill and read the one that they are given.
        unsafe {
            let mut set = std::mem::zeroed();
            libc::sigemptyset(&raw mut set);
            for signal in signals {
                libc::sigaddset(&raw mut set, signal.as_raw());
            }
            check(libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()).into())?;
            Ok(Signals(set))
        }
    }

    /// A descriptor that can be read when one of them has come (signalfd(2)).
    pub fn descriptor(&self) -> Result<OwnedFd, Errno> {
        // SAFETY: the set is one, and the descriptor is made by the kernel for us.
        let descriptor = unsafe { libc::signalfd(-1, &raw const self.0, libc::SFD_CLOEXEC) };
        check(descriptor.into())?;
        // SAFETY: as above.
        Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
    }

    /// The number of one that has come, from such a descriptor.
    pub fn read(descriptor: &OwnedFd) -> Result<i32, Errno> {
        let mut message = [0; size_of::<libc::signalfd_siginfo>()];
        rustix::io::read(descriptor, &mut message)?;
        // The first field is the number.
        Ok(i32::from_ne_bytes([message[0], message[1], message[2], message[3]]))
    }
}

/// linux/seccomp.h, SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV.
const WAIT_KILLABLE_RECV: libc::c_ulong = 1 << 5;

fn check(result: libc::c_long) -> Result<libc::c_long, Errno> {
    match result {
        -1 => Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO)),
        result => Ok(result),
    }
}
