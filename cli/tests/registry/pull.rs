//! What a pull brings: the image of a digest, for a platform, under a name, in any form; and what is told before.

use super::{manifest, place};
use crate::support::archive::{config, manifest as archive_manifest};
use crate::support::registry::{Registry, root, spec};
use crate::support::{Place, digest, output, require_tool, without_summary};
use serde_json::json;
use std::process::Command;

#[test]
fn archives_depend_on_the_image_alone() {
    let Some(registry) = Registry::start() else { return };
    let place = place();
    let host = registry.host();
    place.on_synth("build image.json -o built.tar");
    let mut archives = Vec::new();
    // However its layers are compressed, whoever sent it and whatever it is called there.
    for (name, flags) in [
        ("gzip", ""),
        ("zstd", "--compression zstd"),
        ("plain", "--compression none"),
        ("nine", "--compression gzip --level 9"),
    ] {
        place.on_synth(&format!("push image.json {host}/{name}:x {flags}"));
        let run = place.ok(&format!("pull {host}/{name}:x -o {name}.tar --as synth:1"));
        assert!(run.text().starts_with("synth:1 sha256:"), "{}", run.text());
        archives.push(place.read(&format!("{name}.tar")));
    }
    let built = place.read("built.tar");
    assert!(archives.iter().all(|archive| *archive == built));
    // -o - and a compressed archive.
    let run = place.ok(&format!("pull {host}/gzip:x -o - --as synth:1 -j1"));
    assert!(run.stdout == built);
    place.ok(&format!("pull {host}/gzip:x -o x.tar.gz --as synth:1"));
    assert!(flate2_all(&place.read("x.tar.gz")) == built);
}

fn flate2_all(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::MultiGzDecoder::new(bytes), &mut plain).unwrap();
    plain
}

#[test]
fn names_and_digests() {
    let Some(registry) = Registry::start() else { return };
    let place = place();
    let host = registry.host();
    let pushed = place.on_synth(&format!("push image.json {host}/team/synth:1"));
    let (_, found) = pushed.text().trim().split_once('@').unwrap();
    // Without a digest, the one that it leads to is told.
    let run = place.ok(&format!("pull {host}/team/synth:1 -o a.tar"));
    assert_eq!(without_summary(&run.stderr), format!("{host}/team/synth:1@{found}\n"));
    assert_eq!(archive_manifest(&place.read("a.tar"))["RepoTags"], json!([format!("{host}/team/synth:1")]));
    // With one, the tag is but a name, and may be absent.
    for (reference, name) in [("team/synth", "latest"), ("team/synth:gone", "gone")] {
        let run = place.ok(&format!("pull {host}/{reference}@{found} -o a.tar"));
        assert_eq!(without_summary(&run.stderr), "");
        assert_eq!(archive_manifest(&place.read("a.tar"))["RepoTags"], json!([format!("{host}/team/synth:{name}")]));
    }
    let wrong = format!("sha256:{}", digest(b"no such"));
    let error = place.fail(&format!("pull {host}/team/synth@{wrong} -o b.tar"));
    assert!(error.starts_with(&format!("error: not in the registry: {host}/team/synth@{wrong}")), "{error}");
    let error = place.fail(&format!("pull {host}/team/synth:1 -o b.tar --as Bad:1"));
    assert!(error.contains("not a name: \"Bad:1\""), "{error}");
}

/// What is told is what nixpkgs' pullImage and ours take, and its hash that of the archive.
#[test]
fn prefetch() {
    let Some(registry) = Registry::start() else { return };
    let place = place();
    let host = registry.host();
    let pushed = place.on_synth(&format!("push image.json {host}/synth:1"));
    let (_, found) = pushed.text().trim().split_once('@').unwrap();
    place.ok(&format!("pull {host}/synth:1 -o a.tar --as tool:2"));
    let run = place.ok(&format!("prefetch {host}/synth:1 --as tool:2 --form json"));
    let told: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    let keys: Vec<&String> = told.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["imageName", "imageDigest", "hash", "finalImageName", "finalImageTag"]);
    assert_eq!(told["imageDigest"], found);
    assert_eq!((&told["finalImageName"], &told["finalImageTag"]), (&json!("tool"), &json!("2")));
    if !require_tool("nix") {
        return;
    }
    let mut nix = Command::new("nix");
    nix.args(["--extra-experimental-features", "nix-command", "hash", "file"]).arg(place.join("a.tar"));
    assert_eq!(told["hash"].as_str().unwrap(), output(&mut nix).trim());
    place.write("x.nix", place.ok(&format!("prefetch {host}/synth:1 --as tool:2")).stdout);
    let mut nix = Command::new("nix-instantiate");
    nix.args(["--eval", "--strict", "--json"]).arg(place.join("x.nix"));
    assert_eq!(serde_json::from_str::<serde_json::Value>(&output(&mut nix)).unwrap(), told);
}

/// The image of an index is that of this machine, or the one that the flags name.
#[test]
fn platforms() {
    let Some(registry) = Registry::start() else { return };
    let place = Place::new();
    let host = registry.host();
    let armv7 = json!({"architecture": "arm", "variant": "v7"});
    let armv6 = json!({"architecture": "armv6l"});
    let here = std::env::consts::ARCH;
    spec(&place, json!({"architectures": [here, "arm64", armv7, armv6, "riscv64"]}));
    place.on_synth(&format!("push image.json {host}/synth:1"));
    for (flags, architecture, variant) in [
        ("--arch arm64", "arm64", json!(null)),
        ("--arch aarch64-linux", "arm64", json!(null)),
        ("--arch arm --variant v6", "arm", json!("v6")),
        ("--arch arm", "arm", json!("v7")),
        ("--arch armv7l", "arm", json!("v7")),
        ("--os linux --arch riscv64", "riscv64", json!(null)),
    ] {
        place.ok(&format!("pull {host}/synth:1 -o x.tar {flags}"));
        let config = config(&place.read("x.tar"));
        assert_eq!((&config["architecture"], &config["variant"]), (&json!(architecture), &variant), "{flags}");
    }
    place.ok(&format!("pull {host}/synth:1 -o oci:here"));
    assert!(manifest(&place, "here")["layers"].is_array());
    for (flags, cause) in [
        ("--arch s390x", "no image for linux/s390x: "),
        ("--os windows", "no image for windows/"),
        ("--arch arm --variant v5", "no image for linux/arm/v5: "),
    ] {
        let error = place.fail(&format!("pull {host}/synth:1 -o y.tar {flags}"));
        assert!(error.starts_with(&format!("error: {cause}")), "{error}");
        assert!(error.contains("linux/arm/v7, linux/arm/v6"), "{error}");
    }
}

/// A build on what was pulled is a build on the image: its layers keep their blobs.
#[test]
fn a_base_that_was_pulled() {
    let Some(registry) = Registry::start() else { return };
    let place = place();
    let host = registry.host();
    place.on_synth(&format!("push image.json {host}/base:1 --compression zstd --level 7"));
    place.ok(&format!("pull {host}/base:1 -o oci:base"));
    spec(
        &place,
        json!({"name": "above", "contents": [], "fromImage": "base", "extraCommands": "echo x > x", "includeStorePaths": false}),
    );
    let run = place.ok(&format!("push image.json {host}/above --mount-from base {}", root()));
    let [sent, mounted, _] = super::told(&run);
    let layers = manifest(&place, "base")["layers"].as_array().unwrap().len() as u64;
    assert_eq!((sent, mounted), (2, layers), "{}", run.stderr);
}
