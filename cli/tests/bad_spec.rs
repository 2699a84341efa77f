//! Image specs that are wrong, and words on the command line that are.

use crate::support::Place;
use serde_json::{Value, json};

/// `build` must refuse this spec in these words.
#[track_caller]
fn check_spec(spec: Value, expected: &str) {
    let place = Place::new();
    place.write("s.json", spec.to_string());
    place.write("x.tar", "old");
    let told = place.fail("build s.json -o x.tar");
    assert!(told.starts_with(&format!("error: {expected}\n")), "{told}");
}

#[track_caller]
fn check_malformed(spec: Value, expected: &str) {
    check_spec(spec, &format!("malformed layerstone/image: s.json: {expected}"));
}

#[test]
fn unknown_keys_name_the_nearest() {
    check_malformed(
        json!({"name": "x", "contnets": []}),
        "contnets: unknown key, the nearest known one is \"contents\"",
    );
    check_malformed(
        json!({"name": "x", "max_layers": 3}),
        "max_layers: unknown key, the nearest known one is \"maxLayers\"",
    );
}

#[test]
fn values() {
    check_malformed(json!({}), "name: missing, expected a string");
    check_malformed(json!({"name": "x", "tag": 7}), "tag: found the number 7, expected a string or null");
    check_malformed(
        json!({"name": "x", "maxLayers": 0}),
        "maxLayers: found the number 0, expected a whole number above 0",
    );
    check_malformed(
        json!({"name": "x", "created": "soon"}),
        "created: found the string \"soon\", expected \"now\", a date (\"2024-05-01\" or \"20240501\"), a date with a time and \
         a zone (UTC if there is none; \"2024-05-01 12:00\", \"2024-05-01T12:00:00+02:00\"), \"20240501120000\", or \
         \"@SECONDS\" since the epoch",
    );
    check_malformed(
        json!({"name": "x", "extraCommands": "a", "extraCommandsFile": "b"}),
        "extraCommands: found extraCommandsFile too, expected one of them",
    );
    check_malformed(
        json!({"name": "x", "format": "layerstone/plan", "version": 1}),
        "format: found the string \"layerstone/plan\", expected \"layerstone/image\"",
    );
}

/// Too few layers shows the sum; more than docker takes are no matter, as long as the image has not as many.
#[test]
fn max_layers() {
    check_spec(
        json!({"name": "x", "maxLayers": 1}),
        "too few layers: found maxLayers 1, expected 2 or more: 0 of the base image, 1 for the customisation layer, 1 for \
         store paths\nhint: --max-layers 2 or more",
    );
    let place = Place::new();
    place.write("s.json", json!({"name": "x", "maxLayers": 1000}).to_string());
    assert!(!place.ok("build s.json -o x.tar").stderr.contains("warning:"));
}

/// A store path in the config that no one knows.
#[test]
fn unknown_store_path_in_the_config() {
    let path = "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-a";
    let place = Place::new();
    place.write("graph.json", "[]");
    place.write("s.json", json!({"name": "x", "graph": "graph.json", "config": {"Cmd": [path]}}).to_string());
    let told = place.fail("build s.json -o x.tar");
    assert_eq!(told, format!("error: unknown store path: {path}: no path with this hash in graph.json\n"));
}

/// Bad usage is status 2, on stderr, before anything is read or written.
#[test]
fn usage() {
    for line in [
        "",
        "frobnicate",
        "layers",
        "layers x.closure.json",
        "layers x --max-layers many",
        "layers x --max-layers 3 --strategy wild",
        "layer x -o y",
        "layer x --index 0 --all -o y",
        "layer x --index 0 --blobs -o y",
        "layer x --all --blob z -o y",
        "closure --graph x --scan",
        "closure --verify x --sizes",
        "closure --graph x --db y",
        "closure --db x --scan",
        "closure --db x --nar-hash",
        "build s.json -o x.tar --scan --graph y",
        "build -o x.tar",
        "build s.json",
        "image -o x",
        "stream",
        "tarsum --frobnicate",
        "completions klingon",
        "build s.json -o x --mtime yesterday",
        "demo -j 0",
        "demo --progress sometimes",
    ] {
        let place = Place::new();
        let run = place.run(line);
        assert_eq!((run.code, run.stdout.len()), (Some(2), 0), "layerstone {line}\n{}", run.stderr);
        assert!(run.stderr.contains("Usage:") || run.stderr.contains("--help"), "{}", run.stderr);
        assert!(place.listing().is_empty());
    }
}

/// A command's own flags stand before those that all commands have.
#[test]
fn order_of_help() {
    let run = Place::new().ok("layer -h");
    let options = run.text().split("Options:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let flags: Vec<&str> =
        options.lines().filter_map(|line| line.split_once("--")?.1.split([' ', '\n']).next()).collect();
    let expected = [
        "tar",
        "index",
        "key",
        "all",
        "behind",
        "blob",
        "blobs",
        "mounts",
        "nix-closure",
        "compression",
        "level",
        "erofs-cache",
        "known",
        "xattrs",
        "tarsum",
        "output",
        "quiet",
        "verbose...",
        "help",
    ];
    assert_eq!(flags, expected, "{options}");
}

/// Help and version go to stdout, status 0.
#[test]
fn help() {
    for command in [
        "",
        "build ",
        "root ",
        "closure ",
        "layers ",
        "layer ",
        "image ",
        "stream ",
        "tarsum ",
        "inspect ",
        "helper ",
        "demo ",
        "completions ",
    ] {
        for flag in ["-h", "--help"] {
            let run = Place::new().ok(&format!("{command}{flag}"));
            assert!(run.text().contains("Usage: layerstone") && run.stderr.is_empty(), "{command}");
        }
    }
    assert_eq!(Place::new().ok("--version").text(), format!("layerstone {}\n", env!("CARGO_PKG_VERSION")));
}
