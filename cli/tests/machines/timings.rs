//! `--timings`: a line a stage, of a build and of the stages by themselves.

use crate::cache::store;
use crate::support::Place;
use serde_json::Value;

/// The stages that a command tells, in their order; each line begins with seconds, and the last one is of all.
#[track_caller]
fn stages(place: &Place, line: &str) -> Vec<String> {
    let run = place.ok(&format!("{line} -q --timings"));
    let mut names: Vec<String> = run.stderr.lines().map(|line| line.split_once(" s  ").unwrap().1.to_owned()).collect();
    let all = names.pop().unwrap();
    assert!(all.starts_with("all, with ") && all.ends_with(" MB of memory"), "{all}");
    names
}

#[test]
fn every_stage() {
    let place = store();
    for (line, expected) in [
        (
            "build x.json --root root --no-cache -o x.tar",
            vec!["files of lower layers", "customisation layer", "closure", "plan", "sizes of layers", "writing"],
        ),
        (
            "build x.json --root root --no-cache -o oci:lay",
            vec!["files of lower layers", "customisation layer", "closure", "plan", "sizes of layers", "putting"],
        ),
        ("root --spec x.json --root root -o root.layer.json --blob root.tar", vec!["customisation layer"]),
        ("closure --graph graph.json --root root -o c.json", vec!["closure"]),
        ("layers x.closure.json --max-layers 3 -o p.json", vec!["plan"]),
        ("layer x.layers.json --root root --no-cache --all -o all", vec!["sizes of layers", "hashing"]),
        ("copy oci:lay y.tar", vec!["unpacking", "writing"]),
    ] {
        let found = stages(&place, line);
        let names: Vec<&str> = found.iter().map(|line| line.split("  ").next().unwrap()).collect();
        assert_eq!(names, expected, "{line}");
        for (name, line) in names.iter().zip(&found) {
            // What counts bytes tells them, and a rate.
            let is_counted = ["writing", "putting", "hashing", "unpacking"].contains(name);
            assert_eq!(line.ends_with("/s"), is_counted, "{line}");
        }
    }
    let run = place.ok("build x.json --root root --no-cache -o x.tar --timings --errors json");
    let last: Value = serde_json::from_str(run.stderr.lines().last().unwrap()).unwrap();
    let stages = last["timings"].as_array().unwrap();
    assert!(stages.iter().any(|stage| stage["stage"] == "writing" && stage["bytes"].as_u64() > Some(0)), "{last}");
    assert!(last["seconds"].is_f64() && last["memory"].as_u64() > Some(0), "{last}");
    let silent = place.ok("build x.json --root root --no-cache -o x.tar -q");
    assert_eq!(silent.stderr, "");
}
