//! Only what an earlier run wrote, and recorded, is removed from a directory of outputs; and only if all else succeeds.

use crate::cache::store;
use crate::support::Place;
use crate::support::registry::{root, spec};
use serde_json::json;
use std::fs;
use std::path::Path;

/// The record of a directory.
const RECORD: &str = ".layerstone-outputs";

/// Names that an earlier version would have removed, and others.
const OTHERS: [&str; 9] = [
    "2023.tar.gz",
    "20240131.tar",
    "007.layer.json",
    "1999.layer.json",
    "root.layer.json",
    "000.tar.zst",
    "7.tar",
    "notes.txt",
    ".hidden",
];

/// Makes the layers of a plan of so many.
fn line(place: &Place, layers: usize, more: &str) -> String {
    place.ok(&format!("layers x.closure.json --max-layers {layers} -o {layers}.layers.json"));
    format!("layer {layers}.layers.json --all --root root --no-cache -o out {more}")
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = entries.filter(|name| name != RECORD).collect();
    names.sort();
    names
}

/// Files of others stay, byte for byte, whatever runs come after each other.
#[test]
fn files_of_others_stay() {
    let place = store();
    for name in OTHERS {
        place.write(&format!("out/{name}"), name);
    }
    for (layers, more) in [(3, "--blobs"), (1, ""), (3, "--blobs --compression gzip"), (2, "--blobs"), (1, "")] {
        let run = place.run(&line(&place, layers, more));
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        for name in OTHERS {
            assert_eq!(place.read(&format!("out/{name}")), name.as_bytes(), "{layers} {more}");
        }
        // What somebody else takes for a layer is told.
        assert!(
            run.stderr.contains("left alone: out/007.layer.json: no earlier run has recorded it"),
            "{}",
            run.stderr
        );
        let blobs = if more.is_empty() { 0 } else { layers };
        assert_eq!(names(&place.join("out")).len(), OTHERS.len() + layers + blobs, "{layers} {more}");
        place.check_no_leftovers();
    }
}

/// What somebody has put in the place of a file of ours is his.
#[test]
fn what_was_replaced_stays() {
    let place = store();
    place.ok(&line(&place, 3, "--blobs"));
    let size = place.read("out/002.tar").len();
    place.write("out/002.tar", vec![b'x'; size]);
    place.write("out/001.tar", "mine");
    fs::remove_file(place.join("out/002.layer.json")).unwrap();
    fs::create_dir(place.join("out/002.layer.json")).unwrap();
    fs::remove_file(place.join("out/001.layer.json")).unwrap();
    std::os::unix::fs::symlink("000.layer.json", place.join("out/001.layer.json")).unwrap();
    place.run(&line(&place, 1, ""));
    assert_eq!(names(&place.join("out")), ["000.layer.json", "001.layer.json", "001.tar", "002.layer.json", "002.tar"]);
    assert_eq!(place.json(&format!("out/{RECORD}"))["files"].as_object().unwrap().len(), 1);
}

/// A removal that fails changes nothing: no output, no record.
#[test]
fn a_failed_removal_changes_nothing() {
    if !crate::support::require_tool("chattr") || !crate::support::require_root() {
        return;
    }
    let place = store();
    place.ok(&line(&place, 3, "--blobs"));
    let line = line(&place, 2, "--mtime 7");
    let chattr = |flag: &str, file: &str| {
        std::process::Command::new("chattr").arg(flag).arg(place.join(file)).status().is_ok_and(|it| it.success())
    };
    for file in ["out/002.tar", "out/000.tar"] {
        if !chattr("+i", file) {
            // A file system that knows no such flag.
            return;
        }
        let told = place.fail(&line);
        assert!(chattr("-i", file));
        assert!(told.starts_with(&format!("error: cannot remove what an earlier run wrote: {file}: ")), "{told}");
    }
    place.ok(&line);
    assert_eq!(names(&place.join("out")), ["000.layer.json", "001.layer.json"]);
}

/// An output that cannot be put there gives back what was moved out of the way.
#[test]
fn a_failed_output_changes_nothing() {
    let place = store();
    place.ok(&line(&place, 3, "--blobs"));
    fs::remove_file(place.join("out/001.layer.json")).unwrap();
    place.write("out/001.layer.json/mine", "mine");
    let line = line(&place, 2, "--mtime 7");
    place.fail(&line);
}

/// A record that is damaged, or wants out of its directory, is an error before anything is done.
#[test]
fn records_of_others() {
    let place = store();
    place.write("mine", "");
    let line = line(&place, 1, "");
    let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    let with = |name: &str| {
        json!({"format": "layerstone/outputs", "version": 1, "files": {name: {"digest": empty, "size": 0}}}).to_string()
    };
    fs::create_dir(place.join("out")).unwrap();
    for text in [
        with("../mine"),
        with("/etc/passwd"),
        with(".."),
        with(""),
        "{".to_owned(),
        "[]".to_owned(),
        String::new(),
        json!({"format": "layerstone/outputs", "version": 2, "files": {}}).to_string(),
    ] {
        place.write(&format!("out/{RECORD}"), &text);
        let told = place.fail(&line);
        assert!(told.contains(&format!("out/{RECORD}")), "{text}: {told}");
    }
    place.write(&format!("out/{RECORD}"), with("mine"));
    place.ok(&line);
}

/// The directory of a state: the same.
#[test]
fn states() {
    let place = Place::new();
    for name in ["root.layer.json", "007.layer.json", "2024.layer.json"] {
        place.write(&format!("state/{name}"), place_holder());
    }
    let others = place.listing_of(&["state"]);
    for layers in [9, 3, 5] {
        spec(&place, json!({"maxLayers": layers}));
        place.ok(&format!("build image.json -o oci:x{layers} --state state {}", root()));
        let now = place.listing_of(&["state"]);
        assert!(others.iter().all(|(name, what)| now.get(name) == Some(what)), "{layers}");
        assert!(now.len() > others.len() + 2);
    }
}

/// A layer file without a recipe, which tells a state nothing.
fn place_holder() -> String {
    let digest = format!("sha256:{}", "0".repeat(64));
    json!({"format": "layerstone/layer", "version": 1, "diffId": digest, "size": 1024, "blob": "x.tar",
        "descriptor": {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": digest, "size": 1024}})
    .to_string()
}

/// A variant is a word: it becomes a part of the name of a directory.
#[test]
fn variants_are_words() {
    let place = Place::new();
    for (variant, is_good) in [
        ("v7", true),
        ("v8.2_x-1", true),
        ("", true),
        ("/../../x", false),
        ("../x", false),
        ("..", false),
        ("a/b", false),
        ("a b", false),
        ("-v", false),
        ("v7\n", false),
        ("\u{e9}", false),
    ] {
        let architectures = json!([{"architecture": "arm", "variant": variant}, "amd64"]);
        place.write("image.json", json!({"name": "x", "tag": "1", "architectures": architectures}).to_string());
        let before = place.listing();
        let run = place.run("build image.json -o oci:out --state state");
        assert_eq!(run.code, Some(if is_good { 0 } else { 1 }), "{variant:?}: {}", run.stderr);
        if is_good {
            assert!(place.join(format!("state/arm{variant}")).is_dir(), "{variant:?}");
            for folder in ["out", "state"] {
                fs::remove_dir_all(place.join(folder)).unwrap();
            }
        } else {
            assert!(run.stderr.contains("variant: found "), "{variant:?}: {}", run.stderr);
            assert_eq!(place.listing(), before);
        }
    }
}
