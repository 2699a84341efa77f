//! Runs a command and notes what it has at most: time, memory, descriptors, threads.

use crate::bench::CACHE;
use crate::bench::big::tags;
use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How often a running command is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// What a run took at most.
#[derive(Default)]
pub struct Peak {
    /// From its beginning to its end.
    pub wall: Duration,
    /// Resident memory in KiB.
    pub memory: u64,
    /// Open descriptors.
    pub descriptors: u64,
    /// Threads.
    pub threads: u64,
}

/// Runs a command without a cache; what it prints is thrown away. A server is ended when its tags were listed.
pub fn run(binary: &Path, line: &str, directory: &Path) -> Result<Peak> {
    let mut command = Command::new(binary);
    command.args(line.split(' ')).arg("-q").current_dir(directory).env(CACHE, "").stdin(Stdio::null());
    let serves = line.starts_with("serve ");
    command.stdout(if serves { Stdio::piped() } else { Stdio::null() });
    let begin = Instant::now();
    let mut child = command.spawn().context("cannot run: layerstone")?;
    let mut peak = Peak::default();
    let listing = child.stdout.take().map(|stdout| list(stdout, &child));
    let status = loop {
        look(&child, &mut peak);
        match child.try_wait()? {
            Some(status) => break status,
            None => thread::sleep(LOOK),
        }
    };
    peak.wall = begin.elapsed();
    if let Some(listing) = listing {
        listing.join().expect("it does not panic")?;
    }
    ensure!(status.success(), "{line}: {status}");
    Ok(peak)
}

/// Waits in a thread until a server says where it answers, lists its tags, and ends it, whatever came of that.
fn list(stdout: ChildStdout, child: &Child) -> thread::JoinHandle<Result<()>> {
    let id = Pid::from_child(child);
    thread::spawn(move || {
        let (mut names, mut name) = (BufReader::new(stdout), String::new());
        let read = names.read_line(&mut name).context("cannot read what serve says");
        // It says where every image is before it answers.
        let rest = thread::spawn(move || io::copy(&mut names, &mut io::sink()));
        let listed = read.and_then(|_| tags::list(name.trim()));
        // It may have ended.
        let _ = kill_process(id, Signal::TERM);
        let _ = rest.join();
        listed
    })
}

/// Notes what the process has now (proc_pid_status(5), proc_pid_fd(5)); one that has ended has nothing.
fn look(child: &Child, peak: &mut Peak) {
    let process = PathBuf::from(format!("/proc/{}", child.id()));
    let status = fs::read_to_string(process.join("status")).unwrap_or_default();
    let field = |name: &str| {
        let value = status.lines().find_map(|line| line.strip_prefix(name))?;
        value.split_whitespace().next()?.parse::<u64>().ok()
    };
    let descriptors = fs::read_dir(process.join("fd")).map_or(0, |entries| entries.count() as u64);
    peak.memory = peak.memory.max(field("VmHWM:").unwrap_or(0));
    peak.threads = peak.threads.max(field("Threads:").unwrap_or(0));
    peak.descriptors = peak.descriptors.max(descriptors);
}
