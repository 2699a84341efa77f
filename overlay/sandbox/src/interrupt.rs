//! Signals that ask a program to end, noted instead of obeyed for as long as there is something to be put away first.

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicI32, Ordering};

/// The signals: of the terminal, of whoever ends services, of a terminal that is gone (signal(7)).
const SIGNALS: [libc::c_int; 3] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP];
/// Where signals are noted; below 0 while nobody catches them.
static NOTED: AtomicI32 = AtomicI32::new(-1);

/// Signals are noted as long as this is there. Those that the program ignores stay ignored.
#[derive(Debug)]
pub struct Interrupts {
    read: OwnedFd,
    _write: OwnedFd,
    before: Vec<(libc::c_int, Before)>,
}

/// What a signal did before.
struct Before(libc::sigaction);

impl std::fmt::Debug for Before {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an action")
    }
}

extern "C" fn note(signal: libc::c_int) {
    let byte = [u8::try_from(signal).unwrap_or(0)];
    // SAFETY: write(2) and errno may be used in a handler (signal-safety(7)); the descriptor is open as long as it is told.
    unsafe {
        let errno = *libc::__errno_location();
        libc::write(NOTED.load(Ordering::Relaxed), byte.as_ptr().cast(), 1);
        *libc::__errno_location() = errno;
    }
}

impl Interrupts {
    /// Begins to note signals.
    ///
    /// # Errors
    ///
    /// No pipe can be made; somebody else notes them (`ResourceBusy`).
    pub fn catch() -> io::Result<Interrupts> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        if NOTED.compare_exchange(-1, write.as_raw_fd(), Ordering::Relaxed, Ordering::Relaxed).is_err() {
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        let mut interrupts = Interrupts { read, _write: write, before: Vec::new() };
        for signal in SIGNALS {
            // SAFETY: the structures are of the type that the call takes, and zeros are an empty set of signals.
            unsafe {
                let mut before: libc::sigaction = std::mem::zeroed();
                if libc::sigaction(signal, std::ptr::null(), &raw mut before) != 0 {
                    return Err(io::Error::last_os_error());
                }
                if before.sa_sigaction == libc::SIG_IGN {
                    continue;
                }
                let mut action: libc::sigaction = std::mem::zeroed();
                action.sa_sigaction = note as *const () as usize;
                action.sa_flags = libc::SA_RESTART;
                if libc::sigaction(signal, &raw const action, std::ptr::null_mut()) != 0 {
                    return Err(io::Error::last_os_error());
                }
                interrupts.before.push((signal, Before(before)));
            }
        }
        Ok(interrupts)
    }

    /// The number of a signal that has come, if one has.
    ///
    /// # Errors
    ///
    /// What reading the pipe gives.
    pub fn noted(&self) -> io::Result<Option<i32>> {
        let mut byte = [0];
        match rustix::io::retry_on_intr(|| rustix::io::read(&self.read, &mut byte)) {
            Ok(1) => Ok(Some(byte[0].into())),
            Ok(_) | Err(Errno::AGAIN) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }
}

/// Can be read when a signal has come.
impl AsFd for Interrupts {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.read.as_fd()
    }
}

impl Drop for Interrupts {
    fn drop(&mut self) {
        for (signal, before) in &self.before {
            // SAFETY: what was there before.
            unsafe { libc::sigaction(*signal, &raw const before.0, std::ptr::null_mut()) };
        }
        NOTED.store(-1, Ordering::Relaxed);
    }
}

/// Ends this program by a signal, as if it had never been caught.
pub fn end_by(signal: i32) -> ! {
    // SAFETY: system calls on this process alone.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
        libc::_exit(128 + signal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_is_noted() {
        let interrupts = Interrupts::catch().unwrap();
        assert!(Interrupts::catch().is_err());
        assert_eq!(interrupts.noted().unwrap(), None);
        // SAFETY: to this process, which notes it.
        unsafe { libc::raise(libc::SIGHUP) };
        assert_eq!(interrupts.noted().unwrap(), Some(libc::SIGHUP));
        drop(interrupts);
        assert!(Interrupts::catch().is_ok());
    }
}
