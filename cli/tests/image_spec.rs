//! Every image that is written follows the OCI image specification, clause by clause; and the checks can fail.

use crate::support::Place;
use crate::support::image_spec::{Blobs, Kind, broken, broken_archive, broken_layout};
use crate::support::registry::{Registry, root, spec};
use serde_json::{Value, json};
use std::fs;

const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
const IMAGE_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// What is not broken: every key that a clause is about is there.
fn whole(kind: Kind) -> Value {
    let descriptor = json!({
        "mediaType": IMAGE_MANIFEST, "digest": DIGEST, "size": 0, "urls": ["https://example.org/a?b=c"],
        "annotations": {"org.opencontainers.image.ref.name": "team/web:1.0--rc@x", "a": ""}, "data": "aGk=",
        "artifactType": "application/vnd.x+json", "platform": whole_platform(),
    });
    let with_type = |media_type: &str| {
        let mut typed = descriptor.clone();
        typed["mediaType"] = json!(media_type);
        typed
    };
    match kind {
        Kind::Layout => json!({"imageLayoutVersion": "1.0.0"}),
        Kind::Index => json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "artifactType": "a/b",
            "manifests": [descriptor], "subject": descriptor, "annotations": {"a": "b"},
        }),
        Kind::Manifest => json!({
            "schemaVersion": 2, "mediaType": IMAGE_MANIFEST, "artifactType": "a/b", "subject": descriptor,
            "config": with_type("application/vnd.oci.image.config.v1+json"), "annotations": {"a": "b"},
            "layers": [with_type("application/vnd.oci.image.layer.v1.tar+gzip")],
        }),
        Kind::Config => json!({
            "created": "2024-05-01T12:00:00.5+02:00", "author": "a", "architecture": "arm", "os": "linux",
            "os.version": "1", "os.features": ["x"], "variant": "v7",
            "config": {
                "User": "1:1", "WorkingDir": "/", "StopSignal": "SIGTERM", "ExposedPorts": {"80/tcp": {}, "81": {}},
                "Volumes": {"/x": {}}, "Env": ["A=b=c", "B="], "Entrypoint": ["/x"], "Cmd": [], "Labels": {"a": "b"},
            },
            "rootfs": {"type": "layers", "diff_ids": [DIGEST]}, "history": [whole(Kind::History)],
        }),
        Kind::Descriptor => descriptor,
        Kind::Platform => whole_platform(),
        Kind::History => json!({
            "created": "1970-01-01T00:00:01Z", "author": "a", "created_by": "b", "comment": "c", "empty_layer": true,
        }),
    }
}

fn whole_platform() -> Value {
    json!({"architecture": "arm64", "os": "linux", "os.version": "1", "os.features": ["x"], "variant": "v8"})
}

/// One row: a document of this kind with these values at this place (null: nothing there) breaks the clause of this rule.
type Row = (Kind, &'static str, Value, &'static str);

fn rows() -> Vec<Row> {
    use Kind::{Config, Descriptor, History, Index, Layout, Manifest, Platform};
    let maps = "annotations map text to text";
    let texts = "if there, are text";
    let artifact = "artifactType, if there, is a media type";
    vec![
        (Layout, "", json!([[1]]), "oci-layout is an object"),
        (Layout, "/imageLayoutVersion", json!([null, "1", 1]), "imageLayoutVersion is 1.0.0"),
        (Index, "/schemaVersion", json!([null, 1, "2", 2.5]), "schemaVersion is 2"),
        (Index, "/mediaType", json!([IMAGE_MANIFEST, 1]), "mediaType, if there, is that of an index"),
        (Index, "/artifactType", json!(["a", 1]), artifact),
        (Index, "/manifests", json!([null, {}, [1]]), "manifests is a list of objects"),
        (Index, "/subject", json!([1]), "subject, if there, is an object"),
        (Index, "/annotations", json!([[1], {"a": 1}]), maps),
        (Manifest, "/schemaVersion", json!([null, 1]), "schemaVersion is 2"),
        (Manifest, "/mediaType", json!(["a/b"]), "mediaType, if there, is that of a manifest"),
        (Manifest, "/artifactType", json!(["a/b c"]), artifact),
        (Manifest, "/config", json!([null, "x"]), "config is an object"),
        (Manifest, "/layers", json!([null, [], [1]]), "layers is a list of objects, not empty"),
        (Manifest, "/layers/0/mediaType", json!(["application/vnd.oci.image.layer.v1.zip"]), "a media type of layers"),
        (Manifest, "/subject", json!([1]), "subject, if there, is an object"),
        (Manifest, "/annotations", json!([{"a": null}]), maps),
        (Descriptor, "/mediaType", json!([null, "text", "a/", "/b", "a/b/c", "-a/b", "a/b c"]), "mediaType is a media"),
        (
            Descriptor,
            "/digest",
            json!([null, "sha256:", "sha256:E3", "md5", "SHA256:ab", ":ab", "sha256:e3b0", "a+:b", "x:a/b"]),
            "digest is a digest",
        ),
        (Descriptor, "/size", json!([null, -1, 1.5, "1", 9_223_372_036_854_775_808_u64]), "size is a number of bytes"),
        (Descriptor, "/urls", json!(["https://a", [1], ["no uri"], ["1:a"]]), "urls, if there, is a list of URIs"),
        (Descriptor, "/annotations", json!([{"a": 1}, "a"]), maps),
        (
            Descriptor,
            "/annotations/org.opencontainers.image.ref.name",
            json!(["", "a b", "/a", "a/", "a---b", "-a", "ü"]),
            "the name follows its grammar",
        ),
        (Descriptor, "/data", json!([1, "a", "a===", "a%=="]), "data, if there, is base 64"),
        (Descriptor, "/artifactType", json!(["x"]), artifact),
        (Descriptor, "/platform", json!(["linux"]), "platform, if there, is an object"),
        (Platform, "/architecture", json!([null, 1]), "architecture is text"),
        (Platform, "/os", json!([null, 1]), "os is text"),
        (Platform, "/variant", json!([1]), texts),
        (Platform, "/os.features", json!(["x", [1]]), "os.features, if there, is a list of texts"),
        (
            Config,
            "/created",
            json!(["now", "2024-05-01", "2024-05-01T12:00:00", "2024-13-01T00:00:00Z", "2024-05-01T12:00:00.Z", 1]),
            "created, if there, is a date and time of RFC 3339",
        ),
        (Config, "/author", json!([1]), "author, if there, is text"),
        (Config, "/architecture", json!([null, 1]), "architecture is text"),
        (Config, "/os", json!([null, []]), "os is text"),
        (Config, "/os.version", json!([1]), texts),
        (Config, "/os.features", json!(["x"]), "os.features, if there, is a list of texts"),
        (Config, "/config", json!(["x", []]), "config, if there, is an object"),
        (Config, "/config/User", json!([0]), "these are text"),
        (Config, "/config/ExposedPorts", json!([["80"], {"x": {}}, {"80/udp": 1}, {"80/x": {}}]), "each is port"),
        (Config, "/config/Volumes", json!([["/x"], {"/x": null}, {"/x": {"a": 1}}]), "each is an empty object"),
        (Config, "/config/Env", json!(["A=b", {"A": "b"}, ["A"], ["=b"], [1]]), "each is VARNAME=VARVALUE"),
        (Config, "/config/Cmd", json!(["/bin/x", [1]]), "these are lists of texts"),
        (Config, "/config/Labels", json!([["a"], {"a": 1}]), "labels map text to text"),
        (Config, "/rootfs", json!([null, []]), "rootfs is an object"),
        (Config, "/rootfs/type", json!([null, "layer"]), "type is layers"),
        (Config, "/rootfs/diff_ids", json!([null, "x", ["x"]]), "diff_ids is a list of digests"),
        (Config, "/history", json!([{}, [1]]), "history, if there, is a list of objects"),
        (History, "/created", json!(["1970-01-01 00:00:01"]), "created, if there, is a date and time of RFC 3339"),
        (History, "/comment", json!([1]), "these are text"),
        (History, "/empty_layer", json!(["true"]), "empty_layer, if there, is true or false"),
    ]
}

/// The document with another value at a place, or without what is there.
fn changed(mut document: Value, place: &str, value: &Value) -> Value {
    let (parent, key) = place.rsplit_once('/').unwrap_or(("", ""));
    match document.pointer_mut(parent) {
        _ if place.is_empty() => return value.clone(),
        Some(Value::Object(keys)) if value.is_null() => drop(keys.remove(key)),
        Some(Value::Object(keys)) => drop(keys.insert(key.to_owned(), value.clone())),
        _ => *document.pointer_mut(place).unwrap() = value.clone(),
    }
    document
}

/// Each clause holds of a whole document and is broken, and named, by each document of its row.
#[test]
fn every_clause_can_be_broken() {
    for kind in Kind::ALL {
        assert_eq!(broken(kind, &whole(kind), "whole"), [""; 0], "{kind:?}");
        for clause in kind.clauses() {
            let is_row = |row: &&Row| row.0 == kind && clause.rule.contains(row.3);
            assert!(rows().iter().any(|row| is_row(&row)), "no row breaks {kind:?}: {}", clause.rule);
        }
    }
    for (kind, place, values, rule) in rows() {
        for value in values.as_array().unwrap() {
            let found = broken(kind, &changed(whole(kind), place, value), "changed");
            assert!(found.iter().any(|it| it.contains(rule)), "{kind:?} {place} {value}: {rule}: {found:?}");
        }
    }
    let mut empty = whole(Kind::Manifest);
    empty["config"]["mediaType"] = json!("application/vnd.oci.empty.v1+json");
    assert_eq!(broken(Kind::Manifest, &empty, "empty"), [""; 0]);
    let found = broken(Kind::Manifest, &changed(empty, "/artifactType", &Value::Null), "empty");
    assert!(found.iter().any(|it| it.contains("with an empty config")), "{found:?}");
    // A part is found wherever it stands.
    let found = broken(Kind::Index, &changed(whole(Kind::Index), "/manifests/0/platform/os", &Value::Null), "index");
    assert!(found[0].starts_with("index manifests[0] platform[0]: os is text"), "{found:?}");
}

/// A place with an image of each kind that a table of outputs needs.
fn place() -> Place {
    let place = Place::new();
    spec(
        &place,
        json!({
            "annotations": {"a": "b"}, "labels": {"l": "1"}, "created": "20240501",
            "config": {"Cmd": ["/bin/bash"], "Env": ["A=b"], "ExposedPorts": {"80/tcp": {}}, "User": "0"},
        }),
    );
    place
}

/// What is wrong between documents is found too.
#[test]
fn damaged_layouts_are_found() {
    let place = place();
    place.ok(&format!("build image.json -o oci:layout {}", root()));
    assert_eq!(broken_layout(&place.join("layout")), [""; 0]);
    let index = place.json("layout/index.json");
    let file = |digest: &Value| format!("layout/blobs/sha256/{}", digest.as_str().unwrap().split_once(':').unwrap().1);
    let listed = index["manifests"][0]["digest"].clone();
    let manifest = place.json(&file(&listed));
    let [layer, config] = [&manifest["layers"][0]["digest"], &manifest["config"]["digest"]].map(file);
    let larger = changed(index.clone(), "/manifests/0/size", &json!(1)).to_string();
    for (name, bytes, expected) in [
        ("layout/oci-layout".to_owned(), None, "oci-layout: exists"),
        ("layout/oci-layout".to_owned(), Some(b"{}".to_vec()), "imageLayoutVersion is 1.0.0"),
        ("layout/index.json".to_owned(), None, "index.json: exists"),
        ("layout/index.json".to_owned(), Some(b"x".to_vec()), "index.json: is JSON"),
        ("layout/index.json".to_owned(), Some(larger.into_bytes()), "the blob has its size"),
        (layer.clone(), None, "the blob is there"),
        (layer, Some(b"x".to_vec()), "the blob has its digest"),
        (config, None, "the blob is there"),
        (file(&listed), None, "the blob is there"),
        ("layout/blobs/sha256/x".to_owned(), Some(b"x".to_vec()), "the blob has its digest"),
    ] {
        let before = fs::read(place.join(&name)).ok();
        match &bytes {
            None => fs::remove_file(place.join(&name)).unwrap(),
            Some(bytes) => fs::write(place.join(&name), bytes).unwrap(),
        }
        let found = broken_layout(&place.join("layout"));
        assert!(found.iter().any(|it| it.contains(expected)), "{name} {expected}: {found:?}");
        match before {
            None => fs::remove_file(place.join(&name)).unwrap(),
            Some(before) => fs::write(place.join(&name), before).unwrap(),
        }
    }
    assert_eq!(broken_layout(&place.join("layout")), [""; 0]);
}

/// What every command writes into layouts and archives of them.
#[test]
fn layouts_and_archives() {
    let place = place();
    let run = |line: &str| drop(place.ok(&format!("{line} {}", root())));
    let synth = crate::support::synth();
    let architectures = json!(["x86_64-linux", {"architecture": "armv7l-linux"}]);
    place.write("single.json", changed(place.json("image.json"), "/kind", &json!("single")).to_string());
    place.write("several.json", changed(place.json("image.json"), "/architectures", &architectures).to_string());
    let arm = changed(place.json("image.json"), "/architecture", &json!("aarch64"));
    place.write("arm.json", arm.to_string());
    for (number, line) in [
        "build image.json -o",
        "build image.json --compression zstd -o",
        "build image.json --compression none -o",
        "build single.json -o",
        "build several.json -o",
        "build image.json --include-nix-db -o",
        "build image.json --created 2024-05-01T12:00+02:00 -o",
    ]
    .into_iter()
    .enumerate()
    {
        run(&format!("{line} oci:{number}"));
        run(&format!("{line} oci-archive:{number}.tar"));
    }
    run("build image.json -o x.tar");
    run("build arm.json -o arm.tar");
    let bare = |line: &str| drop(place.ok(line));
    bare("copy x.tar oci:copied");
    bare("copy x.tar oci-archive:copied.tar --compression zstd");
    bare("copy oci:4 oci:whole");
    bare("index x.tar arm.tar --as x:1 -o oci:indexed");
    bare("index x.tar arm.tar --as x:1 -o oci-archive:indexed.tar");
    // Stage by stage, beside an image of another tool's, and with the base of another image.
    run("root --spec image.json -o root.layer.json --blob root.tar");
    run(&format!(
        "closure --spec image.json --graph {} --layer root.layer.json -o x.closure.json",
        synth.graph.display()
    ));
    bare("layers x.closure.json --max-layers 9 -o x.layers.json");
    run("layer x.layers.json --spec image.json --all -o layers");
    let layers: Vec<String> =
        place.listing_of(&["layers"]).into_keys().map(|path| path.display().to_string()).collect();
    let layers: Vec<&str> = layers.iter().map(String::as_str).filter(|path| path.ends_with(".json")).collect();
    run(&format!("image --spec image.json {} root.layer.json -o oci:staged", layers.join(" ")));
    place.write("based.json", changed(place.json("image.json"), "/fromImage", &json!("x.tar")).to_string());
    run("build based.json -o oci:based");
    let folders = ["copied", "whole", "indexed", "staged", "based"].map(str::to_owned);
    for folder in (0..7).map(|number| number.to_string()).chain(folders) {
        assert_eq!(broken_layout(&place.join(&folder)), [""; 0], "{folder}");
    }
    let archives = ["copied", "indexed"].map(str::to_owned);
    for name in (0..7).map(|number| number.to_string()).chain(archives) {
        assert_eq!(broken_archive(&place.read(&format!("{name}.tar"))), [""; 0], "{name}.tar");
    }
}

/// What a registry got of `push`, `copy` and `index`, and what `pull` made of it.
#[test]
fn registries() {
    let Some(registry) = Registry::start() else { return };
    let place = place();
    let host = registry.host();
    let architectures = json!(["x86_64-linux", {"architecture": "armv7l-linux"}]);
    place.write("several.json", changed(place.json("image.json"), "/architectures", &architectures).to_string());
    place.ok(&format!("build image.json -o x.tar {}", root()));
    place.write("arm.json", changed(place.json("image.json"), "/architecture", &json!("aarch64")).to_string());
    place.ok(&format!("build arm.json -o arm.tar {}", root()));
    place.ok(&format!("push image.json {host}/pushed:1 {}", root()));
    place.ok(&format!("push image.json {host}/zstd:1 --compression zstd {}", root()));
    place.ok(&format!("push several.json {host}/several:1 {}", root()));
    place.ok(&format!("build image.json -o registry:{host}/built:1 {}", root()));
    place.ok(&format!("copy x.tar registry:{host}/copied:1"));
    place.ok(&format!("index x.tar arm.tar -o registry:{host}/indexed:1"));
    for name in ["pushed", "zstd", "several", "built", "copied", "indexed"] {
        let blobs = Blobs(|name: &str| registry.blob(name));
        let listed = registry.descriptor(name, "1");
        assert_eq!(blobs.broken(&listed), [""; 0], "{name}");
        place.ok(&format!("pull {host}/{name}:1 -o oci:{name}"));
        assert_eq!(broken_layout(&place.join(name)), [""; 0], "{name}");
    }
}
