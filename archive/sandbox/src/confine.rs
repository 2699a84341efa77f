//! Makes a command run in a sandbox, which its process builds between fork and exec.

use crate::child::{Child, Users};
use crate::fd_broker::BrokerSocket;
use crate::inner_root::InnerRoot;
use crate::system::{self, UMASK};
use rustix::process::{Signal, set_parent_process_death_signal, umask};
use std::ffi::CString;
use std::io::{self, PipeReader};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

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
    /// Where [`Notifier`](crate::fake::Notifier) listens, and which calls it answers.
    pub notifier: Option<(UnixStream, Vec<libc::sock_filter>)>,
    /// Where files are opened for [`FdBroker`](crate::fd_broker::FdBroker).
    pub service: Option<BrokerSocket>,
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
        notifier: confinement.notifier,
        service: confinement.service.map(BrokerSocket::into_descriptor),
        report,
    }
    .prepared();
    // SAFETY: the closure runs in a forked child, where only async-signal-safe calls are allowed. It makes system calls
    // on memory prepared here, allocates nothing, takes no lock, and unwinds nowhere.
    unsafe { command.pre_exec(move || child.make()) };
    Ok(reader)
}

/// Sets the command's umask, and has its system calls answered if notification to; the command dies with us. For where no sandbox
/// can be made.
pub fn leave_open(command: &mut Command, notifier: Option<(UnixStream, Vec<libc::sock_filter>)>) {
    // SAFETY: as in `confine`.
    unsafe {
        command.pre_exec(move || {
            umask(UMASK.into());
            set_parent_process_death_signal(Some(Signal::KILL))?;
            if let Some((socket, program)) = &notifier {
                crate::fake::hand_over(socket, system::listen_to_calls(program)?)?;
            }
            Ok(())
        })
    };
}
