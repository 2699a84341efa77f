//! The sandbox of one command, as its caller describes it, and the steps in which it is made.

use crate::child::Child;
use crate::inner_root::InnerRoot;
use crate::opener::Service;
use crate::system;
use rustix::process::{Signal, set_parent_process_death_signal, umask};
use rustix::thread::CapabilitySet;
use std::ffi::CString;
use std::io::{self, PipeReader};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// Umask of the command: what it creates is readable by all, as in Nix builds.
pub const UMASK: u32 = 0o022;

/// Capabilities that root loses in the sandbox, since with them it could remount what was made read-only, or write
/// through /proc/PID/root of a process outside (capabilities(7)).
pub const DROPPED: [CapabilitySet; 2] = [CapabilitySet::SYS_ADMIN, CapabilitySet::SYS_PTRACE];

/// A step of making the sandbox, or of taking it down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Step {
    /// unshare(2).
    Unshare = 1,
    /// Writing the maps of user and group ids, user_namespaces(7).
    MapUser,
    /// Making all mounts private, so that nothing shows outside.
    Private,
    /// Mounting the writable folders on themselves, to give them mount flags of their own.
    Bind,
    /// Mounting the store, /dev and /proc into the folder that becomes the root.
    Inner,
    /// Making everything read-only and the two folders writable again, mount_setattr(2), Linux 5.12.
    ReadOnly,
    /// Entering the folder's new mount.
    Enter,
    /// Giving up capabilities, prctl(2).
    Drop,
    /// Making the processes.
    Fork,
    /// Having system calls answered, seccomp(2), Linux 5.5.
    Listen,
    /// Giving the files back to the caller.
    Settle,
}

impl Step {
    const ALL: [Step; 11] = [
        Step::Unshare,
        Step::MapUser,
        Step::Private,
        Step::Bind,
        Step::Inner,
        Step::ReadOnly,
        Step::Enter,
        Step::Drop,
        Step::Fork,
        Step::Listen,
        Step::Settle,
    ];

    /// What is done, as a verb phrase.
    pub fn describe(self) -> &'static str {
        match self {
            Step::Unshare => "make namespaces",
            Step::MapUser => "map users into its namespace",
            Step::Private => "make mounts private",
            Step::Bind => "mount the work folders",
            Step::Inner => "mount the store, /dev and /proc in the layer",
            Step::ReadOnly => "make the rest read-only",
            Step::Enter => "enter the work folder",
            Step::Drop => "give up capabilities",
            Step::Fork => "make its first process",
            Step::Listen => "have its system calls answered",
            Step::Settle => "take its files back",
        }
    }

    /// The step that a message is about.
    pub(crate) fn of_tag(tag: u8) -> Option<Step> {
        Step::ALL.into_iter().find(|step| *step as u8 == tag)
    }
}

/// Which users there are in the sandbox, and who the command is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Users {
    /// The caller, as itself; in a user namespace only where none of the others is to be had without.
    Own,
    /// Root of a user namespace, with as many other users as the caller may map ([`IdMap`](crate::ids::IdMap)): whoever
    /// listens at the socket does it.
    Many,
    /// Root of a user namespace, which is the caller and has no other user.
    Alone,
    /// The caller, who is root, without a user namespace.
    Real,
}

/// A sandbox.
#[derive(Debug)]
pub struct Confinement<'a> {
    /// The folder to run in, absolute; it can be written.
    pub enter: &'a Path,
    /// Another folder that can be written, absolute.
    pub scratch: &'a Path,
    /// Who the command is.
    pub users: Users,
    /// What is mounted in the folder to run in, for it to become the root.
    pub inner: Option<&'a InnerRoot>,
    /// Where [`Attendant`](crate::fake::Attendant) listens, and which calls it answers.
    pub attended: Option<(UnixStream, Vec<libc::sock_filter>)>,
    /// Where files are opened for [`Opener`](crate::opener::Opener).
    pub service: Option<Service>,
}

/// Makes the command run in a sandbox. The pipe is for [`Report::read`](crate::Report::read). The umask is set too.
pub fn confine(command: &mut Command, confinement: Confinement<'_>) -> io::Result<PipeReader> {
    let (reader, report) = io::pipe()?;
    let child = Child {
        enter: CString::new(confinement.enter.as_os_str().as_bytes())?,
        scratch: CString::new(confinement.scratch.as_os_str().as_bytes())?,
        users: confinement.users,
        uid: rustix::process::geteuid().as_raw(),
        gid: rustix::process::getegid().as_raw(),
        inner: confinement.inner.cloned(),
        attended: confinement.attended,
        service: confinement.service.map(Service::into_descriptor),
        report,
    }
    .prepared();
    // SAFETY: the closure runs in a forked child, where only async-signal-safe calls are allowed. It makes system calls
    // on memory prepared here, allocates nothing, takes no lock, and unwinds nowhere.
    unsafe { command.pre_exec(move || child.make()) };
    Ok(reader)
}

/// Sets the command's umask, and has its system calls answered if asked to; the command dies with us. For where no sandbox
/// can be made.
pub fn leave_open(command: &mut Command, attended: Option<(UnixStream, Vec<libc::sock_filter>)>) {
    // SAFETY: as in `confine`.
    unsafe {
        command.pre_exec(move || {
            umask(UMASK.into());
            set_parent_process_death_signal(Some(Signal::KILL))?;
            if let Some((socket, program)) = &attended {
                crate::fake::hand_over(socket, system::listen_to_calls(program)?)?;
            }
            Ok(())
        })
    };
}
