//! The plan of the image before, read from the image: wherever it is, whatever says what its layers hold; the one that an
//! output replaces.

use super::place;
use crate::support::fake_registry::FakeRegistry;
use crate::support::http::Server;
use crate::support::registry::{root, spec};
use crate::support::{Place, synth};
use serde_json::{Value, json};
use std::sync::Arc;

fn registry() -> (Server, Arc<FakeRegistry>) {
    FakeRegistry::start(|_, _| None)
}

/// A place with an image of few layers in `old.tar`, and a spec that would have more.
fn few_then_many() -> Place {
    let place = Place::new();
    spec(&place, json!({"contents": synth().path("curl-8.0"), "maxLayers": 2}));
    place.on_synth("build image.json -o old.tar");
    spec(&place, json!({"contents": synth().path("curl-8.0"), "maxLayers": 50}));
    place
}

/// The diff IDs of an image.
#[track_caller]
fn diff_ids(place: &Place, image: &str) -> Value {
    let text = place.ok(&format!("inspect --json {image}")).text().to_owned();
    let summary: Value = serde_json::from_str(&text).unwrap();
    let image = summary.pointer("/images/0").unwrap_or(&summary);
    let ids = image["config"]["rootfs"]["diff_ids"].clone();
    assert!(ids.is_array(), "{text}");
    ids
}

#[test]
fn wherever_it_is() {
    let (place, (server, _held)) = (few_then_many(), registry());
    let expected = diff_ids(&place, "old.tar");
    place.on_synth("build image.json -o many.tar");
    assert_ne!(diff_ids(&place, "many.tar"), expected, "without a previous plan");
    place.ok("copy old.tar oci:old");
    place.ok("copy old.tar oci:two");
    place.on_synth("copy image.json oci:two --as other:2");
    place.ok("copy old.tar oci-archive:old.oci");
    place.ok(&format!("push old.tar {}/a:1", server.host()));
    let remote = format!("registry:{}/a:1", server.host());
    for previous in ["old.tar", "docker-archive:old.tar", "oci:old", "old", "two#synth:1", "old.oci", &remote] {
        place.on_synth(&format!("build image.json --previous {previous} -o kept.tar"));
        assert_eq!(diff_ids(&place, "kept.tar"), expected, "{previous}");
    }
    // The manifest and the config of an image of ours are enough.
    assert_eq!(server.count("GET", "/blobs/"), 1);
    let synth = synth();
    place.ok(&format!("closure --graph {} {} -o c.json", synth.graph.display(), synth.path("curl-8.0")));
    place.ok(&format!("layers c.json --max-layers 50 --previous {remote} -o one.json"));
    place.ok("layers c.json --max-layers 50 --previous old.tar -o two.json");
    assert_eq!(place.read("one.json"), place.read("two.json"));
    assert_eq!(place.json("one.json")["layers"].as_array().unwrap().len(), 1);
}

/// The image under the same name, in a registry, a layout and a file.
#[test]
fn the_one_that_is_replaced() {
    let (server, _held) = registry();
    let place = Place::new();
    let pushed = |limit: u32, flags: &str| {
        spec(&place, json!({"contents": synth().path("curl-8.0"), "maxLayers": limit}));
        place.on_synth(&format!("push image.json {}/a {flags}", server.host()));
        diff_ids(&place, &format!("registry:{}/a:1", server.host()))
    };
    let few = pushed(2, "--previous auto");
    assert_eq!(pushed(50, "--previous auto"), few);
    assert_ne!(pushed(50, ""), few);
    for output in ["x.tar", "oci:x", "oci-archive:x.oci"] {
        let built = |limit: u32, flags: &str| {
            spec(&place, json!({"contents": synth().path("curl-8.0"), "maxLayers": limit}));
            place.on_synth(&format!("build image.json {flags} -o {output}"));
            diff_ids(&place, output)
        };
        assert_eq!(built(2, "--previous auto"), few, "{output}");
        assert_eq!(built(50, "--previous auto"), few, "{output}");
    }
    let error = place.fail(&format!("build image.json --previous auto -o - {}", root()));
    assert!(error.starts_with("error: --previous auto: found -, expected an output that can be read\n"), "{error}");
}

/// What stands under the name may be something else, or for another platform; what is named may not.
#[test]
fn of_something_else() {
    let (server, _held) = registry();
    let place = place();
    place.on_synth("build image.json -o plain.tar");
    place.write("hello", "hello\n");
    place.ok("build --name synth --tag 1 --copy hello:/hello -o other.tar");
    place.ok(&format!("push other.tar {}/a:1", server.host()));
    place.on_synth(&format!("push image.json {}/a:1 --previous auto", server.host()));
    assert_eq!(diff_ids(&place, &format!("registry:{}/a:1", server.host())), diff_ids(&place, "plain.tar"));
    place.on_synth("build image.json --arch arm64 -o oci:multi");
    place.on_synth("build image.json --previous auto -o oci:multi");
    let error = place.fail(&format!("build image.json --previous other.tar -o x.tar {}", root()));
    assert_eq!(error, "error: no plan: other.tar: found no store path of /nix/store in its layers\n");
    let error =
        place.fail(&format!("build image.json --previous registry:{}/a:none -o x.tar {}", server.host(), root()));
    assert!(error.starts_with(&format!("error: not in the registry: {}/a:none", server.host())), "{error}");
    let synth = synth();
    place.ok(&format!("closure --graph {} {} -o c.json", synth.graph.display(), synth.path("curl-8.0")));
    let error = place.fail("layers c.json --max-layers 9 --previous auto -o p.json");
    assert!(error.starts_with("error: --previous auto: found a plan as output"), "{error}");
}

/// A registry whose image nobody describes: its layers are looked into.
#[test]
fn without_a_description() {
    let (server, held) = registry();
    let place = few_then_many();
    let expected = diff_ids(&place, "old.tar");
    place.ok("copy old.tar oci:old");
    let mut manifest = super::manifest(&place, "old");
    for layer in manifest["layers"].as_array_mut().unwrap() {
        layer.as_object_mut().unwrap().remove("annotations");
    }
    let mut config = super::blob_json(&place, "old", &manifest["config"]["digest"]);
    config.as_object_mut().unwrap().remove("history");
    let config = config.to_string();
    manifest["config"]["digest"] = format!("sha256:{}", crate::support::digest(config.as_bytes())).into();
    manifest["config"]["size"] = config.len().into();
    place.ok(&format!("push oci:old {}/a:1", server.host()));
    held.blobs.lock().unwrap().insert(manifest["config"]["digest"].as_str().unwrap().to_owned(), config.into());
    for (bytes, _) in held.manifests.lock().unwrap().values_mut() {
        *bytes = manifest.to_string().into();
    }
    place.on_synth(&format!("build image.json --previous registry:{}/a:1 -o kept.tar", server.host()));
    assert_eq!(diff_ids(&place, "kept.tar"), expected);
}
