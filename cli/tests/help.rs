//! The help of every command, word for word: what a change of the flags' code may not change by accident.
//!
//! Place clears the environment and gives no terminal, so that lines are as wide as clap makes them for a file.

use crate::support::Place;
use std::path::Path;

/// Commands that no list of commands names.
const HIDDEN: [&str; 2] = ["man", "check-stage"];

/// The help of all commands is what help.txt holds, which LAYERSTONE_BLESS writes.
#[test]
fn every_word() {
    let place = Place::new();
    let mut found = String::new();
    add(&place, "", &mut found);
    HIDDEN.iter().for_each(|command| add(&place, &format!("{command} "), &mut found));
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
