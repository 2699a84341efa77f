//! A sandbox for one command: namespaces in which nothing but two folders can be written, and which take every process
//! down that the command leaves behind.
//!
//! All of this happens between fork and exec, in the child, step by step ([`Step`]); this file has the crate's only
//! `unsafe`. Three processes come of it:
//!
//! ```text
//! us ── keeper ── init (process 1 of the new process namespace) ── the command
//! ```
//!
//! unshare(2) does not move its caller into a new process namespace, so the keeper stays outside and waits for init.
//! When init ends, the kernel kills all that is left in the namespace before the keeper hears of it
//! (pid_namespaces(7)). The command itself is not made process 1, because signals sent to that from inside are lost:
//! `kill $$` in a script would do nothing. What becomes of the command therefore comes back through a pipe.
//!
//! A caller that may not make namespaces does so in a user namespace of its own, in which it keeps its user and group
//! id. This is a guard against mistakes, not against malice: the network and other processes' sockets are in reach.

use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, mount_bind, mount_change};
use rustix::process::{Pid, Signal, WaitOptions, chdir, set_parent_process_death_signal, umask, wait};
use rustix::thread::{CapabilitySet, UnshareFlags, remove_capability_from_bounding_set, unshare_unsafe};
use std::ffi::{CStr, CString};
use std::io::{self, PipeReader, PipeWriter, Read};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, ExitStatus};

/// Umask of the command: what it creates is readable by all, as in Nix builds.
const UMASK: u32 = 0o022;

/// Capabilities that root loses in the sandbox, since with them it could remount what was made read-only, or write
/// through /proc/PID/root of a process outside (capabilities(7)).
const DROPPED: [CapabilitySet; 2] = [CapabilitySet::SYS_ADMIN, CapabilitySet::SYS_PTRACE];

/// A step of making the sandbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Step {
    /// unshare(2).
    Unshare = 1,
    /// Writing the identity map of user and group ids, user_namespaces(7).
    MapUser,
    /// Making all mounts private, so that nothing shows outside.
    Private,
    /// Mounting the writable folders on themselves, to give them mount flags of their own.
    Bind,
    /// Making everything read-only and the two folders writable again, mount_setattr(2), Linux 5.12.
    ReadOnly,
    /// Entering the folder's new mount.
    Enter,
    /// Giving up capabilities, prctl(2).
    Drop,
    /// Making the processes.
    Fork,
}

impl Step {
    const ALL: [Step; 8] =
        [Step::Unshare, Step::MapUser, Step::Private, Step::Bind, Step::ReadOnly, Step::Enter, Step::Drop, Step::Fork];

    /// What is done, as a verb phrase.
    pub fn describe(self) -> &'static str {
        match self {
            Step::Unshare => "make namespaces",
            Step::MapUser => "map the user into its namespace",
            Step::Private => "make mounts private",
            Step::Bind => "mount the work folders",
            Step::ReadOnly => "make the rest read-only",
            Step::Enter => "enter the work folder",
            Step::Drop => "give up capabilities",
            Step::Fork => "make its first process",
        }
    }
}

/// What a sandbox tells of itself, once the command's process has been waited for.
#[derive(Debug)]
pub enum Report {
    /// The command ended so.
    Ended(ExitStatus),
    /// The sandbox could not be made; the command was not run.
    Failed(Step, io::Error),
    /// Nothing: the command never ran, or the sandbox was killed from outside.
    Nothing,
}

impl Report {
    /// Reads the report of a sandbox all of whose processes have ended, and whose [`Command`] is gone.
    pub fn read(mut pipe: PipeReader) -> io::Result<Report> {
        let mut message = Vec::new();
        pipe.read_to_end(&mut message)?;
        let Some((&tag, rest)) = message.split_first() else { return Ok(Report::Nothing) };
        let Some(value) = rest.first_chunk().map(|bytes| i32::from_ne_bytes(*bytes)) else {
            return Ok(Report::Nothing);
        };
        Ok(match Step::ALL.into_iter().find(|step| *step as u8 == tag) {
            Some(step) => Report::Failed(step, io::Error::from_raw_os_error(value)),
            None => Report::Ended(ExitStatus::from_raw(value)),
        })
    }
}

/// Makes the command run in a sandbox, in the folder `enter`; it can write that and `scratch` (both absolute).
///
/// The pipe is for [`Report::read`]. The umask is set too.
pub fn confine(command: &mut Command, enter: &Path, scratch: &Path) -> io::Result<PipeReader> {
    let (reader, report) = io::pipe()?;
    let sandbox = Sandbox {
        enter: CString::new(enter.as_os_str().as_bytes())?,
        scratch: CString::new(scratch.as_os_str().as_bytes())?,
        user_map: identity(rustix::process::geteuid().as_raw()),
        group_map: identity(rustix::process::getegid().as_raw()),
        report,
    };
    // SAFETY: the closure runs in a forked child, where only async-signal-safe calls are allowed. It makes system calls
    // on memory prepared here, allocates nothing, takes no lock, and unwinds nowhere.
    unsafe { command.pre_exec(move || sandbox.make()) };
    Ok(reader)
}

/// Sets the command's umask and nothing else; the command dies with us. For where no sandbox can be made.
pub fn leave_open(command: &mut Command) {
    // SAFETY: as in `confine`.
    unsafe {
        command.pre_exec(|| {
            umask(UMASK.into());
            Ok(set_parent_process_death_signal(Some(Signal::KILL))?)
        })
    };
}

/// All that the child needs, in memory before the fork.
struct Sandbox {
    enter: CString,
    scratch: CString,
    user_map: Vec<u8>,
    group_map: Vec<u8>,
    report: PipeWriter,
}

impl Sandbox {
    /// Makes the sandbox around the calling process, which becomes the keeper; returns in the command's process only.
    fn make(&self) -> io::Result<()> {
        umask(UMASK.into());
        let new_user = self.step(Step::Unshare, unshare())?;
        if new_user {
            self.step(Step::MapUser, self.map_user())?;
        }
        // Not earlier: a change of credentials undoes it.
        self.step(Step::Unshare, die_with_parent())?;
        self.step(Step::Private, mount_change(c"/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC))?;
        self.step(Step::Bind, mount_bind(&*self.enter, &*self.enter))?;
        self.step(Step::Bind, mount_bind(&*self.scratch, &*self.scratch))?;
        self.step(Step::ReadOnly, set_read_only(c"/", true))?;
        self.step(Step::ReadOnly, set_read_only(&self.enter, false))?;
        self.step(Step::ReadOnly, set_read_only(&self.scratch, false))?;
        self.step(Step::Enter, chdir(&*self.enter))?;
        for capability in DROPPED {
            self.step(Step::Drop, remove_capability_from_bounding_set(capability))?;
        }
        if let Some(init) = self.step(Step::Fork, fork())? {
            self.keep(init);
        }
        self.step(Step::Fork, die_with_parent())?;
        if let Some(command) = self.step(Step::Fork, fork())? {
            self.reap(command);
        }
        Ok(())
    }

    /// Tells a failure before returning it: of the error only the number would reach the parent.
    fn step<T>(&self, step: Step, result: Result<T, Errno>) -> io::Result<T> {
        if let Err(errno) = result {
            tell(&self.report, step as u8, errno.raw_os_error());
        }
        Ok(result?)
    }

    fn map_user(&self) -> Result<(), Errno> {
        // Without this an unprivileged process may not map its group (user_namespaces(7)).
        write_file(c"/proc/self/setgroups", b"deny")?;
        write_file(c"/proc/self/gid_map", &self.group_map)?;
        write_file(c"/proc/self/uid_map", &self.user_map)
    }

    /// The keeper's life: waits for init, and tells how it ended if it was killed.
    fn keep(&self, init: Pid) -> ! {
        self.hold_report_only();
        let status = wait_for(init);
        if ExitStatus::from_raw(status).signal().is_some() {
            tell(rustix::stdio::stdin(), 0, status);
        }
        exit(0)
    }

    /// Init's life: waits for the command and for whatever becomes an orphan, and tells how the command ended.
    fn reap(&self, command: Pid) -> ! {
        self.hold_report_only();
        let status = wait_for(command);
        tell(rustix::stdio::stdin(), 0, status);
        exit(0)
    }

    /// Closes all descriptors but the report's, which becomes descriptor 0: nobody shall wait on the far end of a pipe
    /// for the keeper or init.
    fn hold_report_only(&self) {
        // SAFETY: the process has no other thread, and from here on it uses no descriptor but 0.
        let closed = rustix::stdio::dup2_stdin(&self.report).is_ok()
            && unsafe { libc::syscall(libc::SYS_close_range, 1 as libc::c_uint, libc::c_uint::MAX, 0 as libc::c_uint) }
                == 0;
        if !closed {
            exit(1);
        }
    }
}

/// Sends a message, a tag and a number, in one piece (pipe(7), PIPE_BUF). If that fails the parent hears nothing, and says
/// so.
fn tell(report: impl AsFd, tag: u8, value: i32) {
    let [a, b, c, d] = value.to_ne_bytes();
    let _ = rustix::io::write(report, &[tag, a, b, c, d]);
}

fn identity(id: u32) -> Vec<u8> {
    format!("{id} {id} 1\n").into_bytes()
}

/// New mount and process namespaces; true if that took a new user namespace.
fn unshare() -> Result<bool, Errno> {
    let flags = UnshareFlags::NEWNS | UnshareFlags::NEWPID;
    // SAFETY: the descriptor table stays shared with nobody, as fork(2) left it.
    unsafe {
        match unshare_unsafe(flags) {
            Err(Errno::PERM) => unshare_unsafe(flags | UnshareFlags::NEWUSER).map(|()| true),
            result => result.map(|()| false),
        }
    }
}

/// Has the kernel kill this process when its parent dies, so that a kill -9 of us leaves no script behind.
fn die_with_parent() -> Result<(), Errno> {
    set_parent_process_death_signal(Some(Signal::KILL))
}

fn write_file(path: &CStr, bytes: &[u8]) -> Result<(), Errno> {
    use rustix::fs::{Mode, OFlags, open};
    let file = open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    // The kernel takes such a map in one write or not at all.
    rustix::io::write(&file, bytes).map(|_| ())
}

/// Makes the mount at a path read-only with all that is mounted below, or this one mount writable.
fn set_read_only(path: &CStr, read_only: bool) -> Result<(), Errno> {
    let (flags, set, clear) = match read_only {
        true => (libc::AT_RECURSIVE, libc::MOUNT_ATTR_RDONLY, 0),
        false => (0, 0, libc::MOUNT_ATTR_RDONLY),
    };
    let attributes = libc::mount_attr { attr_set: set, attr_clr: clear, propagation: 0, userns_fd: 0 };
    let size = size_of::<libc::mount_attr>();
    // SAFETY: path and attributes are valid for the length of the call, which only reads them.
    let result = unsafe {
        libc::syscall(libc::SYS_mount_setattr, libc::AT_FDCWD, path.as_ptr(), flags, &raw const attributes, size)
    };
    if result == 0 { Ok(()) } else { Err(last_errno()) }
}

/// The child's process id in the parent, none in the child.
fn fork() -> Result<Option<Pid>, Errno> {
    // SAFETY: the child goes on as the parent may: system calls only.
    match unsafe { libc::fork() } {
        -1 => Err(last_errno()),
        id => Ok(Pid::from_raw(id)),
    }
}

/// Waits for children, also those that came to us as orphans, until this one has ended; its raw status (wait(2)).
fn wait_for(child: Pid) -> i32 {
    loop {
        match wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid == child => return status.as_raw(),
            Ok(_) | Err(Errno::INTR) => {}
            // Only if the child is not ours to wait for: somebody ignores SIGCHLD for us.
            Err(_) => exit(1),
        }
    }
}

fn last_errno() -> Errno {
    Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::IO)
}

/// Ends the process at once: nothing that the program registered to run at its exit may run in its copies.
fn exit(status: i32) -> ! {
    // SAFETY: _exit(2) has no preconditions.
    unsafe { libc::_exit(status) }
}
