//! What `layers --check`, `--explain` and `--compare` say about plans, for people and as JSON.

use crate::support::{Place, answer};
use serde_json::{Value, json};

/// The store path of a name.
fn path(name: &str) -> String {
    format!("/nix/store/0123456789abcdfghijklmnpqrsvwxyz-{name}")
}

/// A place with the closure `app 1000: lib tool; tool 200: lib; lib 30000:`.
fn place() -> Place {
    let place = Place::new();
    let info = |name: &str, size: u64, references: &[&str]| {
        let references: Vec<String> = references.iter().map(|name| path(name)).collect();
        json!({"path": path(name), "narSize": size, "references": references})
    };
    let graph = [
        info("app-1", 1000, &["lib-2.38", "tool-3"]),
        info("tool-3", 200, &["lib-2.38"]),
        info("lib-2.38", 30_000, &[]),
    ];
    place.write("x.closure.json", json!(graph).to_string());
    place
}

/// Writes a plan, given as the names in each layer.
fn write_plan(place: &Place, file: &str, layers: &[&[&str]]) {
    let layers: Vec<Vec<String>> = layers.iter().map(|layer| layer.iter().map(|name| path(name)).collect()).collect();
    place.write(file, json!(layers).to_string());
}

#[test]
fn a_good_plan_is_called_so() {
    let place = place();
    write_plan(&place, "mine.json", &[&["lib-2.38"], &["tool-3", "app-1"]]);
    let good = "2 layers with 3 paths: nothing is wrong\n";
    assert_eq!(place.ok("layers --check mine.json x.closure.json").text(), good);
    assert_eq!(place.ok("layers x.closure.json --max-layers 2 --check mine.json").text(), good);
    write_plan(&place, "mine.json", &[&["lib-2.38", "tool-3"]]);
    let line = format!("layers --check mine.json x.closure.json --exclude {}", path("app-1"));
    assert_eq!(place.ok(&line).text(), "1 layer with 2 paths: nothing is wrong\n");
    for strategy in ["least-churn", "popularity"] {
        place.ok(&format!("layers x.closure.json --max-layers 2 --strategy {strategy} -o ours.json"));
        assert_eq!(place.ok("layers --check ours.json x.closure.json --max-layers 2").text(), good);
    }
}

/// `layers --check mine.json x.closure.json` must find these faults.
#[track_caller]
fn check_faults(place: &Place, flags: &str, expected: &[&str]) {
    let line = format!("layers --check mine.json x.closure.json {flags}");
    let run = place.run(&line);
    assert_eq!(run.text().lines().collect::<Vec<_>>(), expected);
    let plural = if expected.len() == 1 { "" } else { "s" };
    let told = format!("error: not a plan of x.closure.json: mine.json: {} fault{plural}\n", expected.len());
    assert_eq!((run.code, run.stderr), (Some(1), told));
    let faults = answer_of(&place.run(&format!("{line} --json")).stdout)["faults"].clone();
    assert_eq!(faults.as_array().unwrap().len(), expected.len());
}

fn answer_of(stdout: &[u8]) -> Value {
    serde_json::from_slice(stdout).unwrap()
}

#[test]
fn one_fault() {
    let place = place();
    write_plan(&place, "mine.json", &[&["lib-2.38"], &["tool-3"]]);
    check_faults(&place, "", &[&format!("{} is in no layer", path("app-1"))]);
    write_plan(&place, "mine.json", &[&["lib-2.38"], &["tool-3"], &["app-1"]]);
    check_faults(&place, "--max-layers 2", &["found 3 layers, expected at most 2"]);
    place.write("mine.json", "[]");
    place.write("x.closure.json", json!([{"path": path("a"), "references": []}]).to_string());
    check_faults(&place, "", &[&format!("{} is in no layer", path("a"))]);
}

#[test]
fn all_faults_are_listed() {
    let place = place();
    let [app, lib, tool, more] = ["app-1", "lib-2.38", "tool-3", "more"].map(path);
    let layers = json!([[app, lib, "x"], [], [lib, more, "/gnu/store/a"]]);
    place.write("mine.json", json!({"format": "layerstone/layers", "version": 1, "layers": layers}).to_string());
    let flags = format!("--max-layers 2 --exclude {app}");
    check_faults(
        &place,
        &flags,
        &[
            "layer 0: not a store path: \"x\": it is not absolute",
            "found 1 path of the store /gnu/store from layer 2 on, expected /nix/store",
            "layer 1 is empty",
            &format!("{lib} stands in layer 0 and again in layer 2"),
            &format!("{app} in layer 0 is excluded"),
            &format!("{more} in layer 2 is not in the closure"),
            &format!("{tool} is in no layer"),
            "found 3 layers, expected at most 2",
        ],
    );
    let run = place.run(&format!("layers --check mine.json x.closure.json {flags} --json"));
    let expected = json!({
        "faults": [
            {"fault": "no-store-path", "layer": 0, "cause": "not a store path: \"x\": it is not absolute"},
            {"fault": "other-store", "layer": 2, "paths": 1, "found": "/gnu/store", "expected": "/nix/store"},
            {"fault": "empty", "layer": 1},
            {"fault": "again", "path": lib, "first": 0, "layer": 2},
            {"fault": "excluded", "path": app, "layer": 0},
            {"fault": "not-in-closure", "path": more, "layer": 2},
            {"fault": "missing", "path": tool},
            {"fault": "too-many", "layers": 3, "limit": 2},
        ],
        "layers": 3,
        "paths": 6,
    });
    assert_eq!(answer(&run.stdout, "layers-check"), expected);
}

#[test]
fn what_is_no_plan_at_all() {
    let place = place();
    place.write("mine.json", "[1]");
    let told = place.error_of("layers --check mine.json x.closure.json");
    let expected = "malformed layerstone/layers: mine.json: invalid type: integer `1`, expected a sequence";
    assert_eq!(told, format!("error: {expected}\n"));
    let told = place.error_of("layers --check absent.json x.closure.json");
    assert_eq!(told, "error: cannot read: absent.json: No such file or directory (os error 2)\n");
}

const EXPLAINED: &str = "\
layer     size  changes  an update  holds      sent again for
    0  30.0 kB        1    30.0 kB  lib        lib
    1  1.20 kB        3    3.60 kB  app, tool  lib, tool, app

plan         layers  an update  ratio  by chunks
least-churn       2    33.6 kB   1.01    2.19 kB
popularity        2    33.6 kB   1.01    2.19 kB
size              2    33.6 kB   1.01    2.19 kB
lower bound       3    33.4 kB   1.00

A layer is sent again when anything changes that its paths are or depend on, so
many paths as `changes` says. An update costs its size times these, each counted
as often as --rates says, once if it says nothing. By chunks, as podman fetches
zstd:chunked layers, is estimated, and compressed.
One change sends 11.2 kB of 31.2 kB again on average.
";

#[test]
fn costs_are_explained() {
    let place = place();
    let told = place.ok("layers x.closure.json --max-layers 2 --explain").text().to_owned();
    assert_eq!(told, EXPLAINED);
    let answer = answer_of(&place.ok("layers x.closure.json --max-layers 2 --explain --json").stdout);
    assert_eq!(answer["strategy"], "least-churn");
    assert_eq!(answer["layers"][0]["paths"], json!([path("lib-2.38")]));
    let layer = &answer["layers"][1];
    let numbers = ["size", "changes", "rate", "bytesPerUpdate"].map(|key| layer[key].as_u64().unwrap());
    assert_eq!(numbers, [1200, 3, 3_000_000, 3600]);
    assert_eq!(layer["mostTelling"], json!([path("lib-2.38"), path("tool-3"), path("app-1")]));
    let numbers = ["bytesPerUpdate", "chunksPerUpdate", "lowerBound", "rate"].map(|key| answer[key].as_u64().unwrap());
    // 5.75 % of what changes, and 0.79 % of what is in the layers that it changes.
    assert_eq!(numbers, [33_600, 33_400 * 575 / 10_000 + 33_600 * 79 / 10_000, 33_400, 3_000_000]);
    let other = |name: &str| json!({"strategy": name, "layers": 2, "bytesPerUpdate": 33_600, "chunksPerUpdate": 2185});
    assert_eq!(answer["others"], json!([other("popularity"), other("size")]));
}

/// Anybody's plan is explained as ours are, beside what the strategies make of as many layers.
#[test]
fn a_plan_that_is_there_is_explained() {
    let place = place();
    write_plan(&place, "mine.json", &[&["tool-3", "lib-2.38"], &["app-1"]]);
    let told = place.ok("layers --explain --plan mine.json x.closure.json").text().to_owned();
    for line in [
        "    0  30.2 kB        2    60.4 kB  lib, tool  lib, tool",
        "mine.json         2    63.4 kB   1.90    2.42 kB",
        "least-churn       2    33.6 kB   1.01    2.19 kB",
    ] {
        assert!(told.lines().any(|found| found == line), "no {line} in\n{told}");
    }
    place.write("rates.json", r#"{"lib": 0.25, "app": 3}"#);
    let answer =
        answer_of(&place.ok("layers --explain --plan mine.json --rates rates.json x.closure.json --json").stdout);
    assert_eq!(
        [&answer["strategy"], &answer["bytesPerUpdate"]],
        [&Value::Null, &json!(30_200 * 5 / 4 + 1000 * 17 / 4)]
    );
    assert_eq!(answer["layers"][1]["mostTelling"][0], json!(path("app-1")));
    assert_eq!(answer["others"].as_array().unwrap().len(), 3);
}

#[test]
fn what_cannot_be_explained() {
    let place = place();
    write_plan(&place, "mine.json", &[&["other"]]);
    let told = place.fail("layers --explain --plan mine.json x.closure.json");
    let other = path("other");
    assert_eq!(told, format!("error: not a plan of the closure: {other}: the closure does not hold it\n"));
    place.write("bare.json", json!([{"path": other, "references": []}]).to_string());
    let told = place.fail("layers --explain --plan mine.json bare.json");
    let expected = format!("error: unknown size: {other}: bytes per update needs the narSize of every path\n");
    assert!(told.starts_with(&expected), "{told}");
    for line in
        ["--explain -o x x.closure.json --max-layers 3", "--plan mine.json x.closure.json", "--json x.closure.json"]
    {
        assert_eq!(place.run(&format!("layers {line}")).code, Some(2), "{line}");
    }
}

/// Two plans of which the second has another tool, a new path, and the rest as it was.
fn updated() -> Place {
    let place = place();
    write_plan(&place, "old.json", &[&["lib-2.38"], &["tool-2", "app-1"], &["doc-1", "man-1"], &["gone-1"]]);
    write_plan(&place, "new.json", &[&["app-1", "tool-3"], &["man-1", "doc-1"], &["lib-2.38"], &["zoo-1"]]);
    let info = |(name, size): (&str, u64)| json!({"path": path(name), "narSize": size, "references": []});
    let sizes = [("app-1", 1000), ("tool-3", 200), ("man-1", 50), ("doc-1", 7), ("lib-2.38", 30_000), ("zoo-1", 1)];
    place.write("new.closure.json", json!(sizes.map(info)).to_string());
    place
}

const COMPARED: &str = "\
layer     size  paths         holds          why
    0  1.20 kB      2  sent   app-1, tool-3  changed: tool-3
    1     57 B      2  sent   man-1, doc-1   the same paths in another order
    2  30.0 kB      1  there  lib-2.38
    3      1 B      1  sent   zoo-1          new: zoo-1

       layers  paths     size
there       1      1  30.0 kB  96.0 %
sent        3      5  1.26 kB   4.0 %

About 442 B when it is compressed, 20 B for a client of chunks (zstd:chunked): estimates by Debian's updates.

gone: gone-1
";

#[test]
fn plans_are_compared() {
    let place = updated();
    assert_eq!(place.ok("layers --compare old.json new.json new.closure.json").text(), COMPARED);
    assert_eq!(place.ok("diff old.json new.json --closure new.closure.json").text(), COMPARED);
    let changed = place.ok("diff old.json new.json --changed").text().to_owned();
    assert!(!changed.contains("lib-2.38") && changed.contains("tool-3"), "{changed}");
    let answer = answer(&place.ok("layers --compare old.json new.json new.closure.json --json").stdout, "plan-diff");
    let expected = json!({
        "layers": [
            {
                "paths": [path("app-1"), path("tool-3")], "size": 1200, "state": "updated",
                "changed": [{"old": path("tool-2"), "new": path("tool-3")}], "added": [],
            },
            {"paths": [path("man-1"), path("doc-1")], "size": 57, "state": "reordered"},
            {"paths": [path("lib-2.38")], "size": 30_000, "state": "there"},
            {"paths": [path("zoo-1")], "size": 1, "state": "updated", "changed": [], "added": [path("zoo-1")]},
        ],
        "removed": [path("gone-1")],
        "there": {"layers": 1, "paths": 1, "size": 30_000},
        "sent": {"layers": 3, "paths": 5, "size": 1258},
        "estimate": {"compressed": 442, "chunks": 20},
    });
    assert_eq!(answer, expected);
    let told = place.ok("layers --compare new.json new.json new.closure.json").text().to_owned();
    assert!(told.ends_with("\nsent        0      0      0 B    0.0 %\n"), "{told}");
}

#[test]
fn plans_are_compared_without_sizes() {
    let place = updated();
    let told = place.ok("layers --compare old.json new.json").text().to_owned();
    assert!(
        told.starts_with(
            "layer  paths         holds          why\n    0      2  sent   app-1, tool-3  changed: tool-3\n"
        ),
        "{told}"
    );
    assert!(
        told.contains("\nSizes are those of the closure of the new plan, if it is given as a third file.\n"),
        "{told}"
    );
    let answer = answer_of(&place.ok("layers --compare old.json new.json --json").stdout);
    assert_eq!(answer["sent"], json!({"layers": 3, "paths": 5}));
}

#[test]
fn what_cannot_be_compared() {
    let place = updated();
    let told = place.fail("layers --compare old.json new.json x.closure.json");
    let absent = path("man-1");
    assert_eq!(told, format!("error: not a plan of the closure: {absent}: the closure does not hold it\n"));
    place.write("guix.json", r#"[["/gnu/store/x"]]"#);
    let told = place.fail("layers --compare old.json guix.json");
    assert_eq!(told, "error: plans of two stores: found /nix/store in the old one, /gnu/store in the new one\n");
    assert_eq!(place.run("layers --compare old.json").code, Some(2));
    assert_eq!(place.run("layers --compare old.json new.json --check new.json").code, Some(2));
}
