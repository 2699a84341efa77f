//! Makes the sandbox around the child, step by step, between fork and exec.
//!
//! It makes three processes:
//!
//! ```text
//! us ── supervisor ── init (process 1 of the new process namespace) ── the command
//! ```
//!
//! unshare(2) does not move its caller into a new process namespace, so the supervisor stays outside and waits for init.
//! When init ends, the kernel kills all that is left in the namespace before the supervisor hears of it
//! (pid_namespaces(7)). The command itself is not made process 1, because signals sent to that from inside are lost:
//! `kill $$` in a script would do nothing. What becomes of the command therefore comes back through a pipe.
//!
//! This is a guard against mistakes, not against malice: sockets that have a name in the file system are in reach.

use crate::capability::bound_capabilities;
use crate::census::{tasks, wait_and_count};
use crate::fake;
use crate::fd_broker::serve;
use crate::inner_root::{InnerRoot, mount_proc};
use crate::namespace::{name_host, start_loopback};
use crate::options::Bounds;
use crate::reclaim::reclaim;
use crate::report::{TOO_MANY, send};
use crate::step::Step;
use crate::system::{
    Signals, UMASK, become_root, close_from, close_mounts, die_with_parent, exit, filter_calls, fork, limit_memory,
    limit_tasks, listen_to_calls, open_device, run_first, set_read_only, unshare, wait_for,
};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, mount_bind, mount_change};
use rustix::process::{
    Pid, Signal, WaitOptions, chdir, chroot, getpid, getppid, kill_process, set_parent_process_death_signal, setsid,
    umask, waitpid,
};
use rustix::thread::UnshareFlags;
use std::ffi::{CStr, CString};
use std::io::{self, PipeWriter};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

/// Which users there are in the sandbox, and who the command is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Users {
    /// The caller, as itself; in a user namespace only where the other namespaces cannot be made without one.
    Own,
    /// Root of a user namespace, with as many other users as the caller may map ([`IdMap`](crate::ids::IdMap)): whoever
    /// listens at the socket does it.
    Many,
    /// Root of a user namespace, which is the caller and has no other user.
    Alone,
    /// The caller, who is root, without a user namespace.
    Real,
}

/// All that the child needs, in memory before the fork.
#[derive(Debug)]
pub struct Child {
    /// The directory to run in.
    pub enter: CString,
    /// The other directory that can be written.
    pub scratch: CString,
    /// Who the command is.
    pub users: Users,
    /// The map of the caller's user id, as /proc/self/uid_map takes it.
    pub user_map: Vec<u8>,
    /// The map of the caller's group id.
    pub group_map: Vec<u8>,
    /// What is mounted in the directory to run in.
    pub inner: Option<InnerRoot>,
    /// Where devices are that can be opened, seen from outside.
    pub devices: Vec<CString>,
    /// The socket of the notifier, and the filter.
    pub notifier: Option<(UnixStream, Vec<libc::sock_filter>)>,
    /// The socket at which the supervisor serves.
    pub service: Option<OwnedFd>,
    /// The pipe of the report.
    pub report: PipeWriter,
    /// The steps that are left out, as the machine does not allow them or as they are not wanted.
    pub lacking: Vec<Step>,
    /// What the command may use.
    pub bounds: Bounds,
    /// The filter of calls about keyrings.
    pub keyrings: Vec<libc::sock_filter>,
    /// The process that makes the sandbox.
    pub parent: Pid,
}

impl Child {
    /// Makes the sandbox around the calling process, which becomes the supervisor; returns in the command's process only.
    pub fn make(&self) -> io::Result<()> {
        umask(UMASK.into());
        if self.bounds.processes.is_some() {
            // For init, which counts. Who may not has its tasks bounded by the kernel.
            let _ = run_first(true);
        }
        self.enter_namespaces()?;
        // Not earlier: a change of credentials undoes it.
        self.step(Step::Unshare, die_with_parent())?;
        self.step(Step::Private, mount_change(c"/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC))?;
        self.step(Step::Bind, mount_bind(&*self.enter, &*self.enter))?;
        self.step(Step::Bind, mount_bind(&*self.scratch, &*self.scratch))?;
        if let Some(inner) = &self.inner {
            self.step(Step::Inner, inner.mount())?;
        }
        for device in self.devices.iter().filter(|_| self.inner.is_none()) {
            self.step(Step::Bind, mount_bind(&**device, &**device))?;
        }
        self.step(Step::ReadOnly, close_mounts(c"/"))?;
        for device in &self.devices {
            self.step(Step::ReadOnly, open_device(device))?;
        }
        self.step(Step::ReadOnly, set_read_only(&self.enter, false))?;
        self.step(Step::ReadOnly, set_read_only(&self.scratch, false))?;
        if let Some(inner) = &self.inner {
            self.step(Step::ReadOnly, set_read_only(&inner.scratch, false))?;
        }
        self.step(Step::Drop, bound_capabilities())?;
        // After all that a sandbox may not lack: where that fails, nothing is said of this.
        self.separate()?;
        if let Some(init) = self.step(Step::Fork, fork())? {
            self.keep(init);
        }
        self.step(Step::Fork, die_with_parent())?;
        self.show_processes()?;
        if let Some(command) = self.step(Step::Fork, fork())? {
            self.reap(command);
        }
        // Without a terminal: what is typed into it for us by the command would be read by whoever started us.
        self.step(Step::Fork, setsid())?;
        self.step(Step::Enter, chdir(&*self.enter))?;
        if self.inner.is_some() {
            self.step(Step::Enter, chroot(c"."))?;
        }
        self.step(Step::Limit, self.limit())?;
        if self.has(Step::Keyrings) {
            self.step(Step::Keyrings, filter_calls(&self.keyrings, 0))?;
        }
        if let Some((socket, program)) = &self.notifier {
            let listener = self.step(Step::Listen, listen_to_calls(program))?;
            self.step(Step::Listen, fake::hand_over(socket, listener))?;
        }
        Ok(())
    }

    fn enter_namespaces(&self) -> io::Result<()> {
        let flags = UnshareFlags::NEWNS | UnshareFlags::NEWPID;
        if matches!(self.users, Users::Real | Users::Own) {
            match unshare(flags) {
                Err(Errno::PERM) if self.users == Users::Own => {}
                result => return self.step(Step::Unshare, result),
            }
        }
        self.step(Step::Unshare, unshare(flags | UnshareFlags::NEWUSER))?;
        if self.users != Users::Many {
            return self.step(Step::MapUser, self.map_caller());
        }
        self.step(Step::MapUser, self.have_users_mapped())?;
        self.step(Step::MapUser, become_root())
    }

    /// Makes the namespaces that a sandbox may lack.
    fn separate(&self) -> io::Result<()> {
        if self.has(Step::Network) {
            self.step(Step::Network, unshare(UnshareFlags::NEWNET))?;
            // Without it there is less of a network.
            let _ = start_loopback();
        }
        if self.has(Step::Ipc) {
            self.step(Step::Ipc, unshare(UnshareFlags::NEWIPC))?;
        }
        if self.has(Step::HostName) {
            self.step(Step::HostName, unshare(UnshareFlags::NEWUTS).and_then(|()| name_host()))?;
        }
        Ok(())
    }

    /// Mounts a /proc, which only a process of its namespace can do.
    fn show_processes(&self) -> io::Result<()> {
        match &self.inner {
            _ if self.has(Step::Proc) => self.step(Step::Proc, mount_proc(self.proc())),
            Some(inner) => self.step(Step::Inner, inner.bind_proc()),
            None => Ok(()),
        }
    }

    /// Where /proc is, before the root is another one.
    fn proc(&self) -> &CStr {
        self.inner.as_ref().map_or(c"/proc", InnerRoot::proc)
    }

    /// Sets the limits of the command.
    fn limit(&self) -> Result<(), Errno> {
        if let Some(bytes) = self.bounds.memory {
            limit_memory(bytes)?;
        }
        if let Some(most) = self.bounds.processes {
            run_first(false)?;
            limit_tasks(tasks(most))?;
        }
        Ok(())
    }

    fn has(&self, step: Step) -> bool {
        !self.lacking.contains(&step)
    }

    fn map_caller(&self) -> Result<(), Errno> {
        // Without this an unprivileged process may not map its group (user_namespaces(7)).
        write_file(c"/proc/self/setgroups", b"deny")?;
        write_file(c"/proc/self/gid_map", &self.group_map)?;
        write_file(c"/proc/self/uid_map", &self.user_map)
    }

    fn have_users_mapped(&self) -> Result<(), Errno> {
        let (socket, _) = self.notifier.as_ref().ok_or(Errno::NOTCONN)?;
        // The answer never comes if the notifier is killed: this process holds the other end of the socket as well.
        die_with_parent()?;
        if getppid() != Some(self.parent) {
            return Err(Errno::SRCH);
        }
        fake::ask_for_users(socket, getpid())
    }

    /// Reports a failure before returning it: of the error only the number would reach the parent.
    fn step<T>(&self, step: Step, result: Result<T, Errno>) -> io::Result<T> {
        if let Err(errno) = result {
            send(&self.report, step as u8, errno.raw_os_error());
        }
        Ok(result?)
    }

    /// What the supervisor does: waits for init, reports how it ended if it was killed, and gives files of other users
    /// back. It does so when we are killed too: nobody else could remove those files.
    fn keep(&self, init: Pid) -> ! {
        self.hold_report_only(self.service.as_ref());
        if self.bounds.processes.is_some() {
            // Giving files back is not urgent.
            let _ = run_first(false);
        }
        let status = match self.users {
            // All files are the caller's: it dies with us.
            Users::Own => wait_for(init).unwrap_or_else(|_| exit(1)),
            _ => self.outlive(init).unwrap_or_else(|_| exit(1)),
        };
        if ExitStatus::from_raw(status).signal().is_some() {
            send(rustix::stdio::stdin(), 0, status);
        }
        if self.users != Users::Own
            && let Err(errno) = self.reclaim()
        {
            send(rustix::stdio::stdin(), Step::Reclaim as u8, errno.raw_os_error());
        }
        exit(0)
    }

    /// Waits for init, serves meanwhile, and kills it if our parent dies; its raw status.
    fn outlive(&self, init: Pid) -> Result<i32, Errno> {
        let signals = Signals::block(&[Signal::CHILD, Signal::TERM, Signal::PIPE])?;
        set_parent_process_death_signal(Some(Signal::TERM))?;
        let came = signals.descriptor()?;
        let mut serves = self.service.is_some();
        loop {
            // A signal that came before it was blocked is not waited for.
            if let Some((_, status)) = waitpid(Some(init), WaitOptions::NOHANG)? {
                return Ok(status.as_raw());
            }
            let stdout = rustix::stdio::stdout();
            let mut polled = [PollFd::new(&came, PollFlags::IN), PollFd::new(&stdout, PollFlags::IN)];
            let count = if serves { 2 } else { 1 };
            rustix::io::retry_on_intr(|| poll(&mut polled[..count], None))?;
            let (has_come, is_asked) = (!polled[0].revents().is_empty(), !polled[1].revents().is_empty());
            if has_come && Signals::read(&came)? == Signal::TERM.as_raw() {
                kill_process(init, Signal::KILL)?;
            }
            serves &= !is_asked || serve(stdout).is_ok();
        }
    }

    fn reclaim(&self) -> Result<(), Errno> {
        if let Some(inner) = &self.inner {
            inner.unmount()?;
        }
        reclaim(&self.enter, rustix::stdio::stdin())?;
        reclaim(&self.scratch, rustix::stdio::stdin())
    }

    /// What init does: waits for the command and for whatever becomes an orphan, and reports how the command ended.
    fn reap(&self, command: Pid) -> ! {
        self.hold_report_only(None);
        let ended = match self.bounds.processes {
            None => wait_for(command).map(Some),
            Some(most) => wait_and_count(command, self.proc(), most),
        };
        match ended.unwrap_or_else(|_| exit(1)) {
            Some(status) => send(rustix::stdio::stdin(), 0, status),
            // The end of init is that of all others.
            None => send(rustix::stdio::stdin(), TOO_MANY, 0),
        }
        exit(0)
    }

    /// Closes all descriptors but the report's, which becomes descriptor 0, and the one to serve at, which becomes 1: nobody
    /// shall wait on the far end of a pipe for the supervisor or init.
    fn hold_report_only(&self, service: Option<&OwnedFd>) {
        let is_done = rustix::stdio::dup2_stdin(&self.report).is_ok()
            && service.is_none_or(|service| rustix::stdio::dup2_stdout(service).is_ok())
            && close_from(if service.is_some() { 2 } else { 1 }).is_ok();
        if !is_done {
            exit(1);
        }
    }
}

fn write_file(path: &CStr, bytes: &[u8]) -> Result<(), Errno> {
    use rustix::fs::{Mode, OFlags, open};
    let file = open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    // The kernel takes such a map in one write or not at all.
    rustix::io::write(&file, bytes).map(|_| ())
}
