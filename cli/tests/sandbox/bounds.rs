//! Bounds of time, memory and processes: what a script that is beyond one is told, and that nothing is left of it.

use super::{KINDS, run};
use crate::support::caller::Caller;
use crate::support::process::processes_in;
use std::time::{Duration, Instant};

/// A script of either kind fails so in a sandbox, whoever runs it, and long before it would end by itself.
#[track_caller]
fn check_failure(script: &str, flags: &str, expected: impl Fn(&str) -> String) {
    for caller in Caller::all().into_iter().filter(|caller| caller.has_namespaces()) {
        for kind in KINDS {
            let begin = Instant::now();
            let (place, run) = run(caller, kind, script, flags);
            assert_eq!((run.code, &*run.stderr), (Some(1), &*expected(kind)), "{caller:?} {kind}");
            assert!(begin.elapsed() < Duration::from_secs(60), "{caller:?} {kind}");
            assert!(!place.join("x.tar").exists());
            place.check_no_leftovers();
            assert!(processes_in(place.temporary()).is_empty(), "{caller:?} {kind}");
        }
    }
}

/// Whatever a script has started ends with it, in a session of its own too.
#[test]
fn time() {
    let script = "setsid sleep 100 & echo ready; mkdir -p a/b; sleep 100";
    check_failure(script, "--script-timeout 1", |kind| {
        format!("ready\nerror: script failed: {kind}: timed out after 1 s\nhint: --script-timeout S allows more\n")
    });
    // Without a sandbox too, as far as it stays in its process group.
    for caller in Caller::all() {
        let (_place, run) =
            run(caller, "extraCommands", "echo ready; sleep 100 & wait", "--script-timeout 1 --sandbox none");
        assert_eq!(run.code, Some(1), "{caller:?}");
        assert!(run.stderr.contains("script failed: extraCommands: timed out after 1 s"), "{caller:?} {}", run.stderr);
    }
}

/// A script that keeps to its time.
#[test]
fn time_enough() {
    super::check("echo done", "--script-timeout 1000000000000 --script-memory 1G --script-processes 100", "done\n");
}

/// A process gets no more memory, and may say so itself.
#[test]
fn memory() {
    let script = "head -c 300000000 /dev/zero | tail -c 300000000 > /dev/null 2>&1 || echo failed; ulimit -v";
    super::check(script, "--script-memory 200Mi", "failed\n204800\n");
    let raise = "ulimit -v unlimited 2> /dev/null || echo kept";
    super::check(raise, "--script-memory 200Mi", "kept\n");
    super::check_both(raise, "", "");
}

/// Processes of all users of a script count, however far they have gone.
#[test]
fn processes() {
    let script = "for n in 1 2 3 4 5 6 7 8 9 10; do setsid sleep 100 & done; wait";
    check_failure(script, "--script-processes 5", |kind| {
        format!(
            "error: script failed: {kind}: found more than 5 processes at once\n\
             hint: --script-processes N allows more\n"
        )
    });
    super::check("for n in 1 2 3; do sleep 0.1 & done; wait; echo done", "--script-processes 5", "done\n");
    for caller in Caller::all() {
        let flags = "--script-processes 5 --sandbox none";
        let (_place, run) = run(caller, "extraCommands", "echo ran", flags);
        let expected = "error: cannot run: extraCommands: a bound of its processes needs a sandbox\n";
        assert_eq!((run.code, &*run.stderr), (Some(1), expected), "{caller:?}");
    }
}

/// A script that makes processes as fast as it can, up to a number that harms nobody, does not get that far.
#[test]
fn many_processes() {
    let script = "for n in {1..600}; do sleep 100 & done; wait";
    check_failure(script, "--script-processes 20", |kind| {
        format!(
            "error: script failed: {kind}: found more than 20 processes at once\n\
             hint: --script-processes N allows more\n"
        )
    });
}
