//! Machines on which a sandbox cannot be made, or not all of it: what is said, and when.

use super::{KINDS, run};
use crate::support::caller::Caller;
use crate::support::lab::Lab;
use crate::support::{Place, Run, require_root, require_tool, skip, test_name};
use serde_json::json;
use std::process::Command;

fn without_namespaces() -> impl Iterator<Item = Caller> {
    Caller::all().into_iter().filter(|caller| !caller.has_namespaces())
}

/// The script is not run.
#[test]
fn required() {
    for caller in without_namespaces() {
        for kind in KINDS {
            let (place, run) = run(caller, kind, "echo ran", "--sandbox require");
            let begin =
                format!("error: cannot run: {kind}: no sandbox, or not all of one, and it is required: cannot ");
            assert!(run.stderr.starts_with(&begin), "{caller:?} {}", run.stderr);
            assert!(run.stderr.ends_with("\nhint: --sandbox auto runs it with less of a sandbox, or without one\n"));
            assert_eq!((run.code, run.stderr.lines().count()), (Some(1), 2), "{caller:?} {}", run.stderr);
            assert!(!place.join("x.tar").exists());
            place.check_no_leftovers();
        }
    }
    super::check("echo ran", "--sandbox require", "ran\n");
}

/// The warning is there before the script prints its first line.
#[test]
fn said_before() {
    for caller in without_namespaces() {
        for kind in KINDS {
            let (_place, run) = run(caller, kind, "echo ran", "");
            let (warning, rest) = run.stderr.split_once('\n').unwrap();
            let begin = format!("warning: script not confined to the layer: {kind}: no sandbox: cannot ");
            assert!(warning.starts_with(&begin), "{caller:?} {warning}");
            assert_eq!((run.code, rest), (Some(0), "ran\n"), "{caller:?}");
        }
    }
}

/// Who wants no sandbox is not warned.
#[test]
fn none() {
    for caller in Caller::all() {
        for kind in KINDS {
            let (_place, run) = run(caller, kind, "echo ran", "--sandbox none");
            assert_eq!((run.code, &*run.stderr), (Some(0), "ran\n"), "{caller:?}");
        }
    }
    let Some(lab) = Lab::find("small") else { return };
    let place = Place::new();
    let spec = json!({
        "name": "x", "contents": lab.env, "graph": lab.graph(), "fakeRootCommands": "true", "enableFakechroot": true,
    });
    place.write("x.json", spec.to_string());
    let told = place.fail("root --spec x.json -o x.layer.json --blob x.tar --sandbox none");
    assert_eq!(told, "error: cannot run: fakeRootCommands: a root directory of its own needs a sandbox\n");
}

/// Runs a script after a command that takes something from the sandbox, in namespaces of the test; none where a test cannot
/// arrange that.
#[track_caller]
fn run_after(unshare: &str, take: &str, kind: &str, flags: &str) -> Option<Run> {
    if !require_tool("unshare") || unshare == "-m" && !require_root() {
        return None;
    }
    let place = Place::new();
    place.write("x.json", json!({"name": "x", kind: "echo ran"}).to_string());
    let binary = env!("CARGO_BIN_EXE_layerstone");
    let text = format!("{take} || exit 99; exec {binary} root --spec x.json -o x.layer.json --blob x.tar {flags}");
    let output = Command::new("unshare").args([unshare, "sh", "-c", &text]).current_dir(place.path()).output().unwrap();
    let run = Run::from(output);
    if run.code == Some(99) || run.stderr.starts_with("unshare: ") {
        skip(&test_name(), "no user namespaces here");
        return None;
    }
    Some(run)
}

/// What one part of a sandbox would keep away is in reach, and the rest of it is there.
#[test]
fn in_part() {
    let no_more = "No space left on device (os error 28)";
    let lacks = [
        ("net", "the machine's network is in reach: cannot make a network namespace", no_more),
        ("ipc", "shared memory and semaphores of other processes are in reach: cannot make an IPC namespace", no_more),
        ("uts", "the machine's name shows: cannot make a namespace of the host's name", no_more),
        // As in containers that hide parts of it.
        ("proc", "other processes show: cannot mount a /proc of its own", "Operation not permitted (os error 1)"),
    ];
    for (part, lack, cause) in lacks {
        let (unshare, take) = match part {
            "proc" => ("-m", "mount -t tmpfs x /proc/sys".to_owned()),
            namespace => ("-Ur", format!("echo 0 > /proc/sys/user/max_{namespace}_namespaces")),
        };
        for kind in KINDS {
            // In a namespace of the machine's users that is allowed.
            if part == "proc" && kind == "extraCommands" {
                continue;
            }
            let Some(run) = run_after(unshare, &take, kind, "") else { return };
            let expected = format!("warning: script not wholly confined: {kind}: {lack}: {cause}\nran\n");
            assert_eq!((run.code, &*run.stderr), (Some(0), &*expected), "{part}");
            let run = run_after(unshare, &take, kind, "--sandbox require").unwrap();
            assert!(run.code == Some(1) && !run.stderr.contains("ran\n"), "{part}: {}", run.stderr);
            if part == "net" {
                let run = run_after(unshare, &take, kind, "--network --sandbox require").unwrap();
                assert_eq!((run.code, &*run.stderr), (Some(0), "ran\n"));
            }
        }
    }
}
