//! The commands that README.md shows print what it says they print.
//!
//! A fence such as `json image.json` is a file of that name; the lines of a `console` fence that begin with `$ ` are run
//! by bash, all in one folder, and what follows each is what it prints.

use crate::support::{Place, require_tool, skip};
use std::fs;
use std::path::Path;
use std::process::Command;

const PAGE: &str = include_str!("../../README.md");

/// Language, file name (may be empty), and text of every fence.
fn fences() -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    PAGE.split("```").skip(1).step_by(2).map(|fence| {
        let (info, text) = fence.split_once('\n').unwrap();
        let (language, file) = info.split_once(' ').unwrap_or((info, ""));
        (language, file, text)
    })
}

/// The commands of a console fence with what they print.
fn commands(text: &str) -> Vec<(&str, String)> {
    let mut commands: Vec<(&str, String)> = Vec::new();
    for line in text.lines() {
        match (line.strip_prefix("$ "), commands.last_mut()) {
            (Some(command), _) => commands.push((command, String::new())),
            (None, Some((_, output))) => output.push_str(&format!("{line}\n")),
            (None, None) => panic!("a console fence begins with {line:?}"),
        }
    }
    commands
}

/// Stands for cargo: runs the binary, and tells of the store that is made beforehand.
const CARGO: &str = r#"#!/bin/sh
case "$*" in
    "run --release -- "*) shift 3; exec layerstone "$@" ;;
    "xtask synth root/nix/store out") cat synth ;;
    *) echo "no such command: cargo $*" >&2; exit 1 ;;
esac
"#;

fn prepare(place: &Place) {
    fs::create_dir_all(place.join("root/nix/store")).unwrap();
    let made = xtask::synth::make(&place.join("root/nix/store"), &place.join("out")).unwrap();
    let bytes: u64 = made.graph.iter().map(|info| info.nar_size).sum();
    place.write("synth", format!("{} paths, {bytes} bytes of NARs\n", made.graph.len()));
    place.write("bin/cargo", CARGO);
    assert!(Command::new("chmod").arg("+x").arg(place.join("bin/cargo")).status().unwrap().success());
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_layerstone"), place.join("bin/layerstone")).unwrap();
    for (_, file, text) in fences().filter(|(_, file, _)| !file.is_empty()) {
        place.write(file, text);
    }
}

fn run(command: &str, place: &Place) -> String {
    let path = std::env::var("PATH").unwrap();
    let output = Command::new("bash")
        .args(["-c", &format!("exec 2>&1; {command}")])
        .current_dir(place.path())
        .env_clear()
        .env("PATH", format!("{}:{path}", place.join("bin").display()))
        .env("TMPDIR", place.temporary())
        .output();
    String::from_utf8(output.unwrap().stdout).unwrap()
}

/// A text with `in T s` for whatever time something took.
fn without_times(text: &str) -> String {
    let line = |line: &str| match line.rsplit_once(" in ") {
        Some((before, time)) if time.ends_with(" s") => format!("{before} in T s\n"),
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

#[test]
fn commands_print_what_it_says() {
    if !["bash", "make", "ninja", "python3", "cmp", "docker-registry"].into_iter().all(require_tool) {
        return;
    }
    if !cfg!(target_arch = "x86_64") {
        skip("readme", "the demo's digests are those of x86_64");
        return;
    }
    let place = Place::new();
    prepare(&place);
    let all: Vec<_> =
        fences().filter(|(language, ..)| *language == "console").flat_map(|(.., text)| commands(text)).collect();
    assert!(all.len() > 10, "{}", all.len());
    for (command, expected) in all {
        assert_eq!(without_times(&run(command, &place)), without_times(&expected), "$ {command}");
    }
}

#[test]
fn links_lead_somewhere() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let links: Vec<&str> =
        PAGE.split("](").skip(1).filter_map(|rest| rest.split(')').next()).filter(|link| !link.contains(':')).collect();
    assert!(links.len() > 4);
    for link in links {
        assert!(top.join(link).is_file(), "{link}");
    }
}
