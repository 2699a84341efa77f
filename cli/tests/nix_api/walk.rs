//! docs/nix-start.md: a new user's first hour, command by command.

use super::flake::Flakes;
use super::machine::CONFIG;
use crate::support::Run;
use std::path::Path;

/// What stands before all that a command prints.
const MARK: &str = "== command ";

/// A file of the page: its name and its text.
type PageFile<'a> = (&'a str, &'a str);
/// A command, and what it prints.
type Printing<'a> = (&'a str, String);

/// The files of a page, and its commands.
fn read(page: &str) -> (Vec<PageFile<'_>>, Vec<Printing<'_>>) {
    let (mut files, mut commands) = (Vec::new(), Vec::<Printing<'_>>::new());
    for fence in page.split("```").skip(1).step_by(2) {
        let (info, text) = fence.split_once('\n').unwrap();
        match info.split_once(' ') {
            Some((_, file)) => files.push((file, text)),
            None if info == "console" => {
                for line in text.lines() {
                    match line.strip_prefix("$ ") {
                        Some(command) => commands.push((command, String::new())),
                        None => commands.last_mut().unwrap().1.push_str(&format!("{line}\n")),
                    }
                }
            }
            None => {}
        }
    }
    (files, commands)
}

/// All commands in one shell, beside the repository.
#[test]
fn every_command_prints_what_the_page_says() {
    let Some(flakes) = Flakes::find() else { return };
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/nix-start.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (files, commands) = read(&page);
    let machine = &flakes.machine;
    for (file, text) in files {
        machine.place.write(file, text);
    }
    machine.ok("nix", &["registry", "add", "nixpkgs", &flakes.nixpkgs]);
    let line = |(at, (command, _)): (usize, &Printing<'_>)| format!("echo '{MARK}{at}'\n{command} || exit 1\n");
    machine.place.write("commands", commands.iter().enumerate().map(line).collect::<String>());
    // No list of names is asked for elsewhere.
    let registry = machine.place.write("registry.json", r#"{"version": 2, "flakes": []}"#);
    let mut bash = machine.command("bash");
    bash.arg("commands");
    bash.env("NIX_CONFIG", format!("{CONFIG}flake-registry = {}\n", registry.display()));
    let run: Run = bash.output().unwrap().into();
    let said: Vec<&str> = run.text().split(MARK).skip(1).map(|said| said.split_once('\n').unwrap().1).collect();
    for ((command, expected), found) in commands.iter().zip(&said) {
        assert_eq!(found, expected, "$ {command}\n{}", run.stderr);
    }
    assert!(run.code == Some(0) && said.len() == commands.len() && said.len() > 10, "{}", run.stderr);
}
