//! The bench of layering runs: every strategy's plan of a small closure divides it, at first and after updates.

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
