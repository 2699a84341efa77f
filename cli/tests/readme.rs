//! The commands that README.md and the pages of docs/ show print what they say.
//!
//! A fence such as `json image.json` is a file of that name; the lines of a `console` fence that begin with `$ ` are run
//! by bash, all in one directory, and what follows each is what it prints. A page that begins with `<!-- goes on from PAGE -->`
//! is run in the directory of that page, after it.

use crate::support::docker::Docker;
use crate::support::{Place, require_tool, skip, without_summary};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// README.md and the pages of docs/: where each is, and its text.
fn pages() -> Vec<(PathBuf, String)> {
    let docs = fs::read_dir(top().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut pages: Vec<PathBuf> = docs.filter(|path| path.extension().is_some_and(|end| end == "md")).collect();
    pages.sort();
    pages.insert(0, top().join("README.md"));
    pages.into_iter().map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

/// Language, file name (may be empty), and text of every fence.
fn fences(page: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    page.split("```").skip(1).step_by(2).map(|fence| {
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
}

fn write_files(page: &str, place: &Place) {
    for (_, file, text) in fences(page).filter(|(_, file, _)| !file.is_empty()) {
        place.write(file, text);
    }
}

/// Servers that a page has started and whose process id it keeps in a file `….pid`. A page stops them; one whose test fails
/// before does not, and the next test would talk to them.
struct Servers<'a>(&'a Place);

impl Drop for Servers<'_> {
    fn drop(&mut self) {
        for entry in fs::read_dir(self.0.path()).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|end| end == "pid")
                && let Ok(id) = fs::read_to_string(&path)
            {
                let is_ours = fs::read_link(format!("/proc/{}/cwd", id.trim())).is_ok_and(|cwd| cwd == self.0.path());
                if is_ours {
                    let _ = Command::new("kill").arg(id.trim()).status();
                }
            }
        }
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
        .env("GOCACHE", place.join(".go"))
        .envs(std::env::var_os("DOCKER_HOST").map(|host| ("DOCKER_HOST", host)))
        .output();
    String::from_utf8(output.unwrap().stdout).unwrap()
}

/// A text with `in T s` for whatever time something took, and without what is said of a registry that still starts.
fn without_times(text: &str) -> String {
    let line = |line: &str| match line.rsplit_once(" in ") {
        Some((before, time)) if time.ends_with(" s") => format!("{before} in T s\n"),
        _ => format!("{line}\n"),
    };
    text.lines().filter(|line| !line.contains(", trying again ")).map(line).collect()
}

/// What a command printed, without its summary where the page shows none.
fn as_shown(found: String, expected: &str) -> String {
    if expected.contains("\n  layers ") { found } else { without_summary(&found) }
}

/// Pages whose commands are run by another test, and why.
const ELSEWHERE: [(&str, &str); 2] = [
    ("programs.md", "`programs_run_in_docker`, since its images are run"),
    ("nix-start.md", "`nix_api::walk`, since it needs Nix"),
];

/// The pages with commands that are run here, those that go on from another one behind it.
fn chains() -> Vec<Vec<(PathBuf, String)>> {
    let name = |path: &Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    let mut chains: BTreeMap<String, Vec<(PathBuf, String)>> = BTreeMap::new();
    for (path, page) in pages() {
        let is_shown = fences(&page).any(|(language, ..)| language == "console");
        if !is_shown || ELSEWHERE.iter().any(|(other, _)| *other == name(&path)) {
            continue;
        }
        let first = page.strip_prefix("<!-- goes on from ").and_then(|rest| rest.split_once(" -->"));
        let (key, at) = first.map_or((name(&path), 0), |(first, _)| (first.to_owned(), usize::MAX));
        let chain = chains.entry(key).or_default();
        chain.insert(at.min(chain.len()), (path, page));
    }
    chains.into_values().collect()
}

#[test]
fn commands_print_what_it_says() {
    if !["bash", "busybox", "make", "ninja", "python3", "cmp", "docker-registry"].into_iter().all(require_tool) {
        return;
    }
    if !cfg!(target_arch = "x86_64") {
        skip("readme", "the demo's digests are those of x86_64");
        return;
    }
    let mut count = 0;
    for chain in chains() {
        let place = Place::new();
        prepare(&place);
        let _servers = Servers(&place);
        for (path, page) in chain {
            write_files(&page, &place);
            let consoles = fences(&page).filter(|(language, ..)| *language == "console");
            for (command, expected) in consoles.flat_map(|(.., text)| commands(text)) {
                let printed = run(command, &place);
                let found = as_shown(without_times(&printed), &expected);
                if std::env::var_os("LAYERSTONE_BLESS").is_some() && found != without_times(&expected) {
                    let text = fs::read_to_string(&path).unwrap();
                    let block = |output: &str| format!("$ {command}\n{output}");
                    let new = as_shown(printed, &expected);
                    fs::write(&path, text.replacen(&block(&expected), &block(&new), 1)).unwrap();
                    continue;
                }
                assert_eq!(found, without_times(&expected), "{}: $ {command}", path.display());
                count += 1;
            }
        }
    }
    assert!(count > 100, "{count}");
}

/// Commands are shown in README.md and docs/ alone, where they are run.
#[test]
fn no_other_page_shows_commands() {
    for page in crate::book::pages().into_iter().filter(|page| page != "README.md" && !page.starts_with("docs/")) {
        let text = fs::read_to_string(top().join(&page)).unwrap();
        assert!(!text.contains("```console"), "{page}: nothing runs its commands");
    }
    for (page, reason) in ELSEWHERE {
        assert!(top().join("docs").join(page).is_file(), "{page}: {reason}");
    }
}

/// A program of each language, built and run in docker as docs/programs.md says.
#[test]
fn programs_run_in_docker() {
    if !["rustc", "go", "python3", "node"].into_iter().all(require_tool) {
        return;
    }
    let Some(docker) = Docker::find() else { return };
    let page = fs::read_to_string(top().join("docs/programs.md")).unwrap();
    let place = Place::new();
    prepare(&place);
    write_files(&page, &place);
    // Each command may use what those before it set.
    let all: Vec<_> = fences(&page).filter(|(language, ..)| *language == "console").collect();
    let _turn = docker.turn();
    let mut count = 0;
    for (.., text) in all {
        let commands = commands(text);
        let script: Vec<&str> = commands.iter().map(|(command, _)| *command).collect();
        let expected: String = commands.iter().map(|(_, output)| &**output).collect();
        assert_eq!(run(&script.join("; "), &place), expected, "{text}");
        count += 1;
    }
    assert_eq!(count, 4);
    let images = ["rust", "go", "python", "node"].map(|name| format!("hello-{name}:1"));
    let _ = Command::new("docker").arg("rmi").args(images).output();
}
