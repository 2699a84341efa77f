//! `--digest-file` and `--metadata-file`: what was made, once it is made.

use crate::cache::store;
use crate::support::fake_registry::{FakeRegistry, named};
use crate::support::{Place, archive};
use serde_json::{Value, json};
use std::fs;

/// Flags for both files.
const FILES: &str = "--digest-file digest --metadata-file meta.json";

/// A place with an image spec, an archive of it and a layout of it.
fn place() -> Place {
    let place = store();
    place.ok("build x.json --root root --no-cache -o x.tar");
    place.ok("build x.json --root root --no-cache -o oci:lay");
    place
}

/// What both files say after a command: they are removed first, so that they were written by it.
#[track_caller]
fn written(place: &Place, line: &str) -> (String, Value) {
    for name in ["digest", "meta.json"] {
        let _ = fs::remove_file(place.join(name));
    }
    place.ok(&format!("{line} {FILES}"));
    let digest = String::from_utf8(place.read("digest")).unwrap();
    assert_eq!(digest.matches('\n').count(), 1, "{digest:?}");
    (digest.trim_end().to_owned(), place.json("meta.json"))
}

/// What `index.json` of a layout lists first.
fn listed(place: &Place, layout: &str) -> Value {
    place.json(&format!("{layout}/index.json"))["manifests"][0].clone()
}

/// The digest of the config of a manifest in a layout.
fn config_of(place: &Place, layout: &str, manifest: &str) -> Value {
    let digits = manifest.strip_prefix("sha256:").unwrap();
    place.json(&format!("{layout}/blobs/sha256/{digits}"))["config"]["digest"].clone()
}

#[test]
fn of_archives_the_image_id() {
    let place = place();
    let config = archive::manifest(&place.read("x.tar"))["Config"].as_str().unwrap().to_owned();
    let id = format!("sha256:{}", config.strip_suffix(".json").unwrap());
    let expected =
        json!({"containerimage.config.digest": id, "containerimage.digest": id, "image.name": "docker.io/library/x:1"});
    for line in [
        "build x.json --root root --no-cache -o y.tar",
        "image --spec x.json --root root --no-cache --no-check all -o y.tar",
        "copy oci:lay y.tar",
        "copy x.tar x.tar",
    ] {
        if line.starts_with("image") {
            place.ok("layer x.layers.json --root root --no-cache --all -o all");
            place.ok("root --spec x.json --root root -o all/root.layer.json --blob all/root.tar");
            let _ = fs::rename(place.join("all/root.layer.json"), place.join("all/999.layer.json"));
        }
        let (digest, meta) = written(&place, line);
        assert_eq!((&digest, &meta), (&id, &expected), "{line}");
    }
    // Beside an image on stdout.
    let _ = fs::remove_file(place.join("digest"));
    let run = place.ok(&format!("build x.json --root root --no-cache -o - {FILES}"));
    assert_eq!(run.stdout, place.read("x.tar"));
    assert_eq!(place.read("digest"), format!("{id}\n").as_bytes());
}

#[test]
fn of_layouts_and_registries_the_manifest() {
    let place = place();
    let (server, held) = FakeRegistry::start(|_, _| None);
    let host = server.host();
    let descriptor = listed(&place, "lay");
    let manifest = descriptor["digest"].as_str().unwrap().to_owned();
    let config = config_of(&place, "lay", &manifest);
    let check = |line: &str, name: &str| {
        let (digest, meta) = written(&place, line);
        assert_eq!(digest, manifest, "{line}");
        assert_eq!(meta["containerimage.digest"], *manifest, "{line}");
        assert_eq!(meta["containerimage.config.digest"], config, "{line}");
        assert_eq!(meta["image.name"], name, "{line}");
        let described = &meta["containerimage.descriptor"];
        for key in ["digest", "mediaType", "size"] {
            assert_eq!(described[key], descriptor[key], "{line}");
        }
        let keys: Vec<&String> = meta.as_object().unwrap().keys().collect();
        assert!(keys.is_sorted() && keys.len() == 4, "{keys:?}");
    };
    check("build x.json --root root --no-cache -o oci:new", "docker.io/library/x:1");
    check("build x.json --root root --no-cache -o oci-archive:new.tar", "docker.io/library/x:1");
    check(&format!("build x.json --root root --no-cache -o registry:{host}/a/b:7"), &format!("{host}/a/b:7"));
    check(&format!("push x.json {host}/a/c:8 --root root --no-cache"), &format!("{host}/a/c:8"));
    check(&format!("push oci:lay {host}/a/c:9"), &format!("{host}/a/c:9"));
    check(&format!("push oci:lay {host}/a/c:9 --all"), &format!("{host}/a/c:9"));
    check("copy oci:lay oci:other --as q:2", "docker.io/library/q:2");
    check(&format!("pull {host}/a/b:7 -o oci:pulled"), &format!("{host}/a/b:7"));
    assert_eq!(named(&held.manifests.lock().unwrap()["7"].0), manifest);
}

/// An index has a digest and no config.
#[test]
fn of_an_index() {
    let place = place();
    place.write("arm.json", json!({"name": "x", "tag": "1", "architecture": "arm64"}).to_string());
    place.write("both.json", json!({"name": "x", "tag": "1", "architectures": ["amd64", "arm64"]}).to_string());
    for (line, layout) in [
        ("index oci:lay arm.json --root root --no-cache -o oci:both", "both"),
        ("build both.json --root root --no-cache --no-check -o oci:built", "built"),
        ("copy oci:both oci:copied --all", "copied"),
    ] {
        let (digest, meta) = written(&place, line);
        let descriptor = listed(&place, layout);
        assert_eq!(
            (digest.as_str(), &meta["containerimage.digest"]),
            (descriptor["digest"].as_str().unwrap(), &descriptor["digest"])
        );
        assert_eq!(meta["containerimage.descriptor"]["mediaType"], "application/vnd.oci.image.index.v1+json", "{line}");
        assert!(meta.get("containerimage.config.digest").is_none(), "{line}: {meta}");
    }
}

/// After an error they are what they were, and what cannot be written is told before an image is.
#[test]
fn only_after_success() {
    let place = place();
    place.write("digest", "old");
    place.write("bad.json", json!({"name": "x", "contents": ["/nix/store/absent"]}).to_string());
    place.fail(&format!("build bad.json --root root --no-cache -o y.tar {FILES}"));
    place.fail("build x.json --root root --no-cache -o y.tar --digest-file absent/digest");
    place.fail("copy x.tar y.tar --metadata-file absent/meta.json");
    let script = json!({"name": "x", "tag": "1", "extraCommands": "exit 3"});
    place.write("script.json", script.to_string());
    place.fail(&format!("build script.json --root root --no-cache -o y.tar {FILES}"));
    assert_eq!(place.read("digest"), b"old");
    for line in ["build x.json --dry-run --digest-file d", "copy x.tar y.tar --digest-file -"] {
        let run = place.run(line);
        assert_eq!(run.code, Some(2), "{line}: {}", run.stderr);
    }
}

/// A build that changes nothing leaves them alone for build tools.
#[test]
fn left_alone_with_restat() {
    use std::os::unix::fs::MetadataExt;
    let place = place();
    let line = format!("build x.json --root root --no-cache --restat -o y.tar {FILES}");
    place.ok(&line);
    let inodes = || ["digest", "meta.json"].map(|name| place.join(name).metadata().unwrap().ino());
    let before = inodes();
    place.ok(&line);
    assert_eq!(inodes(), before);
}
