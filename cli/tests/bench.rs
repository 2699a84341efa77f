//! The benches of layering run: every strategy's plan of a small closure divides it, at first and after updates, made-up
//! ones and those of Debian.

use crate::support::{Place, golden, output};

/// One synthetic closure, so that it takes a second. The figures are the same every time, but for the seconds.
#[test]
fn bench_of_layering() {
    let place = Place::new();
    let mut cargo = xtask::cargo();
    cargo.args(["run", "--quiet", "--package", "xtask", "--", "bench", "layering", "--limit", "5", "--updates", "2"]);
    cargo.args(["--binary", env!("CARGO_BIN_EXE_layerstone"), "--closure"]).arg(golden("graph.json"));
    let text = output(cargo.arg("--work").arg(place.path()).current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")));
    assert!(text.contains("\n### synth: 13 paths, 20 references, 1 MB\n"), "{text}");
    let line = text.lines().find(|line| line.starts_with("| 5 | popularity | 5 |")).unwrap();
    assert_eq!(line.split(" | ").nth(3), Some("4.093"), "{line}");
    assert!(place.listing().is_empty());
}

/// The last weeks of the smallest graph, and a fleet of two images.
#[test]
fn bench_of_history() {
    let place = Place::new();
    let mut cargo = xtask::cargo();
    cargo.args(["run", "--quiet", "--package", "xtask", "--", "bench", "history", "--graph", "web", "--limit", "5"]);
    cargo.args(["--weeks", "8", "--fleet", "2", "--binary", env!("CARGO_BIN_EXE_layerstone")]);
    let text = output(cargo.arg("--work").arg(place.path()).current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")));
    assert!(text.contains("### web: 116 packages, 2"), "{text}");
    let cell = |line: &str, number: usize| {
        let line = text.lines().find(|found| found.starts_with(line)).unwrap_or_else(|| panic!("{line}: {text}"));
        line.split(" | ").nth(number).unwrap().parse::<f64>().unwrap_or_else(|error| panic!("{error}: {line}"))
    };
    // No plan pulls less than a layer for each path, and popularity pulls most.
    let [best, kept, worst] =
        ["|  | a layer for each path |", "| 5 | --previous |", "| 5 | popularity |"].map(|line| cell(line, 2));
    assert!(0.0 < best && best <= kept && kept < worst, "{text}");
    assert!(cell("| least-churn, together |", 1) > 0.0);
    assert!(place.listing().is_empty());
}
