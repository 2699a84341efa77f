//! What tools tell of rules: how each is called, and that there is nothing to do.

use super::{Tool, wired, write};
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// ninja tells each rule as a person calls it.
#[test]
fn what_ninja_tells() {
    let place = wired();
    write(&place, Tool::Ninja, "");
    let rules = String::from_utf8(place.read(Tool::Ninja.file())).unwrap();
    let told: Vec<&str> = rules.lines().filter_map(|line| line.strip_prefix("  description = ")).collect();
    let name = told.iter().find_map(|line| line.strip_prefix("closure of ")).unwrap();
    for what in ["customisation layer of", "plan of", "rules of"] {
        assert!(told.contains(&&*format!("{what} {name}")), "{what}: {told:?}");
    }
    // The first way to write them knows no layers yet.
    Tool::Ninja.ok(&place, &[]);
    let rules = String::from_utf8(place.read(Tool::Ninja.file())).unwrap();
    assert!(rules.contains(&format!("\n  description = image {name}\n")), "{rules}");
    let layers = rules.lines().filter_map(|line| line.strip_prefix("  description = layer "));
    let layers: Vec<(&str, &str)> = layers.map(|line| line.split_once(": ").unwrap()).collect();
    assert!(!layers.is_empty());
    for (index, (number, names)) in layers.into_iter().enumerate() {
        assert!(number == index.to_string() && !names.is_empty() && !names.contains('/'), "{number}: {names}");
    }
}

/// ninja says that there is nothing to do; make, asked to run every command in a shell that notes it, runs none.
#[test]
fn nothing_to_do_starts_nothing() {
    for tool in Tool::all() {
        let place = wired();
        write(&place, tool, "");
        tool.ok(&place, &[]);
        let shells = place.join("shells");
        let shell =
            place.write("bin/sh", format!("#!/bin/sh\necho \"$2\" >> {}\nexec /bin/sh \"$@\"\n", shells.display()));
        fs::set_permissions(&shell, fs::Permissions::from_mode(0o755)).unwrap();
        let done = match tool {
            Tool::Ninja => tool.run(&place, tool.file(), &[]),
            Tool::Make => tool.run(&place, tool.file(), &[&format!("SHELL={}", shell.display())]),
        };
        assert!(done.ok && done.stages.is_empty(), "{}", done.text);
        match tool {
            Tool::Ninja => assert_eq!(done.text, "ninja: no work to do.\n"),
            Tool::Make => assert!(!shells.exists(), "{}", fs::read_to_string(&shells).unwrap()),
        }
    }
}
