//! Makes a command run in a sandbox, which its process builds between fork and exec.

use crate::WorkDirs;
use crate::child::{Child, Users};
use crate::inner_root::InnerRoot;
use crate::keyring;
use crate::options::Bounds;
use crate::step::Step;
use crate::system::{self, UMASK};
use rustix::process::umask;
use std::ffi::CString;
use std::io::{self, PipeReader};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// How a command is confined, besides by its directories.
#[derive(Clone, Copy, Debug)]
pub struct Confinement<'a> {
    /// Who it is.
    pub users: Users,
    /// The steps that are left out.
    pub lacking: &'a [Step],
    /// What it may use.
    pub bounds: Bounds,
}

/// Makes the command run in a sandbox. The pipe is for [`Report::read`](crate::Report::read). The umask is set too.
///
/// `notifier` is where the notifier listens, and which calls it answers; `service` is where files are opened for an
/// [`FdBroker`](crate::fd_broker::FdBroker).
pub fn confine(
    command: &mut Command,
    dirs: WorkDirs<'_>,
    confinement: Confinement<'_>,
    notifier: Option<(UnixStream, Vec<libc::sock_filter>)>,
    service: Option<OwnedFd>,
) -> io::Result<PipeReader> {
    let Confinement { users, lacking, bounds } = confinement;
    let (reader, report) = io::pipe()?;
    let map = |id: u32| format!("{} {id} 1\n", if users == Users::Alone { 0 } else { id }).into_bytes();
    let child = Child {
        enter: CString::new(dirs.enter.as_os_str().as_bytes())?,
        scratch: CString::new(dirs.scratch.as_os_str().as_bytes())?,
        users,
        user_map: map(rustix::process::geteuid().as_raw()),
        group_map: map(rustix::process::getegid().as_raw()),
        inner: dirs.inner.cloned(),
        devices: InnerRoot::devices(dirs.inner.map_or(Path::new("/"), |_| dirs.enter))?,
        notifier,
        service,
        report,
        lacking: lacking.to_vec(),
        bounds,
        keyrings: keyring::filter(),
        parent: rustix::process::getpid(),
    };
    // SAFETY: the closure runs in a forked child, where only async-signal-safe calls are allowed. It makes system calls
    // on memory prepared here, allocates nothing, takes no lock, and unwinds nowhere.
    unsafe { command.pre_exec(move || child.make()) };
    Ok(reader)
}

/// Sets the command's umask and its limits, and has its system calls answered if there is a notifier; the command dies with
/// us. For where no sandbox can be made, or none is wanted.
pub fn leave_open(command: &mut Command, bounds: Bounds, notifier: Option<(UnixStream, Vec<libc::sock_filter>)>) {
    // SAFETY: as in `confine`.
    unsafe {
        command.pre_exec(move || {
            umask(UMASK.into());
            system::die_with_parent()?;
            if let Some(bytes) = bounds.memory {
                system::limit_memory(bytes)?;
            }
            if let Some((socket, program)) = &notifier {
                crate::fake::hand_over(socket, system::listen_to_calls(program)?)?;
            }
            Ok(())
        })
    };
}
