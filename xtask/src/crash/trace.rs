//! Finds which system calls a command makes, and which of them strace let fail.
//!
//! Strace counts the calls of each thread on its own: `when=3` is the third call of every thread that makes three. What the
//! loader, the C library and the Rust runtime call before `main`, or before the function of a thread, ends with the
//! sigaltstack(2) that gives the thread a stack for its signal handlers.

use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// How often a command makes each system call, by the call's name.
pub type Calls = BTreeMap<String, Count>;

/// How often a command makes a system call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// The thread that makes it most often.
    pub most: usize,
    /// The first thread, before `main`.
    pub before_main: usize,
}

/// The call that gives a thread its stack for signal handlers.
const THREAD_BEGINS: &str = "sigaltstack({ss_sp=";
/// Calls whose quotes are bytes and no names.
const BYTES: [&str; 10] =
    ["read", "pread64", "readv", "write", "pwrite64", "writev", "sendto", "recvfrom", "sendmsg", "getrandom"];
/// How a program's life begins.
const PROGRAM_BEGINS: &str = "execve(";

/// Puts strace with these flags before a command; it follows what the command starts.
pub fn strace(command: &Command, flags: &[&str]) -> Command {
    let mut traced = Command::new("strace");
    // Not with --seccomp-bpf: strace 6.1 injects nothing then, and says nothing.
    traced.args(["-f", "-qq", "-e", "signal=none"]).args(flags).arg(command.get_program()).args(command.get_args());
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
    let status = strace(command, &["-o", path]).output().context("cannot run: strace")?;
    anyhow::ensure!(status.status.success(), "strace: {}: {}", status.status, String::from_utf8_lossy(&status.stderr));
    Ok(count(&String::from_utf8_lossy(&std::fs::read(log)?)))
}

/// Counts in a log of strace: lines of `PID NAME(…`.
fn count(log: &str) -> Calls {
    let mut by_thread: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    let mut calls = Calls::new();
    let first = log.split(' ').next().unwrap_or_default();
    let mut is_before_main = true;
    for (thread, call) in log.lines().filter_map(|line| line.split_once(' ')) {
        let call = call.trim_start();
        let Some(name) = name(call) else { continue };
        *by_thread.entry((thread, name)).or_default() += 1;
        if thread == first && is_before_main {
            calls.entry(name.to_owned()).or_default().before_main += 1;
            is_before_main = !call.starts_with(THREAD_BEGINS);
        }
    }
    for ((_, name), count) in by_thread {
        let entry = calls.entry(name.to_owned()).or_default();
        entry.most = count.max(entry.most);
    }
    calls
}

/// The name of the call that a line begins; none for other lines.
fn name(call: &str) -> Option<&str> {
    let name = call.split('(').next()?;
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    is_name.then_some(name)
}

/// The first call that strace let fail.
#[derive(Debug, PartialEq, Eq)]
pub struct Injected {
    /// What strace says of it, of its beginning and its end.
    pub line: String,
    /// The name of the thread, which is the program's if it has none of its own.
    pub program: String,
    /// Whether it was called before `main`, or before the function of its thread.
    pub is_before_main: bool,
}

impl Injected {
    /// The first in a log of strace with the names of programs (`-Y`), which has the calls that a thread and a program
    /// begin with.
    pub fn find(log: &str) -> Option<Injected> {
        let lines: Vec<&str> = log.lines().collect();
        let end = lines.iter().position(|line| line.contains("(INJECTED)"))?;
        let thread = lines[end].split(' ').next()?;
        let of_thread = lines[..end].iter().filter(|line| line.split(' ').next() == Some(thread));
        let begun = of_thread.clone().rev().find(|_| lines[end].contains("<... ")).copied().unwrap_or_default();
        let is_before_main = of_thread.fold(true, |is_before, line| match line.split_once(' ') {
            Some((_, call)) if call.trim_start().starts_with(PROGRAM_BEGINS) => true,
            Some((_, call)) => is_before && !call.trim_start().starts_with(THREAD_BEGINS),
            None => is_before,
        });
        let program = thread.split_once('<').map_or("", |(_, name)| name.trim_end_matches('>')).to_owned();
        Some(Injected { line: format!("{begun} {}", lines[end]).trim().to_owned(), program, is_before_main })
    }

    /// The names of files and directories in the call: the last part of each path in angle brackets, which are of
    /// descriptors, or in quotes, unless these are what is read or written.
    pub fn names(&self) -> Vec<&str> {
        let (call, arguments) = self.line.split_once('(').unwrap_or_default();
        let has_bytes = BYTES.iter().any(|name| call.ends_with(name));
        let quoted = arguments.split('"').skip(1).step_by(2).filter(|_| !has_bytes);
        let opened =
            arguments.split('<').skip(1).filter_map(|text| text.split('>').next()).filter(|it| it.contains('/'));
        quoted.chain(opened).filter_map(|path| path.rsplit('/').next()).filter(|name| !name.is_empty()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_of_the_busiest_thread_count() {
        let log = "10 openat(AT_FDCWD, \"a\") = 3\n10 sigaltstack({ss_sp=0x1}, NULL) = 0\n10 close(3) = 0\n\
                   11 openat(AT_FDCWD, \"b\" <unfinished ...>\n11 <... openat resumed>) = 4\n\
                   11 openat(AT_FDCWD, \"c\") = 5\n10 +++ exited with 0 +++\n";
        let count = |most, before_main| Count { most, before_main };
        let expected = [
            ("close".to_owned(), count(1, 0)),
            ("openat".to_owned(), count(2, 1)),
            ("sigaltstack".to_owned(), count(1, 1)),
        ];
        assert_eq!(super::count(log), Calls::from(expected));
    }

    #[test]
    fn the_call_that_failed() {
        let log = "10<layerstone> execve(\"/b/layerstone\", []) = 0\n10<layerstone> openat(AT_FDCWD</w>, \"/etc/ld\") = 3\n\
                   10<layerstone> sigaltstack({ss_sp=0x1}, NULL) = 0\n\
                   10<layerstone> openat(5</w/trial>, \"out.tar\" <unfinished ...>\n11<sh> getpid() = 2\n\
                   10<layerstone> <... openat resumed>) = -1 EIO (Input/output error) (INJECTED)\n";
        let found = Injected::find(log).unwrap();
        assert_eq!((found.program.as_str(), found.is_before_main), ("layerstone", false));
        assert!(found.names().contains(&"out.tar") && found.names().contains(&"trial"), "{:?}", found.names());
        assert_eq!(Injected::find("10<sh> getpid() = 2\n"), None);
        let early = log.replace(" = 3\n", " = -1 EIO (Input/output error) (INJECTED)\n");
        assert!(Injected::find(&early).unwrap().is_before_main);
    }
}
