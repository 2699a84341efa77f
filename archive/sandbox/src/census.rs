//! Counts the processes of a namespace while its first process waits for the command.
//!
//! The kernel bounds tasks by user (RLIMIT_NPROC), and not for root; a control group is not for everybody to make. This works
//! for all: init looks into /proc now and then, and by its end the kernel kills all others. Between two looks there may be
//! more processes than that. A script that makes them as fast as it can does not get far all the same: for root init runs
//! before all others, and for other users the kernel's bound lies beyond this one. Allocates nothing.

use crate::system::Signals;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags, RawDir, SeekFrom, open, seek};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, wait};
use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;

/// Nanoseconds between two looks.
const INTERVAL: i64 = 10_000_000;
/// Bytes of directory entries that are read at a time.
const BUFFER: usize = 1 << 12;

/// Tasks that the kernel is to bound so many processes by: each may have some threads.
pub fn tasks(processes: u32) -> u64 {
    256 + 16 * u64::from(processes)
}

/// Waits for children, also those that came to us as orphans, until this one has ended; its raw status (wait(2)). None as
/// soon as there are more than so many processes besides the caller.
pub fn wait_and_count(child: Pid, proc: &CStr, most: u32) -> Result<Option<i32>, Errno> {
    let signals = Signals::block(&[Signal::CHILD])?;
    let came = signals.descriptor()?;
    let proc = open(proc, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    loop {
        // A signal that came before it was blocked is not waited for.
        while let Some((pid, status)) = wait(WaitOptions::NOHANG)? {
            if pid == child {
                return Ok(Some(status.as_raw()));
            }
        }
        if count(&proc)? > u64::from(most) + 1 {
            return Ok(None);
        }
        let mut polled = [PollFd::new(&came, PollFlags::IN)];
        let limit = Timespec { tv_sec: 0, tv_nsec: INTERVAL };
        if rustix::io::retry_on_intr(|| poll(&mut polled, Some(&limit)))? > 0 {
            Signals::read(&came)?;
        }
    }
}

/// How many processes a /proc shows.
fn count(proc: &OwnedFd) -> Result<u64, Errno> {
    seek(proc, SeekFrom::Start(0))?;
    let mut buffer = [MaybeUninit::uninit(); BUFFER];
    let mut entries = RawDir::new(proc, &mut buffer);
    let mut found = 0;
    while let Some(entry) = entries.next() {
        found += u64::from(entry?.file_name().to_bytes()[0].is_ascii_digit());
    }
    Ok(found)
}
