//! Receives calls from a filter and sends answers (seccomp_unotify(2)).

use super::process::Process;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

/// The descriptor of a filter.
#[derive(Debug)]
pub struct Listener(OwnedFd);

/// A call that waits for its answer.
#[derive(Debug)]
pub struct Notification<'a> {
    /// Number of the call.
    pub number: libc::c_long,
    /// Its arguments.
    pub arguments: [u64; 6],
    /// Who makes it.
    pub process: Process,
    listener: &'a Listener,
    id: u64,
}

/// What a call gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// What the kernel says.
    Continue,
    /// A number.
    Value(i64),
    /// An error.
    Error(Errno),
}

impl Notification<'_> {
    /// Whether the one who makes it is still the one who made it, and waits: no other process has got its number.
    pub fn is_alive(&self) -> bool {
        // SAFETY: the kernel reads an id.
        unsafe { libc::ioctl(self.listener.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_ID_VALID, &raw const self.id) == 0 }
    }
}

impl Listener {
    /// Takes a filter's descriptor.
    ///
    /// # Errors
    ///
    /// The kernel's messages are longer than those of this program.
    pub fn new(descriptor: OwnedFd) -> io::Result<Listener> {
        let mut sizes = libc::seccomp_notif_sizes { seccomp_notif: 0, seccomp_notif_resp: 0, seccomp_data: 0 };
        // SAFETY: the kernel writes three numbers.
        let result = unsafe {
            libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_NOTIF_SIZES, 0 as libc::c_ulong, &raw mut sizes)
        };
        let expected = (size_of::<libc::seccomp_notif>(), size_of::<libc::seccomp_notif_resp>());
        let found = (usize::from(sizes.seccomp_notif), usize::from(sizes.seccomp_notif_resp));
        if result != 0 || found.0 > expected.0 || found.1 > expected.1 {
            return Err(io::ErrorKind::Unsupported.into());
        }
        Ok(Listener(descriptor))
    }

    /// Answers calls until no process is left that could make one.
    pub fn serve(&self, mut answer: impl FnMut(&Notification<'_>) -> Answer) -> io::Result<()> {
        while self.wait()? {
            if let Some(notification) = self.receive()? {
                self.send(notification.id, answer(&notification))?;
            }
        }
        Ok(())
    }

    /// Waits for a call; false if there will be none.
    fn wait(&self) -> io::Result<bool> {
        let mut polled = [PollFd::new(&self.0, PollFlags::IN)];
        rustix::io::retry_on_intr(|| poll(&mut polled, None))?;
        Ok(polled[0].revents().contains(PollFlags::IN))
    }

    /// The next call; none if it was taken back meanwhile.
    fn receive(&self) -> io::Result<Option<Notification<'_>>> {
        // SAFETY: all of it are numbers. The kernel wants zeros there.
        let mut call: libc::seccomp_notif = unsafe { std::mem::zeroed() };
        // SAFETY: the kernel writes a message no longer than this, as `new` has notification.
        if unsafe { libc::ioctl(self.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut call) } != 0 {
            return gone(io::Error::last_os_error()).map(|()| None);
        }
        Ok(Some(Notification {
            number: call.data.nr.into(),
            arguments: call.data.args,
            process: Process(call.pid),
            listener: self,
            id: call.id,
        }))
    }

    fn send(&self, id: u64, answer: Answer) -> io::Result<()> {
        let (val, error, flags) = match answer {
            Answer::Continue => (0, 0, libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE),
            Answer::Value(value) => (value, 0, 0),
            Answer::Error(errno) => (0, -errno.raw_os_error(), 0),
        };
        // The flag is the lowest bit.
        let response = libc::seccomp_notif_resp { id, val, error, flags: flags as u32 };
        // SAFETY: the kernel reads a message of this form.
        match unsafe { libc::ioctl(self.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw const response) } {
            0 => Ok(()),
            _ => gone(io::Error::last_os_error()),
        }
    }
}

/// No error if a call's process was killed, or got a signal, while it waited.
fn gone(error: io::Error) -> io::Result<()> {
    match error.raw_os_error() {
        Some(libc::ENOENT | libc::EINTR) => Ok(()),
        _ => Err(error),
    }
}
