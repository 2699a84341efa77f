//! Other programs: what they print and use, and clear words when one is missing or fails.

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal};
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::process::ExitStatusExt;
use std::path::{self, Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// How a program ended, and what it and those that it waited for have used.
#[derive(Clone, Copy, Debug)]
pub struct Spent {
    pub status: ExitStatus,
    /// User and system time.
    pub cpu: Duration,
    /// Resident memory of the largest of them at its peak, in bytes.
    pub peak: u64,
}

/// Has a signal do what it does by default, also to programs that are started from here.
pub fn let_through(signal: Signal) {
    // SAFETY: no handler is set, and the number is that of a signal.
    unsafe { libc::signal(signal.as_raw(), libc::SIG_DFL) };
}

/// Runs a program to its end and gives its standard output; its standard error goes to ours unless set otherwise.
pub fn output(command: &mut Command) -> Result<String> {
    command.stdout(Stdio::piped());
    let child = command.spawn().with_context(|| format!("cannot run: {}", name(command)))?;
    let output = child.wait_with_output().with_context(|| format!("cannot read from: {}", name(command)))?;
    ensure!(output.status.success(), "{} failed: {}", name(command), output.status);
    String::from_utf8(output.stdout).with_context(|| format!("{} printed no UTF-8", name(command)))
}

/// Runs a program to its end; what it prints goes where ours does.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot run: {}", name(command)))?;
    ensure!(status.success(), "{} failed: {status}", name(command));
    Ok(())
}

/// The program among the messages of `cargo build --message-format json`, one JSON object a line (The Cargo Book, "External tools").
pub fn executable(messages: &str) -> Option<PathBuf> {
    let mut messages = messages.lines().rev().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    messages.find_map(|message| Some(PathBuf::from(message.get("executable")?.as_str()?)))
}

/// User and system time of a running process without its children, to a hundredth of a second; none of one that has ended.
pub fn spent_so_far(id: Pid) -> Option<Duration> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", id.as_raw_nonzero())).ok()?;
    // proc_pid_stat(5): the name, in parentheses, may have blanks; state is the first field after it, utime the twelfth.
    let (_, fields) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<u64>().ok();
    let ticks = ticks(11)? + ticks(12)?;
    (*fields.first()? != "Z").then(|| Duration::from_millis(1000 * ticks / rustix::param::clock_ticks_per_second()))
}

/// Waits for a child, which must not have been waited for (wait4(2)).
pub fn wait(child: &Child) -> Result<Spent> {
    let id = libc::pid_t::try_from(child.id())?;
    let (mut status, mut usage) = (0, MaybeUninit::<libc::rusage>::uninit());
    // SAFETY: both pointers are valid for writing.
    while unsafe { libc::wait4(id, &mut status, 0, usage.as_mut_ptr()) } != id {
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error).context("cannot wait for a program");
        }
    }
    // SAFETY: the kernel has filled it.
    let usage = unsafe { usage.assume_init() };
    Ok(Spent {
        status: ExitStatus::from_raw(status),
        cpu: duration(usage.ru_utime) + duration(usage.ru_stime),
        peak: 1024 * u64::try_from(usage.ru_maxrss)?,
    })
}

fn duration(time: libc::timeval) -> Duration {
    Duration::from_secs(time.tv_sec.unsigned_abs()) + Duration::from_micros(time.tv_usec.unsigned_abs())
}

fn name(command: &Command) -> path::Display<'_> {
    Path::new(command.get_program()).display()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn failures_name_the_program() -> Result<()> {
        assert_eq!(output(Command::new("printf").arg("x"))?, "x");
        let message = |command: &mut Command| run(command).map_err(|error| format!("{error:#}"));
        assert_eq!(message(&mut Command::new("false")), Err("false failed: exit status: 1".to_owned()));
        let missing = message(Command::new("/nonexistent/program").arg("x"));
        assert_eq!(missing, Err("cannot run: /nonexistent/program: No such file or directory (os error 2)".to_owned()));
        Ok(())
    }

    #[test]
    fn what_a_program_used() -> Result<()> {
        let script = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; exit 3";
        let spent = wait(&Command::new("sh").args(["-c", script]).spawn()?)?;
        assert_eq!(spent.status.code(), Some(3));
        assert!(spent.cpu > Duration::from_millis(1) && spent.peak > 0, "{spent:?}");
        Ok(())
    }

    #[test]
    fn what_a_running_program_has_used() -> Result<()> {
        let script = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; echo; read x";
        let mut child = Command::new("sh").args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let id = Pid::from_child(&child);
        child.stdout.as_mut().context("a pipe")?.read_exact(&mut [0])?;
        let running = spent_so_far(id).context("it runs")?;
        drop(child.stdin.take());
        let all = wait(&child)?.cpu;
        // What ps(1) shows is cut to ticks of 10 ms, user and system each.
        assert!(running > Duration::ZERO && running <= all + Duration::from_millis(20), "{running:?} {all:?}");
        assert_eq!(spent_so_far(id), None);
        Ok(())
    }

    #[test]
    fn the_executable_is_found() {
        let messages = r#"{"reason":"compiler-artifact","executable":null}
{"reason":"compiler-artifact","executable":"/t/release/layerstone"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(executable(messages), Some(PathBuf::from("/t/release/layerstone")));
        assert_eq!(executable(""), None);
    }
}
