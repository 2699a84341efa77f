//! Several images in one archive.

use super::examples::{Built, Examples};
use crate::client::GNU_GREETING;
use crate::support::Place;
use crate::support::docker::{Docker, client};
use crate::support::output;
use serde_json::json;

/// Merges images into `merged.tar`.
#[track_caller]
fn merge(place: &Place, images: &[&Built]) {
    let files: Vec<String> = images.iter().map(|image| image.file.display().to_string()).collect();
    place.ok(&format!("merge {} -o merged.tar", files.join(" ")));
}

/// Whether docker lists an image.
#[track_caller]
fn is_listed(image: &Built) -> bool {
    output(&mut client("images --format {{.Repository}}:{{.Tag}}")).lines().any(|line| line == image.reference)
}

fn hello(examples: &Examples) -> Built {
    examples.single("hello", json!({"contents": examples.path("hello"), "config": {"Cmd": ["hello"]}}))
}

/// With a tag that was given, and with one that was made up.
#[test]
fn both_are_there_and_run() {
    let (Some(docker), Some(examples)) = (Docker::find(), Examples::find()) else { return };
    let hello = hello(examples);
    for bash in [
        examples.single("bash", json!({"contents": examples.path("bash")})),
        examples.single("bashNoTag", json!({"contents": [examples.path("bash")], "tag": null})),
    ] {
        let place = Place::new();
        merge(&place, &[&bash, &hello]);
        let turn = docker.turn();
        let loaded = turn.load_all(&place.join("merged.tar"), [&*bash.reference, &hello.reference]);
        assert!(is_listed(&bash) && is_listed(&hello));
        assert!(loaded[0].run(&["bash", "--version"]).starts_with("GNU bash, version "));
        assert_eq!(loaded[1].run(&[]), GNU_GREETING);
    }
}

#[test]
fn whatever_they_are_compressed_with() {
    let (Some(docker), Some(examples)) = (Docker::find(), Examples::find()) else { return };
    let keys = || json!({"contents": examples.path("bash")});
    let images = [
        examples.layered_as("bash-gzip", "tar.gz", keys()),
        examples.layered_as("bash-uncompressed", "tar", keys()),
        examples.layered_as("bash-zstd", "tar.zst", keys()),
    ];
    let place = Place::new();
    merge(&place, &images.each_ref());
    let turn = docker.turn();
    let loaded = turn.load_all(&place.join("merged.tar"), images.each_ref().map(|image| &*image.reference));
    assert!(images.iter().all(is_listed));
    for loaded in loaded {
        assert!(loaded.run(&["bash", "--version"]).starts_with("GNU bash, version "));
    }
}

#[test]
fn owners_stay() {
    let (Some(docker), Some(examples)) = (Docker::find(), Examples::find()) else { return };
    let keys = json!({
        "contents": [examples.path("bash"), examples.path("coreutils")],
        "extraCommands": "mkdir -p home/alice",
        "perms": [{"path": "home/alice", "uid": 1000}],
    });
    let alice = examples.layered("layered-image-with-owner", keys);
    let hello = hello(examples);
    let place = Place::new();
    merge(&place, &[&hello, &alice]);
    let turn = docker.turn();
    let loaded = turn.load_all(&place.join("merged.tar"), [&*hello.reference, &alice.reference]);
    assert_eq!(loaded[1].run(&["stat", "-c", "%u", "/home/alice"]), "1000\n");
}
