//! skopeo reads an image's manifest and copies it with the digests that we computed.

use super::{Image, demo, image, small};
use crate::support::{Place, digest, output, output_json, require_tool};
use serde_json::{Value, json};
use std::process::Command;

#[test]
fn the_demo_is_copied() {
    if !require_tool("skopeo") {
        return;
    }
    let place = Place::new();
    check(&place, &demo(&place));
}

#[test]
fn real_programs_are_copied() {
    let (true, Some(lab)) = (require_tool("skopeo"), small()) else { return };
    let place = Place::new();
    check(&place, &image(&lab, &place));
}

#[track_caller]
fn check(place: &Place, image: &Image) {
    let archive = format!("docker-archive:{}", image.file.display());
    let shown = output_json(skopeo(place).args(["inspect", &archive]));
    assert_eq!(shown["Layers"], image.layers());
    assert_eq!(shown["Architecture"], image.config["architecture"]);
    check_as_it_is(place, &archive, image);
    check_as_oci(place, &archive, image);
}

/// A copy that changes no format has the very bytes.
#[track_caller]
fn check_as_it_is(place: &Place, archive: &str, image: &Image) {
    output(skopeo(place).args(["copy", archive, "dir:dir"]));
    let manifest = place.json("dir/manifest.json");
    assert_eq!(manifest["config"]["digest"], image.id);
    let layers: Vec<&Value> = manifest["layers"].as_array().unwrap().iter().map(|layer| &layer["digest"]).collect();
    assert_eq!(json!(layers), image.layers());
    for name in layers.into_iter().chain([&manifest["config"]["digest"]]) {
        let name = &name.as_str().unwrap()["sha256:".len()..];
        assert_eq!(digest(&place.read(&format!("dir/{name}"))), name);
    }
}

/// skopeo writes an OCI config anew, in the order and with the spaces of its own, and compresses the layers.
#[track_caller]
fn check_as_oci(place: &Place, archive: &str, image: &Image) {
    output(skopeo(place).args(["copy", archive, "oci:oci:image"]));
    let blob = |descriptor: &Value| {
        let digest = descriptor["digest"].as_str().unwrap();
        place.read(&format!("oci/blobs/{}", digest.replace(':', "/")))
    };
    let blob_json = |descriptor: &Value| serde_json::from_slice::<Value>(&blob(descriptor)).unwrap();
    let manifest = blob_json(&place.json("oci/index.json")["manifests"][0]);
    assert_eq!(blob_json(&manifest["config"]), image.config);
    let unpacked = |descriptor: &Value| {
        let mut bytes = Vec::new();
        std::io::copy(&mut flate2::read::GzDecoder::new(&blob(descriptor)[..]), &mut bytes).unwrap();
        format!("sha256:{}", digest(&bytes))
    };
    let layers: Vec<String> = manifest["layers"].as_array().unwrap().iter().map(unpacked).collect();
    assert_eq!(layers, image.diff_ids);
}

fn skopeo(place: &Place) -> Command {
    let mut command = Command::new("skopeo");
    // No policy file of the machine is asked.
    command.arg("--insecure-policy").current_dir(place.path());
    command
}
