//! Layouts and archives as other programs write and read them: names, what they say in an index, what is attached to images,
//! directories of skopeo and podman.

mod artifacts;
mod directories;
mod layers;
mod names;

use crate::support::Place;
use crate::support::archive::members;
use crate::support::pieces::{Entry, Files, Packing, Pieces, finish_oci, oci_image, tar_of, write_folder};
use crate::support::registry::{root, spec};
use serde_json::{Value, json};
use std::process::Command;

const REF_NAME: &str = "org.opencontainers.image.ref.name";
const IMAGE_NAME: &str = "io.containerd.image.name";

/// A place with a spec of the synthetic store.
fn place(more: Value) -> Place {
    let place = Place::new();
    spec(&place, more);
    place
}

fn on_synth(place: &Place, line: &str) {
    place.ok(&format!("{line} {}", root()));
}

fn image() -> Pieces {
    Pieces::new(&[tar_of([(&b"file"[..], Entry::File(b"x".to_vec()))])])
}

/// The index.json of a layout or of an archive of one.
fn index(place: &Place, name: &str) -> Value {
    if place.join(name).is_dir() {
        return place.json(&format!("{name}/index.json"));
    }
    serde_json::from_slice(&crate::support::archive::member(&place.read(name), "index.json")).unwrap()
}

/// What others say in an index stays to the letter when an image is added, known to us or not.
#[test]
fn an_index_keeps_what_others_wrote() {
    let place = place(json!({}));
    let mut files = Files::new();
    let mut image = oci_image(&image().called(&["theirs:1"]), &Packing::plain(), &mut files);
    image["platform"] = json!({"architecture": "amd64", "os": "windows", "os.version": "10.0", "os.features": ["win32k"],
        "features": ["sse4"], "x": {"y": null}});
    let sbom = json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 3,
        "digest": format!("sha256:{}", "1".repeat(64)), "artifactType": "application/vnd.example.sbom", "data": "e30K",
        "urls": ["https://example.com/x"], "annotations": {"org.opencontainers.image.created": "2024-01-01T00:00:00Z"}});
    let odd = json!({"x": [1.5, null, {"deep": true}], "mediaType": "text/plain", "size": 1, "annotations": null,
        "digest": format!("sha512:{}", "2".repeat(128))});
    let theirs = vec![sbom, image, odd];
    finish_oci(&mut files, Vec::new());
    write_folder(&place.join("layout"), &files);
    let mut expected = json!({"x.example/key": {"a": [1, 2]}, "schemaVersion": 2, "artifactType": "application/x.index",
        "manifests": theirs, "annotations": {"k": "v"}, "subject": {"mediaType": "a/b", "digest": "sha256:x", "size": 1}});
    place.write("layout/index.json", expected.to_string());
    for (name, count) in [("a", 4), ("b", 5), ("b", 5)] {
        spec(&place, json!({"name": name, "config": {"Cmd": [name]}}));
        on_synth(&place, "build image.json -o oci:layout");
        let found = place.json("layout/index.json");
        let ours = found["manifests"].as_array().unwrap();
        assert_eq!(ours.len(), count);
        let listed = expected["manifests"].as_array_mut().unwrap();
        listed.truncate(count - 1);
        listed.push(ours[count - 1].clone());
        assert_eq!(found, expected);
        // The order of keys too.
        assert_eq!(found.to_string(), expected.to_string());
    }
    place.ok("copy layout#theirs:1 x.tar");
}

/// Readers that look for the directories of a layout find them, and the bytes depend on the image alone.
#[test]
fn archives_have_their_directories() {
    let place = place(json!({}));
    on_synth(&place, "build image.json -o oci-archive:x.tar -j1");
    on_synth(&place, "build image.json -o oci-archive:y.tar -j8");
    assert!(place.read("x.tar") == place.read("y.tar"));
    let members = members(&place.read("x.tar"));
    let names: Vec<String> = members.iter().map(|it| String::from_utf8(it.name.clone()).unwrap()).collect();
    assert_eq!(names[..2], ["blobs", "blobs/sha256"]);
    assert_eq!(
        members.iter().map(|it| (it.kind, it.mode)).collect::<Vec<_>>()[..3],
        [('5', 0o755), ('5', 0o755), ('0', 0o644)]
    );
    assert_eq!(names[names.len() - 2..], ["oci-layout", "index.json"]);
    assert!(members.iter().skip(2).all(|it| it.kind == '0') && place.read("x.tar").len().is_multiple_of(10_240));
    std::fs::create_dir(place.join("out")).unwrap();
    crate::support::output(Command::new("tar").args(["-xf", "x.tar", "-C", "out"]).current_dir(place.path()));
    place.ok("copy oci:out z.tar");
}
