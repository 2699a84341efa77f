//! Store paths that files only mention: with a references graph what it does not have is no input, and left out.

use crate::support::Place;
use serde_json::{Value, json};

const INPUT: &str = "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-input";
const OTHER: &str = "/nix/store/1123456789abcdfghijklmnpqrsvwxyz-other";

/// A place with a store that has an input and, on the machine with more, another path; the graph knows the input alone.
fn place(spec: &Value, with_more: bool) -> Place {
    let place = Place::new();
    place.write(&format!("root{INPUT}/bin/x"), "x");
    if with_more {
        place.write(&format!("root{OTHER}/bin/sh"), "other");
    }
    place.write("g.json", json!([{"path": INPUT, "references": []}]).to_string());
    let mut whole = json!({"name": "x", "tag": "y", "contents": [INPUT], "graph": "g.json"});
    whole.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
    place.write("s.json", whole.to_string());
    place
}

/// The image is that of a machine which does not have the other path; a warning names the file. Stage by stage too.
#[track_caller]
fn check_left_out(spec: &Value, file: &str) {
    let (place, without) = (place(spec, true), place(spec, false));
    let expected = without.ok("build s.json --root root -o x.tar").stderr;
    assert!(!expected.contains("left out of the image"), "{expected}");
    let warning = format!(
        "warning: left out of the image: {OTHER}: found it in {file} but not in the references graph g.json, so it is no \
         input\n"
    );
    let run = place.ok("build s.json --root root -o x.tar");
    assert!(run.stderr.contains(&warning), "{spec}: {}", run.stderr);
    assert!(place.read("x.tar") == without.read("x.tar"), "{spec}");
    for it in [&place, &without] {
        it.ok("root --spec s.json --root root -o root.layer.json --blob root.tar");
    }
    let closure = "closure --graph g.json --spec s.json --layer root.layer.json --root root -o x.closure.json";
    assert!(place.ok(closure).stderr.contains(&warning), "{spec}");
    without.ok(closure);
    assert_eq!(place.read("x.closure.json"), without.read("x.closure.json"), "{spec}");
}

#[test]
fn what_the_graph_does_not_have_is_left_out() {
    for (script, file) in [
        (format!("echo {OTHER} > note"), "/note"),
        (format!("ln -s {OTHER} result"), "/result"),
        ("mkdir 1123456789abcdfghijklmnpqrsvwxyz".to_owned(), "/1123456789abcdfghijklmnpqrsvwxyz"),
        (format!("mkdir d; printf 'x%s' {} > 'd/a b'; echo {INPUT} > c", &OTHER[11..43]), "/d/a b"),
    ] {
        check_left_out(&json!({"extraCommands": script}), file);
        check_left_out(&json!({"kind": "single", "extraCommands": script}), file);
    }
    check_left_out(&json!({"fakeRootCommands": format!("echo {OTHER} > note")}), "/note");
}

/// Where the layer's tar is not at hand, the layer file is named.
#[test]
fn without_the_tar() {
    let place = place(&json!({"extraCommands": format!("echo {OTHER} > note")}), true);
    place.ok("root --spec s.json --root root -o root.layer.json --blob root.tar");
    std::fs::remove_file(place.join("root.tar")).unwrap();
    let run = place.ok("closure --graph g.json --layer root.layer.json --root root -o x.closure.json");
    let begin = format!("warning: left out of the image: {OTHER}: found it in root.layer.json but not in");
    assert!(run.stderr.starts_with(&begin), "{}", run.stderr);
    assert_eq!(place.json("x.closure.json")["graph"], json!([{"path": INPUT, "references": []}]));
}

/// What a scan finds is all there is to know where there is no graph.
#[test]
fn without_a_graph_it_is_in_the_image() {
    let place = place(&json!({"graph": null, "extraCommands": format!("echo {OTHER} > note")}), true);
    place.ok("root --spec s.json --root root -o root.layer.json --blob root.tar");
    let run = place.ok("closure --scan --layer root.layer.json --root root -o x.closure.json");
    assert!(run.stderr.is_empty(), "{}", run.stderr);
    let closure = place.json("x.closure.json");
    let paths: Vec<_> = closure["graph"].as_array().unwrap().iter().map(|info| info["path"].clone()).collect();
    assert_eq!(paths, [INPUT, OTHER]);
}

/// What the spec asks for itself must be in the graph.
#[test]
fn what_is_asked_for_stays_an_error() {
    let absent = format!("error: root absent from the references graph: g.json: {OTHER}\n");
    let unknown = format!("error: unknown store path: {OTHER}: no path with this hash in g.json\n");
    for (spec, expected) in [
        (json!({"contents": [INPUT, OTHER]}), &absent),
        (json!({"config": {"Env": [format!("X={OTHER}")]}}), &unknown),
        (json!({"helpers": [{"binSh": OTHER}]}), &absent),
    ] {
        let told = place(&spec, true).error_of("build s.json --root root -o x.tar");
        assert!(told.ends_with(expected), "{spec}: {told}");
    }
}
