//! Processes that are killed, on either side: whoever is left ends too, and nothing is left.

use super::bad::failed;
use super::{backends, place};
use crate::support::process::{descendants, send, wait_until_gone};
use crate::support::{Place, Run, with_default_signals};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, ExitStatus};

/// A run whose script waits.
struct Waiting {
    child: Child,
    stderr: BufReader<ChildStderr>,
    /// All processes that work for it.
    workers: Vec<i32>,
}

impl Waiting {
    fn begin(place: &Place, backend: &str) -> Waiting {
        let line = format!(
            "overlay run --backend {backend} --base base.tar --script script.sh -o run.layer.json --blob run.tar"
        );
        let mut command = with_default_signals(place.command(&line));
        let mut child = command.spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while line != "begun\n" {
            line.clear();
            assert_ne!(stderr.read_line(&mut line).unwrap(), 0, "{backend}");
        }
        let workers = descendants(i32::try_from(child.id()).unwrap());
        assert!(!workers.is_empty());
        Waiting { child, stderr, workers }
    }

    /// How it ended, and what it said; none of its workers is left.
    fn end(mut self) -> (ExitStatus, String) {
        let mut told = String::new();
        self.stderr.read_to_string(&mut told).unwrap();
        let status = self.child.wait().unwrap();
        wait_until_gone(&self.workers);
        (status, told)
    }
}

const WAIT: &str = "echo begun; sleep 1000";

/// The signals that ask for an end: everything is put away, and the program ends as if it had not caught them.
#[test]
fn interrupted() {
    use std::os::unix::process::ExitStatusExt;
    let Some(place) = place(&[], WAIT) else { return };
    for backend in backends() {
        for signal in [libc::SIGINT, libc::SIGTERM].into_iter().take(if backend == "emulation" { 1 } else { 2 }) {
            let waiting = Waiting::begin(&place, backend);
            send(i32::try_from(waiting.child.id()).unwrap(), signal);
            let (status, told) = waiting.end();
            assert_eq!(status.signal(), Some(signal), "{backend}");
            assert!(told.starts_with("interrupted: removed ") && told.lines().count() == 1, "{backend}: {told}");
            place.check_no_leftovers();
            assert!(!place.join("run.tar").exists());
        }
    }
}

/// kill -9: no process is left, and the next run removes the files.
#[test]
fn killed() {
    let Some(place) = place(&[], WAIT) else { return };
    for backend in backends() {
        let waiting = Waiting::begin(&place, backend);
        send(i32::try_from(waiting.child.id()).unwrap(), libc::SIGKILL);
        waiting.end();
        assert!(!place.join("run.tar").exists());
    }
    place.write("script.sh", "true");
    super::printed(&place, "userns", "");
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains("lowerdir=/lower"), "{mounts}");
}

/// Whoever works for us is killed.
#[test]
fn workers_that_are_killed() {
    let Some(place) = place(&[], WAIT) else { return };
    for backend in backends() {
        let waiting = Waiting::begin(&place, backend);
        send(waiting.workers[0], libc::SIGKILL);
        let (status, told) = waiting.end();
        let what = if backend == "emulation" { "QEMU" } else { "the namespace" };
        let expected = format!("error: {what} ended before the run did: running the script: killed by signal 9\n");
        failed(&place, Run { code: status.code(), stdout: Vec::new(), stderr: told }, &expected);
    }
}
