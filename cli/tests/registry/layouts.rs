//! OCI layouts and archives of them: what is in them, what is added, and who reads them.

use super::{blob, blob_json, manifest, place};
use crate::support::archive::config;
use crate::support::registry::{root, spec};
use crate::support::{Place, digest, output, output_json, require_tool};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::Read;
use std::process::Command;

fn unpacked(media_type: &Value, bytes: &[u8]) -> Vec<u8> {
    let mut tar = Vec::new();
    match media_type.as_str().unwrap().rsplit_once(".tar").unwrap().1 {
        "" => tar.extend_from_slice(bytes),
        "+gzip" => drop(flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut tar).unwrap()),
        "+zstd" => tar = zstd::decode_all(bytes).unwrap(),
        other => panic!("{other}"),
    }
    tar
}

#[test]
fn descriptors() {
    let place = Place::new();
    let annotations = json!({"org.opencontainers.image.title": "synth", "b": "", "a": "ü"});
    spec(&place, json!({"annotations": annotations, "labels": {"l": "1"}, "config": {"Labels": {"k": "0", "l": "0"}}}));
    place.on_synth("build image.json -o oci:layout");
    assert_eq!(place.read("layout/oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#);
    let index = place.json("layout/index.json");
    assert_eq!(index["schemaVersion"], 2);
    let listed = &index["manifests"][0];
    assert_eq!(listed["mediaType"], "application/vnd.oci.image.manifest.v1+json");
    assert_eq!(listed["platform"]["os"], "linux");
    let manifest = manifest(&place, "layout");
    assert_eq!(manifest["mediaType"], listed["mediaType"]);
    assert_eq!(manifest["annotations"], annotations);
    let mut held = BTreeSet::new();
    for descriptor in manifest["layers"].as_array().unwrap().iter().chain([&manifest["config"], listed]) {
        let bytes = blob(&place, "layout", &descriptor["digest"]);
        assert_eq!(descriptor["size"], bytes.len());
        let paths = descriptor["annotations"]["io.layerstone.store-paths"].as_str().unwrap_or_default();
        held.extend(paths.split_whitespace().map(str::to_owned));
    }
    let synth = crate::support::synth();
    assert!(held.contains(synth.path("bash-5.2")) && held.iter().all(|path| synth.paths().contains(path)), "{held:?}");
    let config = blob_json(&place, "layout", &manifest["config"]["digest"]);
    assert_eq!(config["config"]["Labels"], json!({"k": "0", "l": "1"}));
}

/// However layers are compressed, by whatever number of threads, the tars are the same, and so is the image.
#[test]
fn compressions() {
    let place = place();
    place.on_synth("build image.json -o x.tar");
    let expected = config(&place.read("x.tar"));
    for (index, flags) in [
        "",
        "--compression none",
        "--compression gzip --level 1",
        "--compression zstd",
        "--compression zstd --level 19",
    ]
    .into_iter()
    .enumerate()
    {
        let layout = format!("layout-{index}");
        place.on_synth(&format!("build image.json -o oci:{layout} {flags} -j1"));
        place.on_synth(&format!("build image.json -o oci:{layout}-8 {flags} -j8"));
        let manifest = manifest(&place, &layout);
        assert_eq!(manifest, super::manifest(&place, &format!("{layout}-8")), "{flags}");
        let diff_ids: Vec<String> = manifest["layers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|layer| {
                let bytes = blob(&place, &layout, &layer["digest"]);
                format!("sha256:{}", digest(&unpacked(&layer["mediaType"], &bytes)))
            })
            .collect();
        assert_eq!(expected["rootfs"]["diff_ids"], json!(diff_ids), "{flags}");
        assert_eq!(blob_json(&place, &layout, &manifest["config"]["digest"]), expected);
    }
}

/// A layout is added to: equal blobs once, an image of the same name replaced, another one kept.
#[test]
fn names() {
    let place = place();
    place.on_synth("build image.json -o oci:layout");
    let blobs = || place.listing_of(&["layout/blobs/sha256"]).len();
    let first = blobs();
    place.on_synth("build image.json -o oci:layout");
    assert_eq!(blobs(), first);
    spec(&place, json!({"name": "other", "tag": "1"}));
    place.on_synth("build image.json -o oci:layout");
    // Only the tag tells them apart for others, so that one is named by both.
    let named = |index: &Value| -> Vec<String> {
        let manifests = index["manifests"].as_array().unwrap();
        manifests.iter().map(|it| it["annotations"]["io.containerd.image.name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(named(&place.json("layout/index.json")), ["docker.io/library/synth:1", "docker.io/library/other:1"]);
    assert_eq!(blobs(), first, "the images differ in their names alone");
    spec(&place, json!({"config": {"Cmd": ["changed"]}}));
    place.on_synth("build image.json -o oci:layout");
    assert_eq!(named(&place.json("layout/index.json")), ["docker.io/library/other:1", "docker.io/library/synth:1"]);
    assert_eq!(blobs(), first + 2);
    place.ok("copy oci:layout#other:1 x.tar");
    assert_eq!(config(&place.read("x.tar"))["config"]["Cmd"], json!(["/bin/bash"]));
    place.ok("copy oci:layout#synth:1 x.tar --as a:b");
    assert_eq!(config(&place.read("x.tar"))["config"]["Cmd"], json!(["changed"]));
    assert_eq!(crate::support::archive::manifest(&place.read("x.tar"))["RepoTags"], json!(["a:b"]));
}

/// Several programs may add to one layout at the same time.
#[test]
fn together() {
    let place = Place::new();
    let names: Vec<String> = (0..6).map(|number| format!("image{number}")).collect();
    std::thread::scope(|scope| {
        for name in &names {
            let place = &place;
            scope.spawn(move || {
                let synth = crate::support::synth();
                let spec = json!({"name": name, "tag": "1", "contents": synth.path("bash-5.2"), "graph": synth.graph});
                place.write(&format!("{name}.json"), spec.to_string());
                let run = place.run(&format!("build {name}.json -o oci:layout {}", root()));
                assert_eq!(run.code, Some(0), "{}", run.stderr);
            });
        }
    });
    let index = place.json("layout/index.json");
    let found: BTreeSet<&str> = index["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["annotations"]["io.containerd.image.name"].as_str().unwrap())
        .collect();
    assert_eq!(found.len(), names.len(), "{found:?}");
}

#[test]
fn what_is_no_layout() {
    let place = place();
    place.write("full/file", "");
    place.write("file", "");
    place.write("other/oci-layout", r#"{"imageLayoutVersion":"2.0.0"}"#);
    place.write("broken/oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#);
    place.write("broken/index.json", "{");
    for (folder, cause) in [
        ("full", "found other files, expected oci-layout or an empty directory"),
        ("file", "found a file, expected a directory"),
        ("other", "oci-layout: expected {\"imageLayoutVersion\":\"1.0.0\"}"),
        ("broken", "not a manifest: broken/index.json: "),
        ("absent/folder", "cannot write: absent/folder: its directory absent does not exist"),
    ] {
        let error = place.fail(&format!("build image.json -o oci:{folder} {}", root()));
        assert!(error.contains(cause), "{error}");
    }
    let error = place.fail(&format!("build image.json -o oci-archive:absent/x.tar {}", root()));
    assert!(error.contains("absent"), "{error}");
    let error = place.fail(&format!("build image.json -o oci:layout --legacy {}", root()));
    assert!(error.contains("--legacy: found oci:layout, expected a docker archive with it"), "{error}");
}

/// A blob that was damaged is found out when it is read, and put right when it is written again.
#[test]
fn damaged_blobs() {
    let place = place();
    place.on_synth("build image.json -o oci:layout");
    let layer = manifest(&place, "layout")["layers"][0]["digest"].as_str().unwrap()["sha256:".len()..].to_owned();
    let name = format!("layout/blobs/sha256/{layer}");
    let mut bytes = place.read(&name);
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    place.write(&name, &bytes);
    for line in ["copy oci:layout x.tar", "copy oci:layout oci:other", "copy oci:layout oci-archive:x.tar"] {
        let run = place.run(line);
        assert_eq!(run.code, Some(1), "{line}");
        assert!(run.stderr.contains("wrong") || run.stderr.contains("cannot unpack"), "{line}: {}", run.stderr);
    }
    assert!(!place.join("x.tar").exists());
    // One that is cut is written again.
    place.write(&name, &bytes[..middle]);
    place.on_synth("build image.json -o oci:layout");
    place.ok("copy oci:layout x.tar");
}

/// umoci unpacks what skopeo reads.
#[test]
fn others_read_them() {
    if !(require_tool("umoci") && require_tool("skopeo")) {
        return;
    }
    let place = place();
    place.on_synth("build image.json -o oci:layout");
    place.on_synth("build image.json -o oci-archive:x.tar");
    let digest = place.json("layout/index.json")["manifests"][0]["digest"].clone();
    for source in
        [format!("oci:{}:1", place.join("layout").display()), format!("oci-archive:{}", place.join("x.tar").display())]
    {
        let shown = output_json(Command::new("skopeo").args(["inspect", &source]));
        assert_eq!(shown["Digest"], digest, "{source}");
    }
    let mut umoci = Command::new("umoci");
    umoci.args(["unpack", "--rootless", "--image"]).arg(format!("{}:1", place.join("layout").display()));
    output(umoci.arg(place.join("bundle")));
    let synth = crate::support::synth();
    let bash = synth.path("bash-5.2");
    let real = std::fs::read_dir(synth.locate(bash)).unwrap().count();
    assert_eq!(std::fs::read_dir(place.join(format!("bundle/rootfs{bash}"))).unwrap().count(), real);
}
