//! Copied directories that are divided into layers: what an update sends again, in one go, by stages, by ninja and make, run.

use crate::support::archive::{self, members};
use crate::support::{Place, digest};
use crate::wires::Tool;
use serde_json::json;
use std::collections::BTreeSet;
use std::fs;

/// A place with a directory of so many packages, from a few kilobytes to half a megabyte, each with its metadata.
fn packages(count: usize) -> Place {
    let place = Place::new();
    for number in 0..count {
        place.write(&format!("packages/package_{number}/__init__.py"), text(number, "1.0"));
        place.write(&format!("packages/package_{number}-1.0.dist-info/METADATA"), format!("Version: 1.0 of {number}"));
    }
    place.write("packages/loose.py", "loose\n");
    place
}

/// A text of no pattern, as far as anybody cares.
fn text(number: usize, version: &str) -> Vec<u8> {
    let bytes = 1000 << (number * 7 % 10);
    let mut state = digest(format!("{number} {version}").as_bytes()).into_bytes();
    let seed = state.clone();
    while state.len() < bytes {
        let next = digest(&state[state.len() - 64..]);
        state.extend(next.into_bytes());
    }
    state.extend(seed);
    state.truncate(bytes);
    state
}

/// Package 7 in another version.
fn update(place: &Place) {
    fs::remove_dir_all(place.join("packages/package_7-1.0.dist-info")).unwrap();
    place.write("packages/package_7/__init__.py", text(7, "1.1"));
    place.write("packages/package_7-1.1.dist-info/METADATA", "Version: 1.1 of 7");
}

/// The layers of a docker archive, bottom first.
fn layers(tar: &[u8]) -> Vec<Vec<u8>> {
    let manifest = archive::manifest(tar);
    let names = manifest["Layers"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned());
    names.map(|name| archive::member(tar, &name)).collect()
}

fn files(layer: &[u8]) -> BTreeSet<String> {
    members(layer).into_iter().map(|member| String::from_utf8(member.name).unwrap()).collect()
}

/// How many layers of another image are new, and their bytes.
fn sent(old: &[Vec<u8>], new: &[Vec<u8>]) -> (usize, usize) {
    let new: Vec<&Vec<u8>> = new.iter().filter(|layer| !old.contains(layer)).collect();
    (new.len(), new.iter().map(|layer| layer.len()).sum())
}

const FLAGS: &str = "build --name app --tag 1 --copy packages:/lib/packages,divide=1";

#[test]
fn an_update_is_one_layer() {
    let place = packages(60);
    place.ok(&format!("{FLAGS} -o old.tar"));
    place.ok("build --name app --tag 1 --copy packages:/lib/packages -o whole.tar");
    let old = layers(&place.read("old.tar"));
    assert_eq!(old.len(), 9);
    // All files are there once; the directories above them in each layer.
    let whole = files(&layers(&place.read("whole.tar"))[0]);
    let all: BTreeSet<String> = old.iter().flat_map(|layer| files(layer)).collect();
    assert_eq!(all, whole);
    let count: usize = old.iter().map(|layer| files(layer).len()).sum();
    assert_eq!(count, whole.len() + 7 * 3 + 1);
    for layer in &old {
        let files = files(layer);
        let has = |name: &str| files.contains(&format!("./lib/packages/{name}"));
        for number in 0..60 {
            assert_eq!(has(&format!("package_{number}")), has(&format!("package_{number}-1.0.dist-info")));
        }
    }
    update(&place);
    place.ok(&format!("{FLAGS} -o new.tar"));
    let (count, bytes) = sent(&old, &layers(&place.read("new.tar")));
    assert_eq!(count, 1);
    assert!(bytes * 4 < old.iter().map(Vec::len).sum(), "{bytes}");
    // One package more is one layer more to send, or a few where others make room for it.
    place.write("packages/another/__init__.py", text(3, "1.0"));
    place.ok(&format!("{FLAGS} -o more.tar"));
    let (count, _) = sent(&layers(&place.read("new.tar")), &layers(&place.read("more.tar")));
    assert!((1..=3).contains(&count), "{count}");
}

#[test]
fn stage_by_stage() {
    let place = packages(12);
    let copy = json!([
        {"from": "packages", "to": "/lib/packages", "divide": 1, "layers": 3, "layer": "deps", "exclude": "loose.py"},
        {"from": "packages/loose.py", "to": "/bin/loose"},
    ]);
    place.write("image.json", json!({"name": "app", "tag": "1", "copy": copy}).to_string());
    place.ok("build image.json -o app.tar");
    let mut below = String::new();
    let mut files = String::new();
    for number in 1..=3 {
        let name = format!("deps-{number}");
        place.ok(&format!("root --spec image.json --copy-layer {name}{below} -o {name}.layer.json --blob {name}.tar"));
        below += &format!(" --below {name}.layer.json");
        files += &format!(" {name}.layer.json");
    }
    place.ok(&format!("root --spec image.json{below} -o root.layer.json --blob root.tar"));
    place.ok(&format!("image --spec image.json{files} root.layer.json -o staged.tar"));
    assert_eq!(members(&place.read("staged.tar")), members(&place.read("app.tar")));
    let error = place.fail("root --spec image.json --copy-layer deps-4 -o x.layer.json --blob x.tar");
    assert_eq!(error, "error: no such layer: deps-4: found deps-1, deps-2, deps-3 in copy\n");
    for tool in Tool::all() {
        let place = packages(12);
        place.write("image.json", json!({"name": "app", "tag": "1", "copy": copy}).to_string());
        place.ok(&format!("{} image.json --image wired.tar", tool.name()));
        for _ in 0..2 {
            tool.ok(&place, &[]);
            place.ok("build image.json -o app.tar");
            assert!(place.read("wired.tar") == place.read("app.tar"), "{tool:?}");
            if place.join("packages/package_7-1.0.dist-info").exists() {
                update(&place);
            }
        }
    }
}

#[test]
fn what_cannot_be_divided() {
    let place = packages(2);
    for (flags, expected) in [
        ("--copy packages/loose.py:/x,divide=1", "cannot divide: packages/loose.py: found a regular file"),
        ("--copy packages:/x,divide=1 --kind single", "copy: found a layer in an image of kind \"single\""),
        (
            "--copy packages:/x,divide=1 --max-layers 9",
            "expected 10 or more: 0 of the base image, 8 of copy and tarLayers, ",
        ),
        ("--copy packages:/x,layers=3", "layers: found without divide"),
    ] {
        let run = place.run(&format!("build --name app {flags} -o app.tar"));
        assert!(run.code != Some(0) && run.stderr.contains(expected), "{flags}: {}", run.stderr);
    }
    // A tar is divided too; with fewer packages than layers some are empty.
    place.ok("build --name app --tag 1 --copy packages:/x -o whole.tar");
    place.write("files.tar", &layers(&place.read("whole.tar"))[0]);
    place.ok("build --name app --tag 1 --copy files.tar:/,divide=2,layers=5 -o app.tar");
    let all: BTreeSet<String> = layers(&place.read("app.tar")).iter().flat_map(|layer| files(layer)).collect();
    assert_eq!(all, files(&layers(&place.read("whole.tar"))[0]));
}
