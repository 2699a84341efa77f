//! System calls that fail around scripts: in their sandbox, in what supervises it, in what feeds it.

use super::{has_strace, run};
use crate::bad_output::place;
use crate::root_script;
use crate::support::Run;
use std::process::{Command, Stdio};

/// A sandbox that is killed while it gives files back does not say whose all of them were: that is an error, and no layer.
#[test]
fn a_killed_sandbox() {
    if !has_strace() {
        return;
    }
    let place = place();
    let spec = r#"{"name": "x", "extraCommands": "mkdir etc; echo 1 > etc/a; echo 2 > etc/b", "fakeRootCommands": "chown 1:2 etc/a etc/b"}"#;
    place.write("r.json", spec);
    let line = "root --spec r.json -o r.layer.json --blob r.tar";
    for when in 1..=2 {
        let run = run(&place, "fgetxattr", &format!("signal=KILL:when={when}"), line);
        assert_eq!(run.code, Some(1), "{}", run.stderr);
        assert!(run.stderr.contains("its sandbox was lost: signal: 9"), "{}", run.stderr);
        assert!(!place.join("r.layer.json").exists() && !place.join("r.tar").exists());
        place.check_no_leftovers();
    }
    place.ok(line);
}

/// A sandbox whose notifier is killed, or cannot answer, does not wait for it: strace ends when all processes have.
#[test]
fn a_notifier_that_is_lost() {
    if !has_strace() {
        return;
    }
    let place = place();
    place.write("r.json", r#"{"name": "x", "fakeRootCommands": "mkdir etc; echo 1 > etc/a; chown 1:2 etc/a"}"#);
    let line = "root --spec r.json -o r.layer.json --blob r.tar";
    let killed = run(&place, "sendto", "signal=KILL:when=1", line);
    assert_eq!(killed.code, None, "{}", killed.stderr);
    let failed = run(&place, "recvmsg", "error=EIO:when=1", line);
    assert_eq!(failed.code, Some(1), "{}", failed.stderr);
    assert!(!place.join("r.layer.json").exists() && !place.join("r.tar").exists());
    place.ok(line);
    place.check_no_leftovers();
}

/// A base that cannot be read any further ends the script that waits for the rest of it; nobody waits until it has been
/// silent for too long.
#[test]
fn a_base_that_cannot_be_read() {
    if !has_strace() {
        return;
    }
    let (names, text) = ((0..400).map(|number| format!("many/{number}")).collect::<Vec<_>>(), "x".repeat(10_000));
    let files: Vec<_> = names.iter().map(|name| root_script::File::new(name, 0o644, &text)).collect();
    let layer = root_script::layer_of(&files);
    let Some(place) = root_script::place(&[layer], "true") else { return };
    // After the index has been read, some hundred reads on.
    for (error, when) in [("EIO", 60), ("EMFILE", 200)] {
        let inject = format!("inject=pread64:error={error}:when={when}");
        let mut command = Command::new("timeout");
        command.args(["60", "strace", "-qq", "-f", "-o", "log", "-P"]).arg(place.join("base.tar"));
        command.args(["-e", "trace=pread64", "-e", &inject]);
        command.arg(env!("CARGO_BIN_EXE_layerstone"));
        command.args(
            "overlay run --backend userns --base base.tar --script script.sh -o run.layer.json --blob run.tar"
                .split(' '),
        );
        let run: Run = command.current_dir(place.path()).stdin(Stdio::null()).output().unwrap().into();
        let log = String::from_utf8(place.read("log")).unwrap();
        assert!(log.contains("(INJECTED)"), "{error}: {log}");
        assert_eq!(run.code, Some(1), "{error}: {}", run.stderr);
        assert!(run.stderr.contains("base.tar"), "{}", run.stderr);
        assert!(!place.join("run.layer.json").exists() && !place.join("run.tar").exists());
        std::fs::remove_file(place.join("log")).unwrap();
        place.check_no_leftovers();
    }
}
