//! What `layers --check` says about plans.

use crate::support::Place;
use serde_json::json;

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
    let good = "good plan of 2 layers with 3 paths\n";
    assert_eq!(place.ok("layers --check mine.json x.closure.json").text(), good);
    assert_eq!(place.ok("layers x.closure.json --max-layers 2 --check mine.json").text(), good);
    write_plan(&place, "mine.json", &[&["lib-2.38", "tool-3"]]);
    let line = format!("layers --check mine.json x.closure.json --exclude {}", path("app-1"));
    assert_eq!(place.ok(&line).text(), "good plan of 1 layers with 2 paths\n");
    for strategy in ["least-churn", "popularity"] {
        place.ok(&format!("layers x.closure.json --max-layers 2 --strategy {strategy} -o ours.json"));
        assert_eq!(place.ok("layers --check ours.json x.closure.json --max-layers 2").text(), good);
    }
}

/// `layers --check mine.json x.closure.json` must say this.
#[track_caller]
fn check_fails(place: &Place, flags: &str, expected: &str) {
    let told = place.fail(&format!("layers --check mine.json x.closure.json {flags}"));
    assert_eq!(told, format!("layerstone: not a plan of x.closure.json: mine.json: {expected}\n"));
}

#[test]
fn one_fault_stands_in_the_line() {
    let place = place();
    write_plan(&place, "mine.json", &[&["lib-2.38"], &["tool-3"]]);
    check_fails(&place, "", &format!("{} is in no layer", path("app-1")));
    write_plan(&place, "mine.json", &[&["lib-2.38"], &["tool-3"], &["app-1"]]);
    check_fails(&place, "--max-layers 2", "found 3 layers, expected at most 2");
    place.write("mine.json", "[]");
    place.write("x.closure.json", json!([{"path": path("a"), "references": []}]).to_string());
    check_fails(&place, "", &format!("{} is in no layer", path("a")));
}

#[test]
fn all_faults_are_listed() {
    let place = place();
    let [app, lib, tool, more] = ["app-1", "lib-2.38", "tool-3", "more"].map(path);
    let layers = json!([[app, lib, "x"], [], [lib, more, "/gnu/store/a"]]);
    place.write("mine.json", json!({"format": "layerstone/layers", "version": 1, "layers": layers}).to_string());
    check_fails(
        &place,
        &format!("--max-layers 2 --exclude {app}"),
        &format!(
            "8 faults\n  \
             layer 0: not a store path: \"x\": it is not absolute\n  \
             found 1 path of the store /gnu/store from layer 2 on, expected /nix/store\n  \
             layer 1 is empty\n  \
             {lib} stands in layer 0 and again in layer 2\n  \
             {app} in layer 0 is excluded\n  \
             {more} in layer 2 is not in the closure\n  \
             {tool} is in no layer\n  \
             found 3 layers, expected at most 2"
        ),
    );
}

#[test]
fn what_is_no_plan_at_all() {
    let place = place();
    place.write("mine.json", "[1]");
    let told = place.fail("layers --check mine.json x.closure.json");
    let expected = "malformed layerstone/layers: mine.json: invalid type: integer `1`, expected a sequence";
    assert_eq!(told, format!("layerstone: {expected}\n"));
    let told = place.fail("layers --check absent.json x.closure.json");
    assert_eq!(told, "layerstone: cannot read: absent.json: No such file or directory (os error 2)\n");
}
