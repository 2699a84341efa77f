//! Rates that are counted: over closures, plans and images, by a state directory, and those that come with the program.

use crate::support::Place;
use serde_json::{Value, json};

/// The store path of a name and a letter for its hash.
fn path(hash: char, name: &str) -> String {
    format!("/nix/store/{}-{name}", hash.to_string().repeat(32))
}

/// An application that refers to two libraries, which refer to a C library: the hash and the version of each.
fn graph(app: char, ssl: (char, &str), zlib: char, libc: char) -> String {
    let paths =
        [path(app, "app"), path(ssl.0, &format!("openssl-{}", ssl.1)), path(zlib, "zlib-1.3"), path(libc, "libc-2.36")];
    let references: [&[usize]; 4] = [&[1, 2], &[3], &[3], &[]];
    let info = |(path, references): (&String, &&[usize])| json!({"path": path, "narSize": 1000, "references": references.iter().map(|&at| &paths[at]).collect::<Vec<_>>()});
    Value::Array(paths.iter().zip(&references).map(info).collect()).to_string()
}

/// Four states: at first, an update of openssl to another version, one of zlib as it is called, one of libc.
fn place() -> Place {
    let place = Place::new();
    place.write("1.json", graph('a', ('a', "3.0.1"), 'a', 'a'));
    place.write("2.json", graph('b', ('b', "3.0.2"), 'a', 'a'));
    place.write("3.json", graph('c', ('b', "3.0.2"), 'b', 'a'));
    place.write("4.json", graph('d', ('c', "3.0.2"), 'c', 'b'));
    place
}

/// What a file of rates says, changes alone.
#[track_caller]
fn changes(place: &Place, file: &str) -> Vec<(String, f64)> {
    let rates = place.json(file);
    let first = rates["*"].as_f64().unwrap();
    let changes = rates.as_object().unwrap().iter().filter(|(pattern, _)| *pattern != "*");
    changes.map(|(pattern, rate)| (pattern.clone(), rate.as_f64().unwrap() - first)).collect()
}

fn expect(changes: &[(&str, f64)]) -> Vec<(String, f64)> {
    changes.iter().map(|&(pattern, count)| (pattern.to_owned(), count)).collect()
}

/// What was renamed for the sake of others is not counted.
#[test]
fn of_closures() {
    let place = place();
    let run = place.ok("rates --from 1.json 2.json 3.json 4.json -o rates.json");
    assert_eq!(run.stderr, "3 changes in 3 updates\n");
    assert_eq!(changes(&place, "rates.json"), expect(&[("libc", 1.0), ("openssl", 1.0), ("zlib", 1.0)]));
    place.ok("rates --from 1.json 2.json --add rates.json -o more.json");
    assert_eq!(changes(&place, "more.json"), expect(&[("libc", 1.0), ("openssl", 2.0), ("zlib", 1.0)]));
    let text = place.ok("rates --from 1.json 1.json").text().to_owned();
    assert_eq!(text, "{\n  \"*\": 0.0625\n}\n");
}

/// They are what `--rates` takes: the library that changes lies alone.
#[test]
fn plans_take_them() {
    let place = place();
    place.ok("rates --from 1.json 2.json -o rates.json");
    place.ok("layers 2.json --max-layers 2 --rates rates.json -o plan.json");
    let layers = place.json("plan.json")["layers"].clone();
    assert!(layers.as_array().unwrap().contains(&json!([path('a', "libc-2.36"), path('a', "zlib-1.3")])), "{layers}");
    place.ok("explain 2.json --max-layers 2 --rates rates.json");
    place.ok("layers 2.json --max-layers 2 -o even.json");
    assert_ne!(place.json("even.json")["layers"], layers);
}

/// A plan tells no references: only another version counts. So it is with images, wherever they are.
#[test]
fn of_plans_and_images() {
    let place = place();
    for state in ["1", "2", "3"] {
        place.ok(&format!("layers {state}.json --max-layers 2 -o {state}.layers.json"));
        build(&place, state, &format!("{state}.tar"), "");
    }
    place.ok("copy 1.tar oci:one");
    let only_versions = expect(&[("openssl", 1.0)]);
    for from in
        ["1.layers.json 2.layers.json 3.layers.json", "1.tar 2.tar 3.tar", "oci:one docker-archive:2.tar 3.layers.json"]
    {
        place.ok(&format!("rates --from {from} -o rates.json"));
        assert_eq!(changes(&place, "rates.json"), only_versions, "{from}");
    }
    // The references of the later one count.
    place.ok("rates --from 1.tar 2.json -o rates.json");
    assert_eq!(changes(&place, "rates.json"), only_versions);
    place.ok("rates --from 2.layers.json 3.json -o rates.json");
    assert_eq!(changes(&place, "rates.json"), expect(&[("zlib", 1.0)]));
}

/// Builds the image of a state, of a store that holds it.
#[track_caller]
fn build(place: &Place, state: &str, to: &str, flags: &str) {
    let graph = place.json(&format!("{state}.json"));
    let paths: Vec<&str> = graph.as_array().unwrap().iter().map(|info| info["path"].as_str().unwrap()).collect();
    paths.iter().for_each(|path| _ = place.write(&format!("root{path}/file"), path));
    let spec = json!({"name": "app", "contents": paths[0], "graph": format!("{state}.json"), "maxLayers": 9});
    place.write("image.json", spec.to_string());
    place.ok(&format!("build image.json --root root --no-check -o {to} {flags}"));
}

#[test]
fn a_state_counts_by_itself() {
    let place = place();
    for (state, expected) in [
        ("1", &[][..]),
        ("2", &[("openssl", 1.0)]),
        ("2", &[("openssl", 1.0)]),
        ("3", &[("openssl", 1.0), ("zlib", 1.0)]),
        ("4", &[("libc", 1.0), ("openssl", 1.0), ("zlib", 1.0)]),
    ] {
        build(&place, state, "oci:app", "--state state");
        assert_eq!(changes(&place, "state/rates.json"), expect(expected), "{state}");
    }
    // What people write there stays.
    place.write("state/rates.json", r#"{"*": 1, "app*": 7}"#);
    build(&place, "1", "oci:app", "--state state");
    assert_eq!(place.json("state/rates.json")["app*"], 7.0);
    place.write("state/rates.json", "[]");
    let error = place.error_of("build image.json --root root --no-check -o oci:app --state state");
    assert!(error.contains("state/rates.json: "), "{error}");
}

#[test]
fn those_of_debian() {
    let place = place();
    place.ok("rates -o builtin.json");
    let rates = place.json("builtin.json");
    let rate = |name: &str| rates[name].as_f64().unwrap_or_else(|| panic!("{name}"));
    assert!(rate("openssl") > 10.0 && rate("systemd") > rate("openssl") && rate("*") < 0.1, "{rates}");
    for (name, flags) in [("layers", "-o a.json"), ("explain", "")] {
        place.ok(&format!("{name} 2.json --max-layers 2 --rates builtin {flags}"));
    }
    place.ok("layers 2.json --max-layers 2 --rates builtin.json -o b.json");
    assert_eq!(place.read("a.json"), place.read("b.json"));
    build(&place, "2", "even.tar", "--max-layers 3");
    build(&place, "2", "rated.tar", "--max-layers 3 --rates builtin");
    assert_ne!(place.read("even.tar"), place.read("rated.tar"));
}

#[test]
fn what_cannot_be_counted() {
    let place = place();
    let fails = |flags: &str, expected: &str| {
        assert_eq!(place.error_of(&format!("rates {flags}")), format!("error: {expected}\n"))
    };
    fails(
        "--from 1.json 1.json --add 1.json",
        "not JSON: 1.json: invalid type: sequence, expected a map at line 1 column 0",
    );
    fails("--from 1.json 2.json -o 2.json", "cannot write: 2.json: it is the input 2.json too, expected another file");
    fails("--from 1.json no.json", "cannot read: no.json: No such file or directory (os error 2)");
    let run = place.run("rates --from 1.json");
    assert_eq!(run.code, Some(2), "{}", run.stderr);
}
