//! Processes that a program under test has started, and signals to them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long the kernel may take to get rid of a process.
const PATIENCE: Duration = Duration::from_secs(30);

/// Who a process's parent is, and its first word.
fn stat(process: &str) -> Option<(i32, String)> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (name, rest) = stat.split_once('(')?.1.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    // A process that has ended and that nobody has waited for is none.
    let is_there = !["Z", "X"].contains(&fields.next()?);
    is_there.then_some((fields.next()?.parse().ok()?, name.to_owned()))
}

/// All processes below one.
pub fn descendants(of: i32) -> Vec<i32> {
    let all = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    let parents: Vec<(i32, i32)> = all.filter_map(|name| Some((name.parse().ok()?, stat(&name)?.0))).collect();
    let mut found = vec![of];
    let mut at = 0;
    while at < found.len() {
        let children: Vec<i32> = parents.iter().filter(|(_, parent)| *parent == found[at]).map(|(id, _)| *id).collect();
        found.extend(children);
        at += 1;
    }
    found.split_off(1)
}

/// Processes whose directory is below this one.
pub fn processes_in(folder: &Path) -> Vec<String> {
    let processes = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
    let is_there = |path: &PathBuf| path.join("cwd").read_link().is_ok_and(|cwd| cwd.starts_with(folder));
    processes.filter(is_there).map(|path| path.display().to_string()).collect()
}

/// Waits until none of these processes is there.
#[track_caller]
pub fn wait_until_gone(processes: &[i32]) {
    let begin = Instant::now();
    while processes.iter().any(|process| stat(&process.to_string()).is_some()) {
        assert!(begin.elapsed() < PATIENCE, "{processes:?} are left");
        pause();
    }
}

/// Leaves the processor to those that are waited for, before it is looked again whether they have got there.
pub fn pause() {
    std::thread::sleep(Duration::from_millis(2));
}

/// Sends a signal to a process of this test.
#[track_caller]
pub fn send(process: i32, signal: i32) {
    // SAFETY: to a process of this test.
    assert_eq!(unsafe { libc::kill(process, signal) }, 0);
}
