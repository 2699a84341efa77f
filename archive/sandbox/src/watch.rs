//! Waits for a process group, passes on what it prints, and ends it when its time is over or a signal asks for that.

use crate::signal;
use crate::tail::Tail;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, retry_on_intr};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, kill_process, kill_process_group, pidfd_open, waitid,
};
use std::borrow::Cow;
use std::io::{self, PipeReader, Write};
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

/// How long a supervisor may take to give back the files of a command that a signal ends.
const RECLAIM: Duration = Duration::from_secs(3);

/// How a process group ended.
#[derive(Debug)]
pub struct Watched {
    /// The status of its first process.
    pub status: ExitStatus,
    /// The last lines that it printed.
    pub last_lines: Vec<String>,
    /// Whether it was killed because its time was over.
    pub timed_out: bool,
}

/// Passes on the output of a process group until nobody is left to write. `is_kept` if its first process is a supervisor
/// which gives files back.
pub fn watch(
    mut child: Child,
    is_kept: bool,
    time: Option<Duration>,
    output: PipeReader,
    log: &mut dyn Write,
) -> io::Result<Watched> {
    std::thread::scope(|scope| {
        let waiter = std::thread::Builder::new().spawn_scoped(scope, || wait_for_group(&mut child, is_kept, time))?;
        let last_lines = relay(&output, log)?;
        let (status, timed_out) = join(waiter)?;
        Ok(Watched { status, last_lines, timed_out })
    })
}

/// Waits for a process and kills the rest of its group. In a sandbox there is no rest; without one this stops what the
/// command left in the background, unless that made a group of its own. A signal that asks this program to end ends the
/// process too: its group does not get what a terminal sends. The second value is whether its time was over.
fn wait_for_group(child: &mut Child, is_kept: bool, time: Option<Duration>) -> io::Result<(ExitStatus, bool)> {
    let id = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
    let timed_out = end_when_asked(id, is_kept, time)?;
    // The id stays taken, and with it the group's, until the process is reaped.
    while let Err(errno) = waitid(WaitId::Pid(id), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT) {
        if errno != Errno::INTR {
            return Err(errno.into());
        }
    }
    // An error means that nobody is left to kill.
    let _ = kill_process_group(id, Signal::KILL);
    Ok((child.wait()?, timed_out))
}

/// Waits for a process, and ends it when its time is over, which is what is returned, or if a signal asks this program to
/// end.
fn end_when_asked(id: Pid, is_kept: bool, time: Option<Duration>) -> io::Result<bool> {
    let process = match (pidfd_open(id, PidfdFlags::empty()), time) {
        (Ok(process), _) => process,
        // Before Linux 5.3 the program is ended without waiting for the process.
        (Err(_), None) => return Ok(false),
        (Err(errno), Some(_)) => return Err(errno.into()),
    };
    let end = || match is_kept {
        true => kill_process(id, Signal::TERM),
        false => kill_process_group(id, Signal::KILL),
    };
    let ended = PollFd::new(&process, PollFlags::IN);
    let mut polled = vec![ended.clone()];
    polled.extend(signal::descriptor().map(|notification| PollFd::from_borrowed_fd(notification, PollFlags::IN)));
    let timed_out = !wait_for_one(&mut polled, time)?;
    if timed_out {
        // An error means that it has ended meanwhile.
        let _ = end();
        wait_for_one(&mut polled, None)?;
    }
    if polled[0].revents().is_empty() {
        let _ = end();
        if !wait_for_one(&mut [ended], Some(RECLAIM))? {
            let _ = kill_process_group(id, Signal::KILL);
        }
    }
    Ok(timed_out)
}

/// Waits until something has happened, for so long at most; whether it has.
fn wait_for_one(polled: &mut [PollFd<'_>], limit: Option<Duration>) -> io::Result<bool> {
    // A moment that is too far away never comes.
    let end = limit.and_then(|limit| Instant::now().checked_add(limit));
    loop {
        let left = end.map(|end| end.saturating_duration_since(Instant::now()));
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        match poll(polled, left.as_ref()) {
            Err(Errno::INTR) => {}
            count => return Ok(count? > 0),
        }
    }
}

/// Copies the output to the log until its end; the last lines. A log that cannot be written does not stop the command.
fn relay(output: &PipeReader, log: &mut dyn Write) -> io::Result<Vec<String>> {
    let mut tail = Tail::default();
    let mut buffer = [0; 8192];
    loop {
        match retry_on_intr(|| rustix::io::read(output, &mut buffer))? {
            0 => return Ok(tail.lines().map(Cow::into_owned).collect()),
            read => {
                let _ = log.write_all(&buffer[..read]).and_then(|()| log.flush());
                tail.push(&buffer[..read]);
            }
        }
    }
}

/// What a thread returned, or an error if it panicked.
pub(crate) fn join<T>(thread: std::thread::ScopedJoinHandle<'_, io::Result<T>>) -> io::Result<T> {
    thread.join().map_err(|_| io::Error::other("a thread that watches it panicked"))?
}
