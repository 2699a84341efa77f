//! Signals end every command, whatever it does: soon, as a signal does, and nothing is left.

use super::{line, place};
use crate::support::process::{descendants, send, wait_until_gone};
use crate::support::registry::Registry;
use crate::support::{Place, with_default_signals};
use crate::wires::path;
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

/// What may be waited for at most: less than what an upload may take to be cancelled.
const SOON: Duration = Duration::from_millis(4500);
const SIGNALS: [i32; 3] = [libc::SIGINT, libc::SIGTERM, libc::SIGHUP];

const COMMANDS: [&str; 11] = [
    "build image.json -o x.tar",
    "build image.json -o oci:new",
    "build image.json -o oci-archive:new.tar",
    "build image.json -o registry:HOST/x:1",
    "push image.json HOST/x:1",
    "push image.json HOST/x:1 --state state",
    "copy image.json oci:new",
    "copy image.json registry:HOST/x:1",
    "index image.json -o oci:new",
    "index image.json -o registry:HOST/x:1",
    "serve image.json --listen 127.0.0.1:0",
];

/// Scripts that wait, by their keys.
fn scripts() -> [Value; 3] {
    let wait = "echo begun; sleep 1000";
    [
        json!({"extraCommands": wait}),
        json!({"fakeRootCommands": wait}),
        json!({"runAsRoot": wait, "contents": [path("sh"), path("app-1")]}),
    ]
}

/// A child, and all that it has started.
struct Running {
    child: Child,
    workers: Vec<i32>,
}

impl Running {
    /// Starts a command, and waits for the line `begun` on its standard error.
    #[track_caller]
    fn begin(command: Command) -> Running {
        let mut child = with_default_signals(command).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let (mut line, mut text) = (String::new(), String::new());
        while line != "begun\n" {
            line.clear();
            assert_ne!(lines.read_line(&mut line).unwrap(), 0, "{text}");
            text += &line;
        }
        let workers = descendants(i32::try_from(child.id()).unwrap());
        std::thread::spawn(move || lines.read_to_string(&mut String::new()));
        Running { child, workers }
    }

    /// It ends by a signal that is sent to it, soon, and with it all that it has started.
    #[track_caller]
    fn end(mut self, signal: i32, what: &str) {
        let begin = Instant::now();
        send(i32::try_from(self.child.id()).unwrap(), signal);
        let status = self.child.wait().unwrap();
        assert_eq!(status.signal(), Some(signal), "{what}: {status}");
        assert!(begin.elapsed() < SOON, "{what}: {:?}", begin.elapsed());
        wait_until_gone(&self.workers);
    }
}

/// What is there, but for the directory of a state, which is there as soon as it is named.
fn listing(place: &Place) -> Vec<String> {
    let names = place.listing().into_keys().map(|path| path.display().to_string());
    names.filter(|name| !name.ends_with("/state")).collect()
}

#[test]
fn every_command_in_every_script() {
    let Some(registry) = Registry::start() else { return };
    std::thread::scope(|scope| {
        for (number, script) in scripts().into_iter().enumerate() {
            let Some(place) = place(&script) else { return };
            let registry = &registry;
            scope.spawn(move || {
                let before = listing(&place);
                for (index, command) in COMMANDS.iter().enumerate() {
                    let what = format!("{command}: {script}");
                    let line = line(command, registry.host());
                    Running::begin(place.command(&line)).end(SIGNALS[(index + number) % 3], &what);
                    place.check_no_leftovers();
                    assert_eq!(listing(&place), before, "{what}");
                }
            });
        }
    });
    assert_eq!(registry.uploads("x"), 0);
}

/// Stages by themselves, and what runs them.
#[test]
fn stages() {
    let Some(place) = place(&scripts()[0]) else { return };
    let root = "root --spec image.json --root root -o root.layer.json --blob root.tar";
    let before = listing(&place);
    for signal in SIGNALS {
        Running::begin(place.command(root)).end(signal, root);
        place.check_no_leftovers();
        assert_eq!(listing(&place), before);
    }
}

/// What nobody looks at a signal for, such as hashing a file that never ends, is broken off, and temporary files go.
#[test]
fn hashing() {
    let Some(place) = place(&json!({})) else { return };
    let big = place.join(format!("root{}/bin/big", path("libc")));
    fs::File::create(big).unwrap().set_len(1 << 42).unwrap();
    place.ok("closure --spec image.json --root root -o x.closure.json");
    place.ok("layers x.closure.json --max-layers 9 -o x.layers.json");
    let before = listing(&place);
    for signal in SIGNALS {
        let mut child = with_default_signals(place.command("layer x.layers.json --all --root root -o layers")).spawn();
        let child = child.as_mut().unwrap();
        let has_begun = || fs::read_dir(place.join("layers")).is_ok_and(|mut entries| entries.next().is_some());
        let begin = Instant::now();
        while !has_begun() {
            assert!(begin.elapsed() < Duration::from_secs(60));
            crate::support::process::pause();
        }
        let begin = Instant::now();
        send(i32::try_from(child.id()).unwrap(), signal);
        assert_eq!(child.wait().unwrap().signal(), Some(signal));
        assert!(begin.elapsed() < SOON, "{:?}", begin.elapsed());
        assert!(!place.join("layers").exists());
        place.check_no_leftovers();
    }
    assert_eq!(listing(&place), before);
}

/// docker and podman that do not answer end with us.
#[test]
fn engines() {
    let Some(place) = place(&json!({})) else { return };
    for (engine, signal) in [("docker", libc::SIGINT), ("podman", libc::SIGTERM)] {
        let program = place.write(
            &format!("bin/{engine}"),
            format!("#!/bin/sh\n: > {}\nexec sleep 1000\n", place.join("begun").display()),
        );
        fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let before = listing(&place);
        for command in [format!("build image.json -o {engine}:"), format!("copy {engine}:x:1 oci:new")] {
            let root = if command.starts_with("build") { "--root root" } else { "" };
            let mut command_line = with_default_signals(place.command(&format!("{command} {root}")));
            let path = std::env::var("PATH").unwrap();
            command_line.env("PATH", format!("{}:{path}", place.join("bin").display()));
            let child = command_line.spawn().unwrap();
            let begin = Instant::now();
            while !place.join("begun").exists() {
                assert!(begin.elapsed() < Duration::from_secs(60), "{command}");
                crate::support::process::pause();
            }
            let workers = descendants(i32::try_from(child.id()).unwrap());
            assert!(!workers.is_empty(), "{command}");
            Running { child, workers }.end(signal, &command);
            fs::remove_file(place.join("begun")).unwrap();
            place.check_no_leftovers();
            assert_eq!(listing(&place), before, "{command}");
        }
    }
}

/// What the caller ignores stays ignored, as under nohup: the work goes on to its end, and another signal ends it.
#[test]
fn ignored() {
    let go = "echo begun; while ! test -e GO; do read -t 0.05 < <(:) || true; done";
    let Some(place) = place(&json!({})) else { return };
    let with = |script: &str| {
        let mut spec = place.json("image.json");
        spec["extraCommands"] = json!(script.replace("GO", place.join("go").to_str().unwrap()));
        place.write("image.json", spec.to_string());
    };
    with(go);
    for (signal, other) in [(libc::SIGHUP, libc::SIGTERM), (libc::SIGINT, libc::SIGHUP)] {
        let start = || {
            let mut command = with_default_signals(place.command("build image.json --root root -o x.tar"));
            // SAFETY: a system call only.
            unsafe {
                command.pre_exec(move || {
                    libc::signal(signal, libc::SIG_IGN);
                    Ok(())
                })
            };
            let mut child = command.spawn().unwrap();
            let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
            assert!(lines.by_ref().any(|line| line.unwrap() == "begun"));
            send(i32::try_from(child.id()).unwrap(), signal);
            child
        };
        let mut child = start();
        place.write("go", "");
        assert!(child.wait().unwrap().success());
        assert!(place.join("x.tar").exists());
        fs::remove_file(place.join("go")).unwrap();
        fs::remove_file(place.join("x.tar")).unwrap();
        let mut child = start();
        send(i32::try_from(child.id()).unwrap(), other);
        assert_eq!(child.wait().unwrap().signal(), Some(other));
        assert!(!place.join("x.tar").exists());
        place.check_no_leftovers();
    }
}

/// What is removed is told; files that were there stay.
#[test]
fn what_was_done_is_told() {
    let told = interrupted("build image.json -o x.tar");
    assert!(told.starts_with("interrupted: "), "{told}");
}

/// Programs are told the same, as of any other error.
#[test]
fn what_was_done_is_told_to_programs() {
    for flag in ["--errors json", "--errors=json"] {
        let told: Value = serde_json::from_str(&interrupted(&format!("build image.json -o x.tar {flag}"))).unwrap();
        assert!(told["error"].as_str().unwrap().starts_with("interrupted: "), "{told}");
        assert_eq!((&told["code"], &told["class"]), (&json!("interrupted"), &json!("internal")));
        assert_eq!((&told["status"], &told["hint"], &told["differences"]), (&json!(130), &json!(null), &json!([])));
    }
}

/// The last line of what a build tells that Ctrl-C ends in its script.
#[track_caller]
fn interrupted(line: &str) -> String {
    let place = Place::new();
    place.write("image.json", json!({"name": "x", "extraCommands": "echo begun; sleep 1000"}).to_string());
    place.write("x.tar", "old");
    let mut child = with_default_signals(place.command(line)).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap());
    let mut told = String::new();
    while !told.ends_with("begun\n") {
        assert_ne!(lines.read_line(&mut told).unwrap(), 0, "{told}");
    }
    send(i32::try_from(child.id()).unwrap(), libc::SIGINT);
    lines.read_to_string(&mut told).unwrap();
    assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGINT), "{told}");
    assert_eq!(place.read("x.tar"), b"old");
    place.check_no_leftovers();
    told.lines().last().unwrap().to_owned()
}
