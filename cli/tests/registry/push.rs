//! What a push sends: all at first, nothing again, and what is new after a change.

use super::{place, told};
use crate::support::faulty::FaultyRegistry;
use crate::support::registry::{Registry, root, spec};
use crate::support::{Place, digest};
use serde_json::json;

#[test]
fn first() {
    let Some(registry) = Registry::start() else { return };
    let place = place();
    let host = registry.host();
    let run = place.on_synth(&format!("push image.json {host}/team/synth"));
    // The tag is the image's own, and what is printed is what the registry has.
    let shown = registry.inspect("team/synth:1", "--raw");
    let bytes = shown.to_string();
    let inspected = registry.inspect("team/synth:1", "--no-tags");
    assert_eq!(run.text(), format!("{host}/team/synth:1@{}\n", inspected["Digest"].as_str().unwrap()));
    let layers = shown["layers"].as_array().unwrap();
    assert_eq!(told(&run), [layers.len() as u64 + 1, 0, 0], "{bytes}");
    for layer in layers {
        assert_eq!(layer["mediaType"], "application/vnd.oci.image.layer.v1.tar+gzip");
    }
    assert_eq!(registry.uploads("team/synth"), 0);
}

/// By an image.json, by an archive, by a layout: what is there is not sent again, not even the manifest.
#[test]
fn nothing_is_sent_twice() {
    let Some(registry) = Registry::start() else { return };
    let place = place();
    let to = format!("{}/synth:1", registry.host());
    let first = place.on_synth(&format!("push image.json {to}"));
    let [count, ..] = told(&first);
    place.on_synth("build image.json -o oci:layout");
    for image in ["image.json", "oci:layout", "image.json --state state", "image.json --state state"] {
        let again = place.on_synth(&format!("push {image} {to}"));
        assert_eq!(told(&again), [0, 0, count], "{image}");
        assert!(!again.stderr.contains("manifest"), "{}", again.stderr);
        assert_eq!(again.text(), first.text());
    }
}

/// With a state, a change of one path sends the layer that holds it, the customisation layer and the config; nothing else
/// is even read: the other paths may be gone.
#[test]
fn after_a_change() {
    let Some(registry) = Registry::start() else { return };
    let place = Place::new();
    let synth = crate::support::synth();
    spec(&place, json!({"contents": synth.path("bash-5.2")}));
    let line = format!("push image.json {}/synth --state state", registry.host());
    let first = place.on_synth(&line);
    let [all, ..] = told(&first);
    spec(&place, json!({"contents": [synth.path("bash-5.2")], "tag": "2", "extraCommands": "echo new > new"}));
    let second = place.on_synth(&line);
    assert_eq!(told(&second), [2, 0, all - 2], "the customisation layer and the config");
    // Another store where the closure's paths are empty: what is known is not looked at.
    let store = place.join("other");
    for path in synth.paths() {
        std::fs::create_dir_all(store.join(&path[1..])).unwrap();
    }
    let line = format!("push image.json {}/synth:3 --state state", registry.host());
    spec(&place, json!({"contents": [], "config": {"Cmd": [format!("{}/bin/bash", synth.path("bash-5.2"))]}}));
    let third = place.ok(&format!("{line} --root {}", store.display()));
    assert!(told(&third)[0] <= 2, "{}", third.stderr);
    // Without a state they are looked at, and are other layers.
    let fourth = place.ok(&format!("push image.json {}/synth:4 --root {}", registry.host(), store.display()));
    assert!(told(&fourth)[0] > 2, "{}", fourth.stderr);
}

/// What a state says of a layer which the store no longer gives is found out when its bytes are asked for.
#[test]
fn a_state_that_is_wrong() {
    let Some(registry) = Registry::start() else { return };
    let place = place();
    place.on_synth(&format!("push image.json {}/synth --state state", registry.host()));
    let name = "state/000.layer.json";
    let mut layer = place.json(name);
    layer["descriptor"]["digest"] = format!("sha256:{}", digest(b"another")).into();
    place.write(name, layer.to_string());
    let run = place.run(&format!("push image.json {}/other --state state {}", registry.host(), root()));
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    assert!(run.stderr.contains("error: wrong blob: "), "{}", run.stderr);
    assert_eq!(registry.uploads("other"), 0);
    assert!(!registry.data().join("repositories/other/_manifests").exists());
}

#[test]
fn mounts() {
    let Some(registry) = Registry::start() else { return };
    let place = place();
    let host = registry.host();
    let [count, ..] = told(&place.on_synth(&format!("push image.json {host}/one")));
    let run = place.on_synth(&format!("push image.json {host}/two --mount-from none/such --mount-from one"));
    assert_eq!(told(&run), [0, count, 0]);
    let run = place.ok(&format!("copy registry:{host}/two:1 registry:{host}/three"));
    assert_eq!(told(&run), [0, count, 0]);
    for name in ["two", "three"] {
        assert_eq!(registry.inspect(&format!("{name}:1"), "--raw"), registry.inspect("one:1", "--raw"));
        assert_eq!(registry.uploads(name), 0);
    }
}

/// `build` and `image` write to a registry as `push` does.
#[test]
fn stages() {
    let Some(registry) = Registry::start() else { return };
    let place = place();
    let (host, synth) = (registry.host(), crate::support::synth());
    let built = place.on_synth(&format!("build image.json -o registry:{host}/built"));
    place.on_synth("root --spec image.json -o root.layer.json --blob root.tar");
    place.ok(&format!(
        "closure --graph {} --spec image.json --layer root.layer.json -o x.closure.json {}",
        synth.graph.display(),
        root()
    ));
    place.ok("layers x.closure.json --max-layers 99 -o x.layers.json");
    place.on_synth("layer x.layers.json --spec image.json --all -o layers --compression gzip");
    let mut files: Vec<String> =
        place.listing_of(&["layers"]).into_keys().map(|path| path.display().to_string()).collect();
    files.retain(|path| path.ends_with(".json"));
    let line = format!("image --spec image.json {} root.layer.json -o registry:{host}/staged", files.join(" "));
    let staged = place.on_synth(&line);
    let digest = |run: &crate::support::Run| run.text().split_once('@').unwrap().1.to_owned();
    assert_eq!(digest(&staged), digest(&built));
}

#[test]
fn bad_references() {
    let place = place();
    for (reference, cause) in [
        ("host/Name", "not an image in a registry: \"host/Name\""),
        ("host/name:", "not an image in a registry"),
        ("host/name@sha256:00", "expected @sha256: and 64 lower-case hexadecimal digits"),
    ] {
        let error = place.fail(&format!("push image.json {reference}"));
        assert!(error.contains(cause), "{error}");
    }
    let hex = "0".repeat(64);
    let error = place.fail(&format!("push image.json host/name@sha256:{hex}"));
    assert!(error.contains("found a digest, expected HOST/NAME:TAG to push to"), "{error}");
    place.write("file.tar", "x");
    for (line, expected) in [
        ("push image.json app:1", "no registry: app:1: expected HOST/NAME:TAG to write to\nhint: docker.io/USER/app:1"),
        ("build image.json -o registry:app", "no registry: app: expected HOST/NAME:TAG to write to"),
        ("push image.json localhost:5000", "not an image in a registry: \"localhost:5000\": found no name, expected "),
        ("copy file.tar registry:r.example:5000", "\"r.example:5000\": found no name, expected HOST/NAME:TAG\n"),
        ("pull file.tar -o x.tar", "found no name, expected HOST/NAME:TAG\nhint: `layerstone copy file.tar PLACE`"),
        ("push host.invalid/a:1 file.tar", "found the file file.tar in place of HOST/NAME:TAG, expected IMAGE before"),
    ] {
        let error = place.fail(line);
        assert!(error.contains(expected), "{line}: {error}");
    }
    let error = place.fail("push file.tar host.invalid/name:1 --retries 0");
    assert!(error.starts_with("error: cannot reach: host.invalid: cannot resolve the name: "), "{error}");
}

/// What a registry has because it has a manifest that lists it is not asked for: none of an image that stayed, and of one
/// that changed nothing that the image of the same tag has.
#[test]
fn nothing_is_asked_for_twice() {
    let registry = FaultyRegistry::start(&[], None, false);
    let place = Place::new();
    spec(&place, json!({}));
    let push = |tag: &str| {
        let before = registry.count("HEAD", "/blobs/");
        place.ok(&format!("push image.json {}/x:{tag} --cache cache {}", registry.host(), root()));
        registry.count("HEAD", "/blobs/") - before
    };
    let first = push("1");
    assert!(first >= 4, "{first}");
    assert_eq!(push("1"), 0);
    // Under a new tag it is the manifest that is there.
    assert_eq!(push("2"), 0);
    // Another command is another config, and no other layer.
    spec(&place, json!({"config": {"Cmd": ["/bin/bash", "-l"]}}));
    assert_eq!(push("1"), 1);
    // Nothing is known of what a new tag replaces.
    spec(&place, json!({"config": {"Cmd": ["/bin/bash", "-i"]}}));
    assert_eq!(push("3"), first);
}
