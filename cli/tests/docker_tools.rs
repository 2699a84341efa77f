//! The checks of nixpkgs' own test of dockerTools, on images of real programs in docker: docs/dockertools-tests.md has a row for
//! each, with the tests that show it or the reason why there is none.

mod alone;
mod based;
mod examples;
mod fake;
mod merged;
mod root;
mod tools;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// How many checks there are.
const CHECKS: usize = 70;

/// The rows of the table, their cells trimmed.
fn rows() -> Vec<[String; 3]> {
    let page = include_str!("../../docs/dockertools-tests.md");
    let table = page.lines().filter_map(|line| line.strip_prefix("| "));
    let cells = |row: &str| -> [String; 3] {
        let cells: Vec<&str> = row.trim_end_matches(" |").split(" | ").collect();
        <[&str; 3]>::try_from(cells).unwrap_or_else(|cells| panic!("{cells:?}")).map(|cell| cell.trim().to_owned())
    };
    table.skip(1).map(cells).collect()
}

/// The tests that a cell names.
fn named(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

/// The functions with `#[test]` in a file.
fn test_functions(file: &Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let functions = text.split("#[test]\nfn ").skip(1);
    functions.map(|function| function.split_once('(').unwrap().0.to_owned()).collect()
}

#[test]
fn every_check_has_its_row() {
    let numbers: Vec<String> = rows().into_iter().map(|[number, ..]| number).collect();
    assert_eq!(numbers, (1..=CHECKS).map(|number| number.to_string()).collect::<Vec<_>>());
}

#[test]
fn every_row_has_a_test_or_a_reason() {
    for [number, _, shown] in rows() {
        for name in named(&shown) {
            let (module, function) = name.rsplit_once("::").unwrap();
            let file = format!("{}.rs", module.replace("::", "/"));
            let files = [tests().join("docker_tools").join(&file), tests().join(&file)];
            let found = files.iter().any(|file| test_functions(file).contains(function));
            assert!(found, "check {number}: no test {name}");
        }
        let reason = ["needs ", "not built yet: "].iter().any(|reason| shown.starts_with(reason));
        assert!(reason || shown.starts_with('`'), "check {number}: {shown}");
    }
}

#[test]
fn every_test_has_its_row() {
    let named: BTreeSet<String> = rows().iter().flat_map(|[.., shown]| named(shown)).map(str::to_owned).collect();
    for module in ["alone", "based", "merged"] {
        let functions = test_functions(&tests().join(format!("docker_tools/{module}.rs")));
        assert!(!functions.is_empty(), "{module}");
        for function in functions {
            assert!(named.contains(&format!("{module}::{function}")), "{module}::{function} is in no row");
        }
    }
}
