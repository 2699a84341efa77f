//! `dir:` directories of skopeo and podman.

use super::{index, on_synth, place};
use crate::support::archive::config;
use crate::support::containers_storage::ContainersStorage;
use crate::support::{output, require_root, require_tool};
use serde_json::json;
use std::process::Command;

/// `dir:` directories of skopeo and podman are read wherever an image is.
#[test]
fn directories_of_skopeo() {
    if !require_tool("skopeo") {
        return;
    }
    let place = place(json!({}));
    on_synth(&place, "build image.json -o x.tar");
    place.ok("copy x.tar oci:layout");
    let skopeo = |from: &str, to: &str| {
        output(Command::new("skopeo").args(["--insecure-policy", "copy", "-q", from, to]).current_dir(place.path()));
    };
    skopeo("docker-archive:x.tar", "dir:docker");
    skopeo("oci:layout:1", "dir:oci");
    let expected = config(&place.read("x.tar"));
    for source in ["docker", "dir:docker", "oci", "dir:oci"] {
        place.ok(&format!("copy {source} out.tar --as synth:1"));
        assert_eq!(config(&place.read("out.tar"))["rootfs"], expected["rootfs"], "{source}");
        place.ok(&format!("copy {source} oci:out --as synth:1"));
        place.ok(&format!("copy --all {source} oci-archive:out.oci.tar --as synth:1"));
        assert_eq!(
            index(&place, "out")["manifests"][0]["digest"],
            index(&place, "out.oci.tar")["manifests"][0]["digest"]
        );
        let bare = source.trim_start_matches("dir:");
        place.ok(&format!("build --name above --base {bare} -o above.tar"));
        place.ok(&format!("inspect --diff x.tar {bare}"));
        assert_eq!(place.ok(&format!("inspect {bare}")).text().matches("\n  ID ").count(), 1);
    }
    // What is missing or damaged in it is told.
    let digest = place.json("oci/manifest.json")["layers"][0]["digest"].as_str().unwrap().to_owned();
    std::fs::remove_file(place.join(format!("oci/{}", &digest[7..]))).unwrap();
    let said = place.fail("copy dir:oci no.tar --as x:1");
    assert!(said.contains(&format!("cannot read: oci/{}: No such file", &digest[7..])), "{said}");
    place.write("docker/manifest.json", "[]");
    let said = place.fail("copy docker no.tar --as x:1");
    assert!(said.contains("found the manifest.json of a docker archive, expected the archive as a tar"), "{said}");
    place.write("docker/manifest.json", "{");
    assert!(place.fail("copy docker no.tar --as x:1").contains("docker: manifest.json: EOF"));
}

/// The same of podman.
#[test]
fn directories_of_podman() {
    if !require_tool("podman") || !require_root() {
        return;
    }
    let place = place(json!({"name": "localhost/layerstone-dir"}));
    on_synth(&place, "build image.json -o x.tar");
    let storage = ContainersStorage::new();
    let run = |words: &[&str]| output(storage.command("podman").args(words).current_dir(place.path()));
    run(&["load", "-q", "-i", "x.tar"]);
    run(&["save", "-q", "--format", "docker-dir", "-o", "saved", "localhost/layerstone-dir:1"]);
    place.ok("copy dir:saved out.tar --as x:1");
    assert_eq!(config(&place.read("out.tar"))["rootfs"], config(&place.read("x.tar"))["rootfs"]);
    run(&["rmi", "-f", "localhost/layerstone-dir:1"]);
}
