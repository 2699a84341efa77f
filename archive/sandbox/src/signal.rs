//! Records the signals that ask this program to end (SIGINT, SIGTERM, SIGHUP): once, for all of the process.
//!
//! [`install`] is called when the program starts. A signal then ends it in three steps. Whoever works asks [`came`], or
//! polls [`descriptor`] beside what it waits for, and returns an error. The program waits for everybody who has a
//! [`Hold`], but no longer than [`GRACE`]. Then temporary files are removed, and the program dies by the signal, so that
//! its caller sees why it ended. Work that does neither is broken off. After [`take`] the program ends by itself.
//!
//! Signals that the program ignores when it starts, as under nohup(1), stay ignored.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::pipe::{PipeFlags, pipe_with};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long the program waits for those who have a [`Hold`]. With more, a registry that does not answer keeps it longer.
pub const GRACE: Duration = Duration::from_secs(5);

/// The signals: of the terminal, of service managers, of a terminal that is gone (signal(7)).
const SIGNALS: [libc::c_int; 3] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP];

/// The first signal that came; 0 for none.
static CAME: AtomicI32 = AtomicI32::new(0);
/// The end of the pipe that the handler writes to.
static WRITE: AtomicI32 = AtomicI32::new(-1);
/// The process that installed the handler.
static PROCESS: AtomicI32 = AtomicI32::new(0);
/// Both ends of the pipe. Nobody reads it, so that it stays readable.
static PIPE: OnceLock<(OwnedFd, OwnedFd)> = OnceLock::new();
static STATE: Mutex<State> = Mutex::new(State { holds: 0, is_taken: false, is_over: false });
static CHANGED: Condvar = Condvar::new();

#[derive(Debug)]
struct State {
    /// How many [`Hold`]s there are.
    holds: usize,
    /// Whether the program ends by itself.
    is_taken: bool,
    /// Whether the program ends without waiting any longer.
    is_over: bool,
}

/// Begins to note signals; `put_away` is called before one ends the program. A second call does nothing.
///
/// # Errors
///
/// No pipe or thread can be made. Signals do what they did before then.
pub fn install(put_away: fn()) -> io::Result<()> {
    if PIPE.get().is_some() {
        return Ok(());
    }
    let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
    let number = write.as_raw_fd();
    if PIPE.set((read, write)).is_err() {
        return Ok(());
    }
    WRITE.store(number, Ordering::Relaxed);
    // SAFETY: a system call without arguments.
    PROCESS.store(unsafe { libc::getpid() }, Ordering::Relaxed);
    thread::Builder::new().name("signals".to_owned()).spawn(move || watch(put_away))?;
    SIGNALS.into_iter().try_for_each(catch)
}

/// The signal that has come, if one has: work stops then, and returns an error.
pub fn came() -> Option<i32> {
    Some(CAME.load(Ordering::Relaxed)).filter(|signal| *signal != 0)
}

/// Can be read once a signal has come, and never stops to be; none if signals are not noted.
pub fn descriptor() -> Option<BorrowedFd<'static>> {
    PIPE.get().map(|(read, _)| read.as_fd())
}

/// Something that must be put away before a signal ends the program: an upload, a script's files.
#[derive(Debug)]
#[must_use]
pub struct Hold(());

/// Has a signal wait until the hold is dropped.
pub fn hold() -> Hold {
    state().holds += 1;
    Hold(())
}

impl Drop for Hold {
    fn drop(&mut self) {
        state().holds -= 1;
        CHANGED.notify_all();
    }
}

/// From here on a signal is noted and nothing else: the caller asks for it, and ends.
pub fn take() {
    state().is_taken = true;
    CHANGED.notify_all();
}

/// Ends the program by a signal, as if it had never been caught, when temporary files are removed.
pub fn end(signal: i32) -> ! {
    let is_watched = {
        let mut state = state();
        state.is_over = true;
        PIPE.get().is_some() && !state.is_taken
    };
    CHANGED.notify_all();
    if !is_watched {
        end_by(signal);
    }
    // The thread that watches does it.
    loop {
        thread::park();
    }
}

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The life of the thread that ends the program.
fn watch(put_away: fn()) {
    let Some(descriptor) = descriptor() else { return };
    let signal = loop {
        // An interrupted call is made again.
        let _ = poll(&mut [PollFd::new(&descriptor, PollFlags::IN)], None);
        if let Some(signal) = came() {
            break signal;
        }
    };
    if !wait_for_holds() {
        return;
    }
    // A second signal does not wait for what is removed.
    SIGNALS.into_iter().for_each(uncatch);
    put_away();
    end_by(signal)
}

/// Waits for those who must put something away; false if the program ends by itself.
fn wait_for_holds() -> bool {
    let end = Instant::now() + GRACE;
    let mut state = state();
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if state.is_taken {
            return false;
        }
        if state.is_over || state.holds == 0 || left.is_zero() {
            return true;
        }
        state = CHANGED.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
    }
}

extern "C" fn note(signal: libc::c_int) {
    // SAFETY: all of these may be called in a handler (signal-safety(7)); the descriptor is never closed.
    unsafe {
        if libc::getpid() != PROCESS.load(Ordering::Relaxed) {
            // A child that has not become another program, or never does.
            libc::signal(signal, libc::SIG_DFL);
            libc::raise(signal);
            return;
        }
        let _ = CAME.compare_exchange(0, signal, Ordering::Relaxed, Ordering::Relaxed);
        let errno = *libc::__errno_location();
        libc::write(WRITE.load(Ordering::Relaxed), [0_u8].as_ptr().cast(), 1);
        *libc::__errno_location() = errno;
    }
}

/// sigaction(2): sets a signal's action, unless it is null, and returns the one before.
fn sigaction(signal: libc::c_int, action: *const libc::sigaction) -> io::Result<libc::sigaction> {
    // SAFETY: both structures are of the type that the call takes, of which zeros are a value.
    unsafe {
        let mut before: libc::sigaction = std::mem::zeroed();
        match libc::sigaction(signal, action, &raw mut before) {
            0 => Ok(before),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// Has a signal noted, unless it is ignored.
fn catch(signal: libc::c_int) -> io::Result<()> {
    if sigaction(signal, std::ptr::null())?.sa_sigaction == libc::SIG_IGN {
        return Ok(());
    }
    // SAFETY: zeros are an action, with an empty set of signals.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = note as *const () as usize;
    action.sa_flags = libc::SA_RESTART;
    sigaction(signal, &raw const action).map(drop)
}

/// Has a signal that was noted do what it does by default.
fn uncatch(signal: libc::c_int) {
    if sigaction(signal, std::ptr::null()).is_ok_and(|action| action.sa_sigaction == note as *const () as usize) {
        // SAFETY: a system call about this process alone.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

fn end_by(signal: i32) -> ! {
    // SAFETY: system calls on this process alone.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
        libc::_exit(128 + signal)
    }
}
