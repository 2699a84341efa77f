//! The bytes of the database and of its layer: the same by every way, and who owns what.

use super::{build, layers, root, spec};
use crate::support::archive::config;
use crate::support::{Place, synth};
use serde_json::{Value, json};

/// Mode, owner, name and target of a layer's members.
fn members(layer: &[u8]) -> Vec<String> {
    let line = |entry: tar::Entry<&[u8]>| {
        let header = entry.header();
        let target = entry.link_name().unwrap().map_or(String::new(), |to| format!(" -> {}", to.display()));
        let (mode, uid, gid) = (header.mode().unwrap(), header.uid().unwrap(), header.gid().unwrap());
        format!("{mode:o} {uid}:{gid} {}{target}", entry.path().unwrap().display())
    };
    tar::Archive::new(layer).entries().unwrap().map(|entry| line(entry.unwrap())).collect()
}

/// Where references come from does not matter, nor do threads.
#[test]
fn same_bytes_by_every_way() {
    let place = Place::new();
    let graph = build(&place, &spec(&["git-2.39"], json!({})), "image.tar").pop().unwrap();
    let registration = json!({"graph": synth().registration});
    assert!(build(&place, &spec(&["git-2.39"], registration), "image.tar").pop().unwrap() == graph);
    // Without a graph the store is scanned, and its NAR hashes are computed.
    let scanned = spec(&["git-2.39"], json!({"graph": null}));
    assert!(build(&place, &scanned, "image.tar").pop().unwrap() == graph);
    place.ok(&format!("build image.json --root {} -j1 --graph {} -o image.tar", root(), synth().graph.display()));
    assert!(layers(&place.read("image.tar")).pop().unwrap() == graph);
    let history = config(&place.read("image.tar"))["history"].as_array().unwrap().clone();
    assert_eq!(history.last().unwrap()["comment"], "nix database");
}

/// The other layers are those of an image without a database.
#[test]
fn a_layer_of_its_own() {
    let place = Place::new();
    let with = build(&place, &spec(&["git-2.39"], json!({"maxLayers": 5})), "image.tar");
    let without = build(&place, &spec(&["git-2.39"], json!({"maxLayers": 4, "includeNixDB": false})), "image.tar");
    assert!(with[..with.len() - 1] == without && with.len() == 5);
}

#[test]
fn owners() {
    let place = Place::new();
    let owned = |keys: Value, name: &str| -> String {
        let layers = build(&place, &spec(&["zlib-1.3"], keys), "image.tar");
        let lines = members(layers.last().unwrap());
        lines.into_iter().find(|line| line.ends_with(name)).unwrap_or_else(|| panic!("no {name}"))
    };
    let user = json!({"nixUid": 1000, "nixGid": 100});
    for (keys, name, expected) in [
        (json!({}), "/db.sqlite", "644 0:0 ./nix/var/nix/db/db.sqlite"),
        (json!({}), "/store/", "755 0:0 ./nix/store/"),
        (json!({"uid": 7}), "/store/", "755 7:0 ./nix/store/"),
        (json!({"uid": 7}), "/var/", "755 0:0 ./nix/var/"),
        (user.clone(), "/db.sqlite", "644 1000:100 ./nix/var/nix/db/db.sqlite"),
        (user.clone(), "/big-lock", "600 1000:100 ./nix/var/nix/db/big-lock"),
        (user.clone(), "/store/", "755 1000:100 ./nix/store/"),
        (json!({"nixUid": 1000, "nixGid": 100, "kind": "single"}), "./nix/", "755 1000:100 ./nix/"),
    ] {
        assert_eq!(owned(keys, name), expected);
    }
    let line = format!("build image.json --root {} --nix-uid 5 --nix-gid 6 -o image.tar", root());
    place.ok(&line);
    assert!(members(layers(&place.read("image.tar")).last().unwrap()).contains(&"755 5:6 ./nix/var/".to_owned()));
}

/// One stage after the other, layered and single, on a base and without.
#[test]
fn stage_by_stage() {
    let place = Place::new();
    let root = root();
    build(&place, &spec(&["zlib-1.3"], json!({"name": "base"})), "base.tar");
    for keys in [
        json!({}),
        json!({"fromImage": "base.tar", "nixUid": 1000, "uid": 3}),
        json!({"kind": "single", "extraCommands": "mkdir -p nix/var tmp"}),
        json!({"kind": "single", "fromImage": "base.tar"}),
    ] {
        let built = build(&place, &spec(&["curl-8.0"], keys.clone()), "built.tar").len();
        let base = if keys["fromImage"] == "base.tar" { "--base base.tar" } else { "" };
        let stage = format!("--spec image.json --root {root}");
        place.ok(&format!("root {stage} -o root.layer.json --blob root.tar"));
        place.ok(&format!("closure {stage} --layer root.layer.json -o x.closure.json"));
        place.ok(&format!("layers x.closure.json {base} --max-layers 98 -o x.layers.json"));
        let line = format!("nix-db x.closure.json {stage} {base} -o db.layer.json --blob db.tar");
        let files = if keys["kind"] == "single" {
            place.ok(&format!("{line} --behind root.layer.json"));
            place.ok(&format!("layer x.layers.json {stage} --behind db.layer.json -o x.layer.json --blob x.tar"));
            "x.layer.json".to_owned()
        } else {
            place.ok(&line);
            place.ok(&format!("layer x.layers.json {stage} --all -o layers"));
            let count = place.json("x.layers.json")["layers"].as_array().unwrap().len();
            let names: Vec<String> = (0..count).map(|index| format!("layers/{index:03}.layer.json")).collect();
            format!("{} root.layer.json db.layer.json", names.join(" "))
        };
        place.ok(&format!("image {stage} {files} -o staged.tar"));
        assert!(place.read("built.tar") == place.read("staged.tar"), "{keys}: {built} layers");
    }
}

#[test]
fn bad_input() {
    let place = Place::new();
    place.write("bare.closure.json", json!([{"path": synth().path("libc-2.36"), "references": []}]).to_string());
    let line = "nix-db bare.closure.json -o db.layer.json --blob db.tar";
    let absent = format!("{}/nowhere", place.path().display());
    let error = place.fail(&format!("{line} --root {absent}"));
    assert!(error.starts_with("error: no NAR hash or size in the closure: cannot read: /"), "{error}");
    let error = place.fail(&format!("{line} --store /other/store"));
    assert!(error.contains("it is outside the store /other/store"), "{error}");
    place.write("gnu.closure.json", "[]");
    assert_eq!(
        place.fail("nix-db gnu.closure.json --store /gnu/store -o db.layer.json --blob db.tar"),
        "error: no Nix database for the store /gnu/store, which is that of Guix: expected another one\n"
    );
    place.write("image.json", json!({"name": "x", "nixUid": 5}).to_string());
    assert_eq!(
        place.error_of("build image.json -o x.tar"),
        "error: malformed layerstone/image: image.json: nixUid: found without includeNixDB, expected with it\n"
    );
    let run = place.run("build --name x --nix-gid 5 -o x.tar");
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    assert!(run.stderr.contains("expected --include-nix-db with them"), "{}", run.stderr);
}

/// A script that makes a database of its own, or something else in the way.
#[test]
fn a_root_with_something_in_the_way() {
    let place = Place::new();
    for kind in ["layered", "single"] {
        for (script, expected) in [
            (
                "mkdir -p nix/var/nix/db; echo x > nix/var/nix/db/db.sqlite",
                "/nix/var/nix/db/db.sqlite: found a file, expected none, or what Nix has there",
            ),
            ("mkdir nix; ln -s ../var nix/var", "/nix/var: found a link to ../var, expected a directory"),
        ] {
            let spec = spec(&["zlib-1.3"], json!({"kind": kind, "extraCommands": script}));
            place.write("image.json", spec.to_string());
            let error = place.fail(&format!("build image.json --root {} -o x.tar", root()));
            let start = "error: cannot put the Nix database over the root of the image: ";
            assert_eq!(error, format!("{start}{expected}\n"));
        }
    }
}
