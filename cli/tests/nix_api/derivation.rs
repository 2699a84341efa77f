//! `layerstone derivation` and `layerstone script` without Nix: what lies there as files, what a command finds.

use crate::support::Place;
use serde_json::json;
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// With nothing in its environment, the builder writes files, makes outputs, and becomes its command.
#[test]
fn a_builder() {
    let place = Place::new();
    let out = place.join("hash0123-out");
    let attributes = json!({
        "outputs": {"out": out},
        "image.json": {"name": "Tool", "config": {"Cmd": ["/x"]}},
        "graph.json": [],
        "greet.sh": "#!/bin/sh\necho hello\n",
        "name": "no file",
        "env": {"SOURCE_DATE_EPOCH": "86400"},
    });
    place.write(".attrs.json", attributes.to_string());
    let file = |name: &str| out.join(name).to_str().unwrap().to_owned();
    let build = |more: &[&str]| {
        let mut command = place.command("derivation --tag image.json --put greet.sh");
        command.env_clear().arg(file("bin/greet")).arg("--put").arg("image.json").arg(file("image.json")).args(more);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    build(&["root", "--mtime", "now", "-o", &file("root.layer.json"), "--blob", &file("blobs/layer.tar")]);
    assert_eq!(place.json("graph.json"), json!([]));
    assert!(!place.join("name").exists());
    let mode = |name: &str| fs::metadata(out.join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("bin/greet"), mode("image.json")), (0o755, 0o644));
    // The hash in the output's name is the tag.
    let spec: serde_json::Value = serde_json::from_slice(&fs::read(out.join("image.json")).unwrap()).unwrap();
    assert_eq!(spec, json!({"name": "Tool", "config": {"Cmd": ["/x"]}, "tag": "hash0123"}));
    // What `env` says, the command finds: the time of the layer's only directory.
    let tar = fs::read(out.join("blobs/layer.tar")).unwrap();
    assert_eq!(&tar[136..147], format!("{:011o}", 86400).as_bytes());
    // Nix says elsewhere, and it is there.
    fs::rename(place.join(".attrs.json"), place.join("elsewhere.json")).unwrap();
    let mut command = place.command("derivation --put graph.json graph.copy");
    let output = command.env_clear().env("NIX_ATTRS_JSON_FILE", "elsewhere.json").output().unwrap();
    assert!(output.status.success() && place.read("graph.copy") == b"[]\n");
}

/// What a builder's command fails with is its own.
#[test]
fn a_command_that_fails() {
    let place = Place::new();
    place.write(".attrs.json", "{}");
    assert_eq!(place.run("derivation no-such-command").code, Some(2));
    let run = place.run("derivation tarsum absent.tar");
    assert!(run.code == Some(1) && run.stderr.contains("absent.tar"), "{}", run.stderr);
    let told = place.run("derivation --tag image.json").stderr;
    assert!(told.starts_with("error: no output: found none"), "{told}");
    place.write(".attrs.json", r#"{"outputs": {"out": "/nix/store/nohash"}, "image.json": {}}"#);
    assert_eq!(place.run("derivation --tag image.json").stderr, "error: not a store path: /nix/store/nohash\n");
}

/// A file of words is a program; words behind it are its own.
#[test]
fn a_script() {
    let place = Place::new();
    place.write("empty.tar", [0; 1024]);
    let script = place.write("sum", format!("#!{} script\ntarsum\n", env!("CARGO_BIN_EXE_layerstone")));
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let expected = place.ok("tarsum empty.tar").stdout;
    let output = std::process::Command::new(&script).arg("empty.tar").current_dir(place.path()).output().unwrap();
    assert_eq!(output.stdout, expected);
    assert_eq!(place.ok("script sum empty.tar").stdout, expected);
    // Or in the place of a line.
    place.write("diff", "diff\n\"$@\"\nempty.tar\n");
    let expected = place.fail("diff absent.tar empty.tar");
    assert_eq!(place.fail("script diff absent.tar"), expected);
    let told = place.fail("script absent");
    assert!(told.starts_with("error: cannot read: absent: "), "{told}");
}

/// `layerstone derivation` outside a build.
#[test]
fn no_derivation() {
    let place = Place::new();
    let found = place.fail("derivation tarsum");
    let expected = "error: no attributes of a derivation: .attrs.json: found no file, expected the one that Nix writes";
    assert!(found.starts_with(expected), "{found}");
    for (attributes, expected) in [
        ("[]", "not the attributes of a derivation: .attrs.json: "),
        (r#"{"x.sh": 1}"#, "wrong attribute: .attrs.json: x.sh: found 1, expected a text"),
        (r#"{"a/b.json": 1}"#, "wrong attribute: .attrs.json: a/b.json: found a slash, expected the name of a file"),
        (r#"{"env": {"A": 1}}"#, "wrong attribute: .attrs.json: env: found {\"A\":1}, expected an object of texts"),
        (r#"{"outputs": 1}"#, "wrong attribute: .attrs.json: outputs: found 1, expected an object of store paths"),
    ] {
        place.write(".attrs.json", attributes);
        let found = place.fail("derivation tarsum");
        assert!(found.starts_with(&format!("error: {expected}")), "{attributes}: {found}");
    }
}
