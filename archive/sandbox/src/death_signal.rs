//! Has the kernel kill a child when this process ends, for whatever reason.

use crate::system::die_with_parent;
use rustix::io::Errno;
use rustix::process::getppid;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Has the kernel kill a child when the thread that starts it ends (prctl(2), PR_SET_PDEATHSIG). Threads of a pool end with
/// the program, others may end sooner.
pub fn kill_with_us(command: &mut Command) {
    let us = rustix::process::getpid();
    let bind = move || {
        die_with_parent()?;
        // We may have died before.
        match getppid() {
            Some(parent) if parent == us => Ok(()),
            _ => Err(Errno::SRCH.into()),
        }
    };
    // SAFETY: system calls only.
    unsafe { command.pre_exec(bind) };
}
