//! Finds which system calls a command makes, with strace.

use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// How often a thread of a command makes each system call at most, by the call's name.
pub type Calls = BTreeMap<String, usize>;

/// The calls that touch files, sockets, memory, processes and threads.
pub const TRACED: &str = "%file,%desc,%network,%process,mmap,mprotect,brk,clone3,unshare,setns,mount";

/// Puts strace with these flags before a command; it follows what the command starts.
pub fn strace(command: &Command, flags: &[&str]) -> Command {
    let mut traced = Command::new("strace");
    // Not with --seccomp-bpf: strace 6.1 injects nothing then, and says nothing.
    traced.args(["-f", "-qq"]).args(flags).arg(command.get_program()).args(command.get_args());
    if let Some(directory) = command.get_current_dir() {
        traced.current_dir(directory);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => traced.env(name, value),
            None => traced.env_remove(name),
        };
    }
    traced
}

/// Runs a command to its end, and counts.
pub fn calls(command: &Command, log: &Path) -> Result<Calls> {
    let path = log.to_str().context("the work directory's name is not UTF-8")?;
    let status =
        strace(command, &["-o", path, "-e", &format!("trace={TRACED}")]).output().context("cannot run: strace")?;
    anyhow::ensure!(status.status.success(), "strace: {}: {}", status.status, String::from_utf8_lossy(&status.stderr));
    Ok(count(&String::from_utf8_lossy(&std::fs::read(log)?)))
}

/// Counts in a log of strace: lines of `PID NAME(…`.
fn count(log: &str) -> Calls {
    let mut by_thread: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for line in log.lines() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let name = rest.trim_start().split('(').next().unwrap_or_default();
        if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            *by_thread.entry((thread, name)).or_default() += 1;
        }
    }
    let mut most = Calls::new();
    for ((_, name), count) in by_thread {
        let entry = most.entry(name.to_owned()).or_default();
        *entry = count.max(*entry);
    }
    most
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_of_the_busiest_thread_count() {
        let log = "10 openat(AT_FDCWD, \"a\") = 3\n10 close(3) = 0\n11 openat(AT_FDCWD, \"b\" <unfinished ...>\n\
                   11 <... openat resumed>) = 4\n11 openat(AT_FDCWD, \"c\") = 5\n10 +++ exited with 0 +++\n";
        assert_eq!(count(log), Calls::from([("close".to_owned(), 1), ("openat".to_owned(), 2)]));
    }
}
