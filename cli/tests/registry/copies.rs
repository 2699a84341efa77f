//! Images from any kind to any other and back, with skopeo in between: the config and the diff IDs stay, and manifests too
//! where nothing is compressed anew.

use super::{blob_json, manifest, place};
use crate::support::archive::{config, manifest as archive_manifest};
use crate::support::registry::Registry;
use crate::support::{Place, digest, output, require_tool};
use serde_json::Value;
use std::process::Command;

/// Kinds by their words in ours and in skopeo's; `N` stands for a number.
const KINDS: [(&str, &str); 4] = [
    ("N.tar", "docker-archive:N.tar"),
    ("oci:N", "oci:N:1"),
    ("oci-archive:N.oci.tar", "oci-archive:N.oci.tar:1"),
    ("registry:HOST/n:N", "docker://HOST/n:N"),
];

#[track_caller]
fn skopeo(place: &Place, from: &str, to: &str) {
    let mut skopeo = Command::new("skopeo");
    skopeo.args(["copy", "-q", "--src-tls-verify=false", "--dest-tls-verify=false", from, to]);
    skopeo.current_dir(place.path()).env("TMPDIR", place.temporary());
    output(&mut skopeo);
}

/// Every kind that we write goes through skopeo into every other kind and back, and through us into every other kind.
#[test]
fn every_kind_to_every_other() {
    if !require_tool("skopeo") {
        return;
    }
    let Some(registry) = Registry::start() else { return };
    let place = place();
    place.on_synth("build image.json -o built.tar");
    let expected = config(&place.read("built.tar"));
    let word = |text: &str, number: usize| text.replace('N', &number.to_string()).replace("HOST", registry.host());
    // At 0 to 3 is the image in each kind.
    for (number, (ours, _)) in KINDS.into_iter().enumerate() {
        place.on_synth(&format!("build image.json -o {}", word(ours, number)));
    }
    let mut next = 10;
    for (from, (ours_from, theirs_from)) in KINDS.into_iter().enumerate() {
        for (ours_to, theirs_to) in KINDS {
            let [a, b, c] = [next, next + 1, next + 2];
            next += 3;
            let named = |theirs: &str, number| match theirs.starts_with("docker-archive") {
                true => format!("{}:synth:1", word(theirs, number)),
                false => word(theirs, number),
            };
            skopeo(&place, &word(theirs_from, from), &named(theirs_to, a));
            // What skopeo wrote is taken by us, into the kind that it came from.
            place.ok(&format!("copy {} {} --as synth:1", word(ours_to, a), word(ours_from, b)));
            place.ok(&format!("copy {} {} --as synth:1", word(ours_from, from), word(ours_to, c)));
            for (ours, number) in [(ours_from, b), (ours_to, c)] {
                let at = word(ours, number);
                place.ok(&format!("copy {at} {number}.check.tar --as synth:1"));
                let archive = place.read(&format!("{number}.check.tar"));
                let found = config(&archive);
                assert_eq!(found["rootfs"], expected["rootfs"], "{ours_from} to {ours_to}: {at}");
                let id = archive_manifest(&archive)["Config"].as_str().unwrap().to_owned();
                if number == c {
                    // Only we keep the config to the byte: skopeo writes it anew where it changes the kind.
                    assert_eq!(found, expected);
                    assert_eq!(id, archive_manifest(&place.read("built.tar"))["Config"].as_str().unwrap());
                }
                std::fs::remove_file(place.join(format!("{number}.check.tar"))).unwrap();
            }
        }
    }
}

/// Manifests go as they are through every kind that has them, docker's own kind too.
#[test]
fn manifests_stay() {
    if !require_tool("skopeo") {
        return;
    }
    let Some(registry) = Registry::start() else { return };
    let place = place();
    let host = registry.host();
    place.on_synth("build image.json -o built.tar");
    let mut skopeo = Command::new("skopeo");
    skopeo.args(["copy", "-q", "--format", "v2s2", "--dest-tls-verify=false", "docker-archive:built.tar"]);
    output(skopeo.arg(format!("docker://{host}/docker:1")).current_dir(place.path()));
    place.on_synth(&format!("push image.json {host}/oci:1"));
    for name in ["docker", "oci"] {
        let raw = registry.inspect(&format!("{name}:1"), "--raw");
        place.ok(&format!("copy registry:{host}/{name}:1 oci:{name}"));
        place.ok(&format!("copy oci:{name} oci-archive:{name}.tar"));
        place.ok(&format!("copy oci-archive:{name}.tar registry:{host}/{name}:2"));
        assert_eq!(registry.inspect(&format!("{name}:2"), "--raw"), raw);
        let [first, second] =
            ["1", "2"].map(|tag| registry.inspect(&format!("{name}:{tag}"), "--no-tags")["Digest"].clone());
        assert_eq!(first, second);
        // And an archive of it has the config that docker's archive had.
        place.ok(&format!("copy oci:{name} {name}.docker.tar --as synth:1"));
        assert!(place.read(&format!("{name}.docker.tar")) == place.read("built.tar"), "{name}");
    }
}

/// Layers are compressed anew only when that is asked for; config, annotations and diff IDs stay.
#[test]
fn compressed_anew() {
    let place = Place::new();
    crate::support::registry::spec(&place, serde_json::json!({"annotations": {"a": "b"}}));
    place.on_synth("build image.json -o oci:gzip");
    place.ok("copy oci:gzip oci:kept");
    assert_eq!(place.json("kept/index.json"), place.json("gzip/index.json"));
    place.ok("copy oci:gzip oci:zstd --compression zstd");
    place.ok("copy oci:zstd oci:back --compression gzip");
    assert_eq!(manifest(&place, "back"), manifest(&place, "gzip"));
    let (before, after) = (manifest(&place, "gzip"), manifest(&place, "zstd"));
    assert_eq!((&before["config"], &before["annotations"]), (&after["config"], &after["annotations"]));
    let annotations = |manifest: &Value| -> Vec<Value> {
        manifest["layers"].as_array().unwrap().iter().map(|layer| layer["annotations"].clone()).collect()
    };
    assert_eq!(annotations(&before), annotations(&after));
    assert!(after["layers"].as_array().unwrap().iter().all(|it| it["mediaType"].as_str().unwrap().ends_with("+zstd")));
    let id = &before["config"]["digest"];
    assert_eq!(digest(blob_json(&place, "zstd", id).to_string().as_bytes()).len(), 64);
}

#[test]
fn what_cannot_be_copied() {
    let place = place();
    place.write("text", "hello");
    for (line, cause) in [
        (
            "copy image.json x.tar",
            "found the spec image.json, expected an image\nhint: `layerstone build IMAGE.JSON -o PLACE` makes archives of specs",
        ),
        ("copy text x.tar", "not an image: text: "),
        ("copy absent.tar oci:x", "cannot read: absent.tar: "),
        ("copy docker: x.tar", "no image: docker:"),
        ("copy text docker:x", "found a name behind docker:x, expected none"),
        ("copy docker:x oci:x --all", "--all: expected registry:REF or an OCI layout with it"),
    ] {
        let run = place.run(line);
        assert_eq!(run.code, Some(1), "{line}");
        assert!(run.stderr.contains(cause), "{line}: {}", run.stderr);
        assert!(!place.join("x.tar").exists());
    }
    let run = place.run("copy text x.tar --compression none --level 3");
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    let run = place.run("copy text x.tar --compression gzip --level 13");
    assert!(run.code == Some(2) && run.stderr.contains("--level: found 13, expected 1 to 12"), "{}", run.stderr);
}
