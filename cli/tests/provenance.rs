//! Provenance of what is built: valid by in-toto's own library, the same everywhere, and each input is a field of its own.

use crate::sbom::{judged, judges};
use crate::support::{Place, digest, synth};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// An image of the synthetic store, and what is copied into it.
fn spec() -> Value {
    json!({
        "name": "web", "tag": "1", "contents": [synth().path("curl-8.0")], "graph": "graph.json", "architecture": "amd64",
        "copy": [{"from": "app", "to": "/app"}], "extraCommandsFile": "setup.sh",
    })
}

fn place() -> Place {
    let place = Place::new();
    place.write("specs/graph.json", std::fs::read(&synth().graph).unwrap());
    place.write("specs/app", "an app");
    place.write("specs/setup.sh", "mkdir made\n");
    place.write("specs/image.json", spec().to_string());
    place
}

/// The provenance of a build with these words more.
#[track_caller]
fn provenance(place: &Place, words: &str) -> Value {
    let root = synth().root.display();
    place.ok(&format!("build specs/image.json --root {root} -o oci:out --provenance-file out.json -q {words}"));
    place.json("out.json")
}

/// Where two values differ: pointers to what is other, new or gone, without the places of dependencies.
fn differences(old: &Value, new: &Value, at: &str, found: &mut BTreeSet<String>) {
    match (old, new) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for key in keys {
                differences(&old[key], &new[key], &format!("{at}/{key}"), found);
            }
        }
        (Value::Array(a), Value::Array(b)) if at.ends_with("/resolvedDependencies") => {
            let names: BTreeSet<&str> = a.iter().chain(b).map(|it| it["name"].as_str().unwrap()).collect();
            let get =
                |list: &[Value], name: &str| list.iter().find(|it| it["name"] == name).cloned().unwrap_or_default();
            for name in names {
                differences(&get(a, name), &get(b, name), &format!("dependency {name}"), found);
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (a, b) in a.iter().zip(b) {
                differences(a, b, at, found);
            }
        }
        _ if old == new => {}
        _ => {
            found.insert(at.trim_start_matches("/predicate/buildDefinition").to_owned());
        }
    }
}

/// One input changes, and so do the image and these fields, and no others.
#[track_caller]
fn check(place: &Place, old: &Value, words: &str, expected: &[&str]) {
    let mut found = BTreeSet::new();
    differences(old, &provenance(place, words), "", &mut found);
    let found: Vec<&str> = found.iter().map(String::as_str).collect();
    assert_eq!(found, expected, "{words}");
    place.write("specs/image.json", spec().to_string());
}

/// A digest of the image that is another one.
const IMAGE: &str = "/subject/digest/sha256";

#[test]
fn each_input_is_a_field() {
    let place = place();
    let old = provenance(&place, "");
    check(&place, &old, "", &[]);
    let with = |key: &str, value: Value| {
        let mut spec = spec();
        spec[key] = value;
        place.write("specs/image.json", spec.to_string());
    };
    with("tag", json!("2"));
    check(&place, &old, "", &["/externalParameters/image/tag", "/subject/name"]);
    with("config", json!({"Cmd": ["/bin/curl"]}));
    check(&place, &old, "", &["/externalParameters/image/config", IMAGE]);
    with("created", json!("2024-01-01T00:00:00Z"));
    check(&place, &old, "", &["/externalParameters/image/created", IMAGE]);
    let compression = ["/externalParameters/options/compression", "/externalParameters/options/compressionLevel"];
    check(&place, &old, "--compression zstd", &[compression[0], compression[1], IMAGE]);
    check(&place, &old, "--compression gzip --level 9", &[compression[1], IMAGE]);
    let limit = ["/externalParameters/image/maxLayers", "/externalParameters/options/maxLayers"];
    check(&place, &old, "--max-layers 3", &[limit[0], limit[1], IMAGE, "dependency plan/digest/sha256"]);
    let by = ["/predicate/runDetails/builder/id", "/predicate/runDetails/metadata"];
    check(&place, &old, "--builder-id https://ci.example/r --invocation-id 7", &by);
    place.write("specs/app", "another app");
    check(&place, &old, "", &[IMAGE, "dependency copy/digest/sha256"]);
    place.write("specs/app", "an app");
    place.write("specs/setup.sh", "mkdir made   \n");
    check(&place, &old, "", &["dependency extraCommandsFile/digest/sha256"]);
    place.write("specs/setup.sh", "mkdir made\n");
    let graph = place.read("specs/graph.json");
    place.write("specs/graph.json", [&graph[..], b"\n"].concat());
    check(&place, &old, "", &["dependency graph/digest/sha256"]);
    place.write("specs/graph.json", graph);
    place.write("old.json", "[]");
    check(&place, &old, "--previous old.json", &["dependency previous plan"]);
    place.write("rates.json", r#"{"*": 1}"#);
    check(&place, &old, "--rates rates.json", &["dependency rates"]);
    place.ok("build --name base --copy specs/app:/base -o oci-archive:specs/base.tar -q");
    with("fromImage", json!("base.tar"));
    let base = ["/externalParameters/image/fromImage", IMAGE, "dependency fromImage"];
    check(&place, &old, "", &base);
    let (epoch, now) = ("/internalParameters/sourceDateEpoch", "/externalParameters/image/created");
    with("created", json!("now"));
    let root = synth().root.display();
    let line = format!("build specs/image.json --root {root} -o oci:out --provenance-file out.json -q");
    assert!(place.command(&line).env("SOURCE_DATE_EPOCH", "1700000000").output().unwrap().status.success());
    let mut found = BTreeSet::new();
    differences(&old, &place.json("out.json"), "", &mut found);
    assert_eq!(found, [now, epoch, IMAGE].map(str::to_owned).into());
}

/// The stages, run one by one, give the files whose digests are told; nothing of the place is said, wherever it is.
#[test]
fn the_same_everywhere() {
    let (first, second) = (place(), place());
    let text = provenance(&first, "").to_string();
    assert_eq!(provenance(&second, "-j 1").to_string(), text);
    let folder = first.path().display().to_string();
    assert!(!text.contains(folder.trim_start_matches('/')) && !text.contains("specs"), "{text}");
    let root = synth().root.display();
    let absolute = first.join("specs/image.json").display().to_string();
    second.ok(&format!("build {absolute} --root {root} -o oci-archive:out.tar --provenance-file out.json -q"));
    assert_eq!(second.json("out.json").to_string(), text);
    let told = |name: &str| {
        let value: Value = serde_json::from_str(&text).unwrap();
        let all = value["predicate"]["buildDefinition"]["resolvedDependencies"].as_array().unwrap().clone();
        let found = all.into_iter().find(|it| it["name"] == name).unwrap_or_else(|| panic!("no {name}"));
        found["digest"]["sha256"].as_str().unwrap().to_owned()
    };
    first.ok(&format!("closure --spec specs/image.json --root {root} --sizes -o x.closure.json"));
    assert_eq!(told("closure"), digest(&first.read("x.closure.json")));
    first.ok("layers x.closure.json --spec specs/image.json -o x.layers.json");
    assert_eq!(told("plan"), digest(&first.read("x.layers.json")));
    assert_eq!(told("copy"), digest(b"an app"));
    let curl = synth().path("curl-8.0");
    let hash = first.json("x.closure.json")["graph"].as_array().unwrap().iter().find(|it| it["path"] == curl).unwrap()
        ["narHash"]
        .clone();
    // Without a graph that tells it, the hash is that of the path.
    let mut spec = spec();
    spec.as_object_mut().unwrap().remove("graph");
    first.write("specs/image.json", spec.to_string());
    let scanned = provenance(&first, "");
    let dependency = &scanned["predicate"]["buildDefinition"]["resolvedDependencies"][0];
    assert_eq!((&dependency["name"], &dependency["digest"]["sha256"]), (&json!(curl), &json!(told(curl))), "{hash}");
}

/// in-toto's library takes it, of one image and of several.
#[test]
fn valid() {
    let Some(judges) = judges() else { return };
    let place = place();
    provenance(&place, "--builder-id https://ci.example/runner@v1 --invocation-id 7");
    assert_eq!(judged(&place, &judges, "provenance", "out.json"), "");
    let mut several = spec();
    several.as_object_mut().unwrap().remove("architecture");
    several["architectures"] = json!(["amd64", "arm64"]);
    place.write("specs/image.json", several.to_string());
    let root = synth().root.display();
    place.ok(&format!("build specs/image.json --root {root} -o oci:two --provenance-file two.jsonl -q"));
    assert_eq!(judged(&place, &judges, "provenance", "two.jsonl"), "");
    let text = String::from_utf8(place.read("two.jsonl")).unwrap();
    let platforms: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|it| it["predicate"]["buildDefinition"]["internalParameters"]["platform"].clone())
        .collect();
    assert_eq!(platforms, ["linux/amd64", "linux/arm64"].map(Value::from));
}

/// What is asked for in vain is said before anything is done.
#[test]
fn what_cannot_be() {
    let place = place();
    let root = format!("--root {}", synth().root.display());
    for (line, expected) in [
        ("build specs/image.json -o x.tar --sbom spdx", "error: --sbom: found x.tar, expected an OCI image"),
        ("build specs/image.json -o x.tar --provenance", "error: --provenance: found x.tar, expected an OCI image"),
        ("build specs/image.json -o docker: --provenance-file p.json", "error: --provenance: found docker:, expected"),
        ("build specs/image.json -o oci:x --sbom cdx", "error: invalid value 'cdx' for '--sbom <FORMAT>'"),
        (
            "build specs/image.json -o oci:x --attest buildkit",
            "error: --attest: found nothing to state, expected --sbom or",
        ),
        (
            "build specs/image.json -o oci:x --builder-id a:b",
            "error: --builder-id: found no provenance, expected --prov",
        ),
        (
            "build specs/image.json -o oci:x --provenance --builder-id runner",
            "error: invalid value 'runner' for '--builder-id",
        ),
        ("build specs/image.json -o oci:x --provenance-file specs/image.json", "specs/image.json"),
        ("build specs/image.json -o oci:x --provenance-file specs/app", "specs/app"),
        (
            "push oci:lay localhost:1/a:1 --provenance",
            "error: --provenance: found the image lay, expected an image.json",
        ),
        ("push - localhost:1/a:1 --sbom spdx", "error: --sbom: found -, expected an image that can be read twice"),
    ] {
        let told = place.run(&format!("{line} {root}"));
        assert!(told.code != Some(0) && told.stderr.contains(expected), "{line}: {}", told.stderr);
        assert!(!place.join("x").exists() && !place.join("x.tar").exists() && !place.join("p.json").exists(), "{line}");
    }
    assert_eq!(place.json("specs/image.json"), spec());
}
