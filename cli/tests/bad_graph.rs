//! Graphs, plans and numbers that are wrong: status 1, a message that names the file, what was found and what was
//! expected, and no output changed.

use crate::support::{Place, synth};
use serde_json::json;

const A: &str = "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-a";
const B: &str = "/nix/store/1123456789abcdfghijklmnpqrsvwxyz-b";

/// A place with a file, and outputs of old.
fn place(name: &str, text: &str) -> Place {
    let place = Place::new();
    place.write(name, text);
    place.write("old", "old");
    place
}

/// `closure` must refuse this graph in these words.
#[track_caller]
fn check_graph(text: &str, roots: &str, expected: &str) {
    let told = place("g.json", text).error_of(&format!("closure --graph g.json {roots} -o old"));
    assert_eq!(told, format!("error: {expected}\n"));
}

#[test]
fn graph_that_is_not_json() {
    check_graph("hello", "", "not JSON: g.json: expected value at line 1 column 1");
    check_graph("{\"graph\": [", "", "not JSON: g.json: EOF while parsing a list at line 1 column 11");
    check_graph("", "", "malformed references graph: g.json: found an empty file, expected JSON or registration text");
    let cut = format!("{A}\nx");
    check_graph(
        &cut,
        "",
        "malformed references graph: g.json: line 2: found the end of the file, expected a NAR hash, a deriver or an \
         empty line and a newline",
    );
}

#[test]
fn graph_that_is_none() {
    let malformed = |cause: &str| format!("malformed references graph: g.json: {cause}");
    check_graph(&json!([{"references": []}]).to_string(), "", &malformed("entry [0]: found no path"));
    let lacks = json!([{"path": B, "references": []}, {"path": A}]).to_string();
    check_graph(&lacks, "", &malformed(&format!("entry [1]: found no references of {A}")));
    check_graph(
        "7",
        "",
        &malformed("invalid type: integer `7`, expected a references graph, an array or an object at line 1 column 1"),
    );
    let bad_hash = json!([{"path": A, "references": [], "narHash": "sha256:x"}]).to_string();
    check_graph(&bad_hash, "", &malformed("entry [0]: not a sha256 NAR hash: \"sha256:x\""));
}

#[test]
fn graph_that_repeats_a_path() {
    let info = json!({"path": A, "references": []});
    check_graph(&json!([info, info]).to_string(), "", &format!("path twice in the references graph: g.json: {A}"));
}

#[test]
fn graph_without_a_reference() {
    let text = json!([{"path": A, "references": [A, B]}]).to_string();
    check_graph(&text, "", &format!("reference absent from the references graph: g.json: {A} refers to {B}"));
}

/// A path that is not valid in its store, as Nix of every age tells it.
#[test]
fn path_that_is_not_valid() {
    let malformed = |found: &str| {
        format!("malformed references graph: g.json: entry {found}, expected a path that is valid in its store")
    };
    check_graph(&json!({A: null}).to_string(), "", &malformed(&format!("{A:?}: found null")));
    let old = json!([{"path": A, "valid": false}]).to_string();
    check_graph(&old, "", &malformed(&format!("[0]: found {A:?} with \"valid\": false")));
}

/// A ring is an error, a path that refers to itself is none.
#[test]
fn graph_with_a_cycle() {
    let text = json!([{"path": A, "references": [A, B]}, {"path": B, "references": [A]}]).to_string();
    check_graph(&text, "", &format!("cycle of references: g.json: {A} -> {B} -> {A}"));
    place("g.json", &json!([{"path": A, "references": [A]}]).to_string()).ok("closure --graph g.json -o old");
}

#[test]
fn root_that_is_not_in_the_graph() {
    let text = json!([{"path": A, "references": []}]).to_string();
    check_graph(&text, B, &format!("root absent from the references graph: g.json: {B}"));
}

#[test]
fn path_outside_the_store() {
    let outside = |path| format!("not a store path: \"{path}\": it is outside the store /nix/store");
    let text = json!([{"path": A, "references": []}]).to_string();
    check_graph(&text, "/etc/passwd", &outside("/etc/passwd"));
    let text = json!([{"path": "/etc/x", "references": []}]).to_string();
    check_graph(&text, "", &format!("g.json: {}", outside("/etc/x")));
    check_graph(
        &json!([{"path": "nix", "references": []}]).to_string(),
        "",
        "malformed references graph: g.json: entry [0]: not a store path: \"nix\": it is not absolute",
    );
    let told = place("plan", r#"[["/gnu/store/x"]]"#).fail("layer plan --index 0 -o old");
    assert_eq!(told, format!("error: {}\n", outside("/gnu/store/x")));
    let hint = "hint: --copy /etc/passwd:/passwd copies plain files into the image";
    let told = Place::new().fail("build --name x --contents /etc/passwd -o x.tar");
    assert_eq!(told, format!("error: {}\n{hint}\n", outside("/etc/passwd")));
    let told = Place::new().fail("root --contents /etc/passwd -o x.layer.json --blob x.tar");
    assert_eq!(told, format!("error: {}\n{hint}\n", outside("/etc/passwd")));
}

/// Files of ours in another version, or of another kind, name the command to rerun.
#[test]
fn wrong_format() {
    for (found, line, expected, hint) in [
        (
            "layerstone/closure\",\"version\":9",
            "closure --graph x -o old",
            "layerstone/closure",
            "write it again with `layerstone closure`",
        ),
        (
            "layerstone/layers\",\"version\":1",
            "layers x --max-layers 3 -o old",
            "layerstone/closure",
            "x is a plan: `layerstone layer x --all -o FOLDER`",
        ),
        (
            "layerstone/closure\",\"version\":1",
            "layer x --index 0 -o old",
            "layerstone/layers",
            "x is a closure: `layerstone layers x --max-layers 100 -o LAYERS.JSON`",
        ),
        (
            "layerstone/layer\",\"version\":2",
            "image --spec s.json x -o old",
            "layerstone/layer",
            "write it again with `layerstone layer`",
        ),
    ] {
        let place = place("x", &format!("{{\"format\":\"{found}}}"));
        place.write("s.json", r#"{"name": "s"}"#);
        let found = found.replace("\",\"version\":", " version ");
        assert_eq!(
            place.fail(line),
            format!(
                "error: wrong format: x: found {found}, expected {expected} version 1\n\
                 hint: {hint}\n"
            )
        );
    }
}

#[test]
fn layers_of_nothing() {
    let place = place("x", "");
    let told = place.fail(&format!("layers {} --max-layers 0 -o old", synth().graph.display()));
    let hint = "--max-layers 100 is usual; docker takes up to 127, those of the base among them";
    assert_eq!(told, format!("error: --max-layers: found 0, expected 1 or more\nhint: {hint}\n"));
    let told = place.fail(&format!("layers {} --max-layers 1 --exclude {A} -o old", synth().graph.display()));
    assert_eq!(told, format!("error: cannot exclude: {A}: not in the closure\n"));
}

#[test]
fn plan_with_a_path_twice() {
    let place = place("plan", &json!([[A], [B, A]]).to_string());
    for line in ["layer plan --index 0 -o old", "layer plan --all -o layers"] {
        assert_eq!(
            place.error_of(line),
            format!("error: malformed layerstone/layers: plan: {A} stands in layer 0 and again in layer 1\n")
        );
    }
    place.write("plan", "[]");
    let told = place.error_of("layer plan --index 0 -o old");
    assert_eq!(told, "error: no such layer: plan: found 0 layers, expected --index 0 to be less\n");
}

/// A file that is not there.
#[test]
fn absent_inputs() {
    for (line, name) in [
        ("closure --graph absent -o old", "absent"),
        ("layers absent --max-layers 1 -o old", "absent"),
        ("layer absent --index 0 -o old", "absent"),
        ("image --spec absent x.layer.json -o old", "absent"),
        ("build absent -o old", "absent"),
        ("stream absent -o old", "absent"),
        ("tarsum absent", "absent"),
        ("inspect absent", "absent"),
        ("root --extra-commands absent -o old --blob old.tar", "absent"),
    ] {
        let told = place("x", "").error_of(line);
        assert_eq!(told, format!("error: cannot read: {name}: No such file or directory (os error 2)\n"), "{line}");
    }
}
