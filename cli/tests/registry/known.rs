//! Layers of an image that is there already: what would be made the same way is neither read nor compressed; what is not said,
//! or is said of something else, is made.

use crate::cache::{path, store};
use crate::support::fake_registry::FakeRegistry;
use crate::support::{Place, digest};
use serde_json::{Value, json};
use std::fs;

/// The annotation of a layer.
const MADE: &str = "io.layerstone.made";

/// What a layer holds is changed under its name: only who reads it notices.
fn change(place: &Place, name: &str) {
    place.write(&format!("root{}/bin/{name}", path(name)), name.to_uppercase());
}

/// The digests of the layers of the image of a layout, of which these are none of a new build.
#[track_caller]
fn layers(place: &Place, layout: &str) -> Vec<Value> {
    let manifest = super::manifest(place, layout);
    manifest["layers"].as_array().unwrap().iter().map(|layer| layer["digest"].clone()).collect()
}

/// Layouts built with these flags: nothing is read by a build that knows the image before, wherever that is.
#[test]
fn nothing_is_read_again() {
    let (server, _held) = FakeRegistry::start(|_, _| None);
    let (place, host) = (store(), server.host());
    let build = |to: &str, flags: &str| place.ok(&format!("build x.json --root root --no-cache -o {to} {flags}"));
    let image = format!("registry:{host}/x:1");
    build(&image, "--known auto");
    build("oci:first", "--known auto");
    let first = layers(&place, "first");
    let plain = super::manifest(&place, "first")["layers"][0]["annotations"][MADE].clone();
    assert!(plain.as_str().unwrap().ends_with(first[0].as_str().unwrap()), "{plain}");
    ["libc", "lib", "app"].into_iter().for_each(|name| change(&place, name));
    let sent = server.count("PUT", "");
    build(&image, "--known auto");
    assert_eq!(server.count("PUT", ""), sent, "the manifest is what it was");
    build("oci:first", "--known auto");
    assert_eq!(layers(&place, "first"), first);
    place.ok("copy oci:first oci-archive:first.oci");
    for known in ["oci:first", "first.oci", &image] {
        // To where the blobs are: whoever has none must make them, and they are others now.
        build("oci:first", &format!("--known {known}"));
        assert_eq!(layers(&place, "first"), first, "{known}");
        let run = place.run(&format!("build x.json --root root --no-cache -o oci:new --known {known}"));
        assert_eq!(run.code, Some(1), "{known}");
        assert!(run.stderr.contains("error: wrong blob: "), "{}", run.stderr);
        let _ = fs::remove_dir_all(place.join("new"));
    }
    build("oci:read", "");
    assert!(layers(&place, "read").iter().zip(&first).any(|(read, first)| read != first));
    assert_eq!(super::manifest(&place, "read")["layers"][0]["annotations"][MADE], Value::Null);
    // Nor is it believed by who verifies.
    place.ok("build x.json --root root --no-cache -o oci:first --known auto --verify-cache --tag 2");
    assert_eq!(layers(&place, "first"), layers(&place, "read"));
}

/// All that decides a layer's bytes: what is made otherwise is read.
#[test]
fn what_is_made_otherwise() {
    let place = store();
    let build = |to: &str, flags: &str| place.ok(&format!("build x.json --root root --no-cache -o oci:{to} {flags}"));
    build("known", "--known auto");
    ["libc", "lib", "app"].into_iter().for_each(|name| change(&place, name));
    let spec = |more: Value| {
        let mut spec = json!({"name": "x", "tag": "1", "contents": [path("app")], "graph": "graph.json"});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        place.write("x.json", spec.to_string());
    };
    let others = [
        "--compression zstd",
        "--compression zstd:chunked",
        "--compression none",
        "--compression gzip --level 9",
        "--mtime 2",
        "--uid 7",
        "--xattrs",
    ];
    for flags in others {
        build("one", &format!("--known known {flags}"));
        build("two", flags);
        assert_eq!(layers(&place, "one"), layers(&place, "two"), "{flags}");
        ["one", "two"].into_iter().for_each(|layout| fs::remove_dir_all(place.join(layout)).unwrap());
    }
    // Without NAR hashes names count for who says so, and otherwise in a store that nobody can write to.
    spec(json!({"graph": "bare.json"}));
    build("bare", "--known auto");
    let bare = layers(&place, "bare");
    assert_eq!(super::manifest(&place, "bare")["layers"][0]["annotations"][MADE], Value::Null);
    build("named", "--known auto --cache-trust-names");
    ["libc", "lib", "app"]
        .into_iter()
        .for_each(|name| drop(place.write(&format!("root{}/bin/{name}", path(name)), "other")));
    build("named", "--known auto --cache-trust-names");
    assert_eq!(layers(&place, "named"), bare);
    build("bare", "--known auto");
    assert_ne!(layers(&place, "bare"), bare);
}

/// Another NAR hash is another path; the layers without it stay.
#[test]
fn one_path_that_changed() {
    let place = store();
    let build = |flags: &str| place.ok(&format!("build x.json --root root --no-cache -o oci:x --known auto {flags}"));
    build("--previous auto");
    let before = layers(&place, "x");
    ["libc", "lib", "app"].into_iter().for_each(|name| change(&place, name));
    let mut graph = place.json("graph.json");
    for info in graph.as_array_mut().unwrap() {
        if info["path"] == path("app") {
            info["narHash"] = format!("sha256:{}", digest(b"another")).into();
        }
    }
    place.write("graph.json", graph.to_string());
    build("--previous auto");
    let after = layers(&place, "x");
    let changed = before.iter().zip(&after).filter(|(before, after)| before != after).count();
    assert_eq!((before.len(), after.len(), changed), (4, 4, 1));
}

/// Annotations that are damaged, of another blob, or of an image that somebody else made, say nothing; nor does a manifest
/// whose config has other layers.
#[test]
fn what_others_say() {
    let (server, held) = FakeRegistry::start(|_, _| None);
    let (place, host) = (store(), server.host());
    let build = |to: &str, known: &str| {
        let run = place.run(&format!("build x.json --root root --no-cache -o oci:{to} --known {known}"));
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        let found = layers(&place, to);
        fs::remove_dir_all(place.join(to)).unwrap();
        found
    };
    let image = format!("registry:{host}/x:1");
    place.ok(&format!("build x.json --root root --no-cache -o {image} --known auto"));
    ["libc", "lib", "app"].into_iter().for_each(|name| change(&place, name));
    place.ok("build x.json --root root --no-cache -o oci:read");
    let read = layers(&place, "read");
    let edit = |change: &dyn Fn(&mut Value)| {
        let mut manifests = held.manifests.lock().unwrap();
        let (bytes, _) = manifests.iter().find(|(name, _)| name.ends_with("1")).map(|(_, held)| held.clone()).unwrap();
        let mut manifest: Value = serde_json::from_slice(&bytes).unwrap();
        change(&mut manifest);
        manifests.values_mut().for_each(|(bytes, _)| *bytes = manifest.to_string().into());
        bytes
    };
    let each = |manifest: &mut Value, change: &dyn Fn(&mut Value)| {
        manifest["layers"].as_array_mut().unwrap().iter_mut().for_each(change);
    };
    let zeros = format!("sha256:{}", "0".repeat(64));
    let changes: [&dyn Fn(&mut Value); 6] = [
        &|layer| layer["annotations"][MADE] = "".into(),
        &|layer| layer["annotations"][MADE] = layer["annotations"][MADE].as_str().unwrap_or("")[1..].into(),
        &|layer| layer["annotations"][MADE] = format!("{zeros} 1 {zeros}").into(),
        &|layer| layer["digest"] = zeros.clone().into(),
        &|layer| layer["mediaType"] = "application/vnd.docker.image.rootfs.diff.tar.gzip".into(),
        &|layer| drop(layer.as_object_mut().unwrap().remove("annotations")),
    ];
    for (number, change) in changes.into_iter().enumerate() {
        let only_ours = |layer: &mut Value| {
            if layer["annotations"][MADE].is_string() {
                change(layer);
            }
        };
        let before = edit(&|manifest| each(manifest, &only_ours));
        assert_eq!(build("new", &image), read, "{number}");
        held.manifests.lock().unwrap().values_mut().for_each(|(bytes, _)| bytes.clone_from(&before));
    }
    let before = edit(&|manifest| drop(manifest["layers"].as_array_mut().unwrap().pop()));
    assert_eq!(build("new", &image), read, "a layer less than diff IDs");
    held.manifests.lock().unwrap().values_mut().for_each(|(bytes, _)| bytes.clone_from(&before));
    // Compressed anew, nothing is said of it.
    place.ok(&format!("copy {image} oci:zstd --compression zstd"));
    assert_eq!(super::manifest(&place, "zstd")["layers"][0]["annotations"][MADE], Value::Null);
    // Of nobody's image, and of an archive without a manifest.
    place.write("hello", "hello\n");
    place.ok("build --name other --copy hello:/hello -o other.tar");
    place.ok("copy other.tar oci:other");
    for known in ["other.tar", "oci:other"] {
        assert_eq!(build("new", known), read, "{known}");
    }
    // A base keeps what is said of its layers, and they are known no less.
    let base =
        json!({"name": "top", "tag": "1", "contents": [path("app")], "graph": "graph.json", "fromImage": "oci:other"});
    place.write("x.json", base.to_string());
    place.ok("build x.json --root root --no-cache -o oci:based --known auto");
    let based = layers(&place, "based");
    ["libc", "lib", "app"]
        .into_iter()
        .for_each(|name| drop(place.write(&format!("root{}/bin/{name}", path(name)), "other")));
    place.ok("build x.json --root root --no-cache -o oci:based --known auto");
    assert_eq!(layers(&place, "based"), based);
}

#[test]
fn what_is_none() {
    let (server, _held) = FakeRegistry::start(|_, _| None);
    let place = store();
    let error = |line: &str| place.fail(&format!("build x.json --root root {line}"));
    let told = error("--known x.layers.json -o x.tar");
    let expected = "error: --known: found no image at x.layers.json, expected one, or auto\n\
         hint: images are archives, OCI layouts and places such as registry:HOST/NAME:TAG\n";
    assert_eq!(told, expected);
    assert!(
        error("--known auto -o -").starts_with("error: --known auto: found -, expected an output that can be read\n")
    );
    let missing = format!("{}/x:none", server.host());
    assert!(
        error(&format!("--known registry:{missing} -o x.tar"))
            .starts_with(&format!("error: not in the registry: {missing}"))
    );
    place.ok("build x.json --root root -o x.tar");
    assert!(
        place.fail("copy x.tar oci:x --known auto").starts_with("error: --known: found no image.json, expected one")
    );
}
