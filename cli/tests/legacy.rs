//! `--legacy`: what docker archives held before there was a manifest.json, checked with jshon, which dockerTools writes
//! it with, and with our own tarsum.

use crate::support::archive::{config, manifest, member, members};
use crate::support::{Place, digest, require_tool, synth};
use serde_json::{Value, json};
use std::io::Write;
use std::process::{Command, Stdio};

/// What jshon makes of a JSON text.
fn jshon(arguments: &[&str], text: &[u8]) -> Vec<u8> {
    let mut jshon = Command::new("jshon");
    let mut jshon = jshon.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    jshon.stdin.take().unwrap().write_all(text).unwrap();
    let output = jshon.wait_with_output().unwrap();
    assert!(output.status.success());
    output.stdout
}

/// Builds an image of these keys with legacy metadata, and its layers as the manifest names them.
fn build(place: &Place, keys: &Value, output: &str) -> Vec<String> {
    let mut spec = json!({"name": "registry.example:5000/Team/Legacy", "tag": "v1", "graph": synth().graph,
        "contents": synth().path("curl-8.0"), "config": {"Cmd": ["/bin/curl"], "Env": ["A=1"]}});
    spec.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    place.write("image.json", spec.to_string());
    place.ok(&format!("build image.json --root {} --legacy -o {output}", synth().root.display()));
    let layers = manifest(&place.read(output))["Layers"].as_array().unwrap().clone();
    layers.iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

/// Every layer's directory says what it must; the layers from `first` on are chained by `parent`.
#[track_caller]
fn check(place: &Place, output: &str, layers: &[String], first: usize) {
    let image = place.read(output);
    let mut below: Option<&str> = None;
    for (index, name) in layers.iter().enumerate() {
        let id = name.strip_suffix("/layer.tar").unwrap();
        let tar = member(&image, name);
        let text = member(&image, &format!("{id}/json"));
        let json: Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(member(&image, &format!("{id}/VERSION")), b"1.0");
        assert_eq!(json["id"], id);
        if index >= first {
            assert_eq!(json["Size"], tar.len());
            assert_eq!(json.get("parent").and_then(Value::as_str), below);
            place.write("layer.tar", &tar);
            assert_eq!(json["checksum"], place.ok("tarsum layer.tar").text().trim_end());
            assert_eq!(digest(&jshon(&["-d", "id", "-d", "Size"], &text)), id);
            assert_eq!(jshon(&[], &text), text);
        }
        below = Some(id);
    }
    let repositories = member(&image, "repositories");
    let (known, top) =
        (json!({"registry.example:5000/team/legacy": {"v1": below.unwrap()}}), jshon(&[], &repositories));
    assert_eq!(serde_json::from_slice::<Value>(&repositories).unwrap(), known);
    assert_eq!(repositories, top);
}

#[test]
fn layers_are_chained() {
    if !require_tool("jshon") {
        return;
    }
    let place = Place::new();
    let layers = build(&place, &json!({"kind": "single"}), "single.tar");
    assert_eq!(layers.len(), 1);
    check(&place, "single.tar", &layers, 0);
    let layers = build(&place, &json!({}), "layered.tar");
    assert_eq!(layers.len(), 5);
    check(&place, "layered.tar", &layers, 0);
    let text = member(&place.read("layered.tar"), &layers[4].replace("layer.tar", "json"));
    let json: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(json["config"], json!({"Cmd": ["/bin/curl"], "Env": ["A=1"]}));
}

/// A base's directories stay as they are; one that has none gets some.
#[test]
fn on_a_base() {
    if !require_tool("jshon") {
        return;
    }
    let place = Place::new();
    let below = build(&place, &json!({}), "base.tar");
    let keys = json!({"kind": "single", "fromImage": "base.tar", "extraCommands": "echo x > x"});
    let layers = build(&place, &keys, "image.tar");
    assert_eq!(layers[..5], below);
    check(&place, "image.tar", &layers, 0);
    for name in &below {
        let json = name.replace("layer.tar", "json");
        assert_eq!(member(&place.read("image.tar"), &json), member(&place.read("base.tar"), &json));
    }
    place.ok(&format!("build image.json --root {} -o plain.tar", synth().root.display()));
    let keys = json!({"fromImage": "plain.tar", "extraCommands": "echo y > y", "kind": "single"});
    let layers = build(&place, &keys, "again.tar");
    assert_eq!(layers.len(), 7);
    check(&place, "again.tar", &layers, 0);
    let base: Value =
        serde_json::from_slice(&member(&place.read("again.tar"), &layers[0].replace("layer.tar", "json"))).unwrap();
    assert_eq!(base.get("config"), None);
}

/// The image itself is the same with and without it, and so are its bytes on any number of threads.
#[test]
fn the_image_is_the_same() {
    let place = Place::new();
    build(&place, &json!({}), "legacy.tar");
    let root = synth().root.display();
    place.ok(&format!("build image.json --root {root} -o plain.tar"));
    assert_eq!(config(&place.read("legacy.tar")), config(&place.read("plain.tar")));
    place.ok(&format!("build image.json --root {root} --legacy -j1 -o alone.tar"));
    assert!(place.read("alone.tar") == place.read("legacy.tar"));
    let names: Vec<_> = members(&place.read("plain.tar")).into_iter().map(|member| member.name).collect();
    assert!(!names.contains(&b"repositories".to_vec()));
}

/// A root's layer alone, as dockerTools' mkPureLayer leaves it: its metadata are those of the image and the tarsum.
#[test]
fn metadata_beside_a_root() {
    if !require_tool("jshon") {
        return;
    }
    let place = Place::new();
    let base = br#"{"config":{"Cmd":["/bin/curl"]},"os":"linux","created":"1970-01-01T00:00:01Z"}"#;
    place.write("base.json", base);
    let line = format!("root --contents {} --root {}", synth().path("curl-8.0"), synth().root.display());
    place.ok(&format!("{line} --legacy base.json -o root.layer.json --blob layer.tar"));
    let sum = place.ok("tarsum layer.tar");
    assert_eq!(place.read("VERSION"), b"1.0");
    assert!(place.read("json") == jshon(&["-s", sum.text().trim_end(), "-i", "checksum"], base));
    place.write("base.json", "[]");
    let told = place.run(&format!("{line} --legacy base.json -o root.layer.json --blob layer.tar")).stderr;
    assert!(told.starts_with("error: not a JSON object: base.json: "), "{told}");
}
