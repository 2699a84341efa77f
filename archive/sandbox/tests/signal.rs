//! Signals as a process of its own notes them: other tests would end by them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use layerstone_sandbox::signal;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, getpid, kill_process};

/// Whether a signal has come, waited for so many seconds.
fn is_readable(seconds: i64) -> bool {
    let limit = Timespec { tv_sec: seconds, tv_nsec: 0 };
    let descriptor = signal::descriptor().unwrap();
    loop {
        match poll(&mut [PollFd::new(&descriptor, PollFlags::IN)], Some(&limit)) {
            Err(rustix::io::Errno::INTR) => {}
            count => return count.unwrap() > 0,
        }
    }
}

#[test]
fn a_signal_is_noted_once_and_stays() {
    // Whoever runs the tests may ignore them, as nohup(1) does, and then they are not noted.
    for signal in [libc::SIGHUP, libc::SIGTERM] {
        // SAFETY: what signals do by default.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    assert!(signal::descriptor().is_none());
    signal::install(|| ()).unwrap();
    // A second call does nothing, and fails never.
    signal::install(|| ()).unwrap();
    // This program ends by itself.
    signal::take();
    let _hold = signal::hold();
    assert!(signal::came().is_none() && !is_readable(0));
    kill_process(getpid(), Signal::HUP).unwrap();
    assert!(is_readable(60) && is_readable(0));
    assert_eq!(signal::came(), Some(Signal::HUP.as_raw()));
    // The first one is reported.
    kill_process(getpid(), Signal::TERM).unwrap();
    assert_eq!(signal::came(), Some(Signal::HUP.as_raw()));
}
