//! The help of every command, word for word: what a change of the flags' code may not change by accident.
//!
//! Place clears the environment and gives no terminal, so that lines are as wide as clap makes them for a file.

mod completions;
mod examples;

use crate::support::Place;
use std::collections::BTreeMap;
use std::path::Path;

/// Commands that no list of commands names.
const HIDDEN: [&str; 2] = ["man", "check-stage"];

/// The help of all commands is what help.txt holds, which LAYERSTONE_BLESS writes.
#[test]
fn every_word() {
    let found = all(&HIDDEN);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/help.txt");
    if std::env::var_os("LAYERSTONE_BLESS").is_some() {
        return std::fs::write(file, found).unwrap();
    }
    let expected = std::fs::read_to_string(file).unwrap();
    let differs = found.lines().zip(expected.lines()).position(|(found, expected)| found != expected);
    let line = differs.unwrap_or_else(|| found.lines().count().min(expected.lines().count()));
    let shown = |text: &str| text.lines().skip(line).take(3).map(|line| format!("{line}\n")).collect::<String>();
    assert!(
        found == expected,
        "help.txt, line {}: found\n{}expected\n{}`LAYERSTONE_BLESS=1 cargo test help::every_word` writes it",
        line + 1,
        shown(&found),
        shown(&expected)
    );
}

/// The short help of `build` is one screen of a terminal.
#[test]
fn one_screen() {
    let place = Place::new();
    let output = place.command("build -h").env("COLUMNS", "80").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let widest = text.lines().map(|line| line.chars().count()).max();
    assert!(text.lines().count() <= 36 && widest <= Some(80), "{}, {widest:?}: {text}", text.lines().count());
}

/// docs/flags.md lists the flags of all commands, by their help; LAYERSTONE_BLESS writes it.
#[test]
fn every_flag() {
    let (mut commands, mut rows) = (Vec::new(), BTreeMap::<Flag, Vec<String>>::new());
    for text in all(&[]).split("$ layerstone ").skip(2) {
        let (line, text) = text.split_once('\n').unwrap();
        let command = line.trim_end_matches(" --help").to_owned();
        // What has commands of its own is none.
        if text.contains("\nCommands:\n") {
            continue;
        }
        for flag in flags(text) {
            rows.entry(flag).or_default().push(format!("`{command}`"));
        }
        commands.push(command);
    }
    let mut found = String::from(
        "# Flags\n\nYou find here the flags of all commands, by name, with the words of `--help`.\n\
         If a flag has several rows, each row is for the commands that it names.\n\n\
         | flag | commands | meaning |\n|---|---|---|\n",
    );
    for (Flag { name, value, about }, users) in rows {
        let users = if users.len() == commands.len() { "all".to_owned() } else { users.join(" ") };
        found += &format!("| `{}` | {users} | {} |\n", format!("{name} {value}").trim(), about.replace('|', "\\|"));
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/flags.md");
    if std::env::var_os("LAYERSTONE_BLESS").is_some() {
        return std::fs::write(file, found).unwrap();
    }
    let message = "`LAYERSTONE_BLESS=1 cargo test help::every_flag` writes docs/flags.md";
    assert!(std::fs::read_to_string(file).unwrap() == found, "{message}");
}

/// A flag as a help tells it.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub struct Flag {
    pub name: String,
    pub value: String,
    /// The first sentence.
    about: String,
}

/// The flags of a command's help: a line for each, and its text further to the right.
pub fn flags(help: &str) -> Vec<Flag> {
    let mut found: Vec<Flag> = Vec::new();
    let mut is_open = false;
    for line in help.lines() {
        let text = line.trim();
        let depth = line.len() - line.trim_start().len();
        let at = text.find("--").filter(|at| depth <= 6 && (*at == 0 || *at == 4) && text.starts_with('-'));
        let parts = at.map(|at| text[at..].split_once(' ').unwrap_or((&text[at..], "")));
        // Other lines may begin with a flag, too.
        if let Some((name, value)) = parts.filter(|(_, value)| value.is_empty() || value.starts_with(['<', '[']))
            && depth > 0
        {
            let (name, value) = (name.trim_end_matches("...").to_owned(), value.to_owned());
            found.push(Flag { name, value, about: String::new() });
            is_open = true;
        } else if depth < 10 || text.is_empty() {
            is_open = false;
        } else if let Some(flag) = found.last_mut().filter(|_| is_open) {
            flag.about += if flag.about.is_empty() { "" } else { " " };
            flag.about += text;
        }
    }
    found
}

/// The help of all commands, and of these besides.
pub fn all(hidden: &[&str]) -> String {
    let place = Place::new();
    let mut found = String::new();
    add(&place, "", &mut found);
    hidden.iter().for_each(|command| add(&place, &format!("{command} "), &mut found));
    found
}

/// Adds the help of a command and of all below it.
fn add(place: &Place, command: &str, all: &mut String) {
    let run = place.ok(&format!("{command}--help"));
    *all += &format!("$ layerstone {command}--help\n{}\n", run.text());
    let Some((_, rest)) = run.text().split_once("Commands:\n") else { return };
    let lines = rest.lines().take_while(|line| !line.is_empty());
    let names = lines.filter_map(|line| line.strip_prefix("  ")?.split(' ').next().filter(|name| !name.is_empty()));
    for name in names.filter(|name| *name != "help") {
        add(place, &format!("{command}{name} "), all);
    }
}

/// Commands of other programs say what to do instead, and no help names them.
#[test]
fn words_of_other_programs() {
    let place = Place::new();
    for (line, tip) in [
        ("login registry.example", "`docker login HOST` or `podman login HOST`"),
        ("run x:1", "`layerstone copy FILE docker:`, then `docker run NAME:TAG`"),
        ("load -i x.tar", "`layerstone copy FILE docker:` or `docker load -i FILE`"),
        ("-q tags r.example/x", "`layerstone ls HOST/NAME`"),
        ("images", "`docker images` what docker has"),
    ] {
        let run = place.run(line);
        assert_eq!(run.code, Some(2), "{line}: {}", run.stderr);
        assert!(run.stderr.starts_with("error: unrecognized subcommand '"), "{line}: {}", run.stderr);
        assert!(run.stderr.contains("\nhint: ") && run.stderr.contains(tip), "{line}: {}", run.stderr);
        assert!(!run.stderr.contains("a similar subcommand"), "{line}: {}", run.stderr);
        let run = place.run(&format!("{line} --errors json"));
        let said: serde_json::Value = serde_json::from_str(&run.stderr).unwrap();
        assert!(said["hint"].as_str().unwrap().contains(tip), "{said}");
        assert!(!said["error"].as_str().unwrap().contains("tip"), "{said}");
    }
    let version = place.ok("version");
    assert_eq!(version.text(), place.ok("--version").text());
    assert!(version.text().starts_with("layerstone "), "{}", version.text());
    // Within a command of its own a word means something else.
    assert!(!place.run("cache load").stderr.contains("docker load"));
    let help = place.ok("--help");
    for word in ["login", "load", "version", "tags", "images"] {
        assert!(!help.text().lines().any(|line| line.trim_start().starts_with(&format!("{word} "))), "{word}");
    }
}
