//! `closure --verify`: whether the files are as recorded, with the hashes that Nix gives.

use super::{A, B, C, D, place};
use crate::support::{Place, answer, require_tool, synth};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

/// A store of three paths below `root`, scanned with hashes: `x.closure.json`.
fn recorded() -> Place {
    let place = Place::new();
    place.write(&format!("root{B}"), format!("{C}\n"));
    place.write(&format!("root{C}/lib/libssl"), D);
    place.write(&format!("root{D}/lib/libc"), vec![0; 100_000]);
    place.ok(&format!("closure --scan --nar-hash --root root {B} -o x.closure.json"));
    place
}

/// What `--verify` tells when something differs.
#[track_caller]
fn differing(place: &Place, count: usize) -> String {
    let run = place.run("closure --verify x.closure.json --root root");
    assert_eq!(run.code, Some(1));
    let expected = format!("error: not as recorded: x.closure.json: {count} of 3 paths differ\n");
    assert_eq!(run.stderr, expected);
    run.text().to_owned()
}

#[test]
fn verify() {
    let place = recorded();
    let run = place.ok("closure --verify x.closure.json --root root");
    assert_eq!(run.text(), "3 paths, 101 kB: all as recorded\n");
    let closure = place.json("x.closure.json");
    let hash = |n: usize| closure["graph"][n]["narHash"].as_str().unwrap().to_owned();

    place.write(&format!("root{B}"), format!("{C}!"));
    std::fs::remove_dir_all(place.join(format!("root{D}"))).unwrap();
    let other = "sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73";
    let gone = format!("cannot read: root{D}: No such file or directory (os error 2)");
    let expected = format!("{B}: NAR hash: found OTHER, expected {}\n{D}: {gone}\n", hash(0));
    let told = differing(&place, 2);
    let found = told.split("found ").nth(1).unwrap().split(',').next().unwrap();
    assert!(found.starts_with("sha256:") && found.len() == other.len() && found != hash(0), "{told}");
    assert_eq!(told, expected.replace("OTHER", found));
    assert_eq!(place.run("-j1 closure --verify x.closure.json --root root").text(), told);

    let run = place.run("closure --verify x.closure.json --root root --json");
    assert_eq!(run.code, Some(1));
    let size = |n: usize| &closure["graph"][n]["narSize"];
    let expected = json!({
        "paths": 3,
        "narSize": (0..3).map(|n| size(n).as_u64().unwrap()).sum::<u64>(),
        "differing": [
            {
                "path": B,
                "expected": {"narHash": hash(0), "narSize": size(0)},
                "found": {"narHash": found, "narSize": size(0)},
            },
            {"path": D, "expected": {"narHash": hash(2), "narSize": size(2)}, "error": gone},
        ],
    });
    assert_eq!(answer(&run.stdout, "closure-verify"), expected);
}

/// A size that is wrong where the hash is right is a wrong record.
#[test]
fn verify_sizes() {
    let place = recorded();
    let mut closure = place.json("x.closure.json");
    let size = closure["graph"][1]["narSize"].as_u64().unwrap();
    closure["graph"][1]["narSize"] = json!(size + 8);
    place.write("x.closure.json", closure.to_string());
    assert_eq!(differing(&place, 1), format!("{C}: NAR size: found {size}, expected {}\n", size + 8));
}

#[test]
fn verify_without_hashes() {
    let place = place();
    let told = place.fail("closure --verify web.json --root root");
    let expected = format!("web.json: closure without NAR hashes: found none of {A}, expected one of every path");
    assert_eq!(told, format!("error: {expected}\nhint: `layerstone closure --scan --nar-hash` records them\n"));
}

/// The synthetic store's hashes were made by other code.
#[test]
fn verify_what_others_recorded() {
    let synth = synth();
    for graph in [&synth.graph, &synth.registration] {
        let run = Place::new().ok(&format!("closure --verify {} --root {}", graph.display(), synth.root.display()));
        assert_eq!(run.text(), "13 paths, 901 kB: all as recorded\n");
    }
}

/// Runs a program of Nix on a store of its own in a directory; what it prints.
#[track_caller]
fn nix(folder: &Path, line: &str) -> String {
    let mut words = line.split_whitespace();
    let mut command = Command::new(words.next().unwrap());
    command.args(words).current_dir(folder).env("HOME", folder).env_remove("NIX_REMOTE");
    for (name, place) in [("STORE_DIR", "store"), ("STATE_DIR", "var"), ("LOG_DIR", "log"), ("CONF_DIR", "conf")] {
        command.env(format!("NIX_{name}"), folder.join(place));
    }
    let output = command.output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// NAR hashes are those that `nix-store -q --hash` gives, and what Nix recorded can be verified.
#[test]
fn same_hashes_as_nix() {
    if !require_tool("nix-store") {
        return;
    }
    let place = recorded();
    place.write("tree/bin/tool", "#!/bin/sh\n");
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(place.join("tree/bin/tool"), executable).unwrap();
    place.write("tree/bin/odd name\n", vec![7; 300_001]);
    std::os::unix::fs::symlink("../absent", place.join("tree/link")).unwrap();
    std::fs::create_dir(place.join("tree/empty")).unwrap();
    place.write("file", "alone");
    let nix = |line: &str| nix(place.path(), line);
    let paths = nix("nix-store --add tree file");
    let paths: Vec<&str> = paths.lines().collect();
    let store = format!("--store {}", place.join("store").display());
    place.ok(&format!("closure --scan --nar-hash {store} {} -o nix.closure.json", paths.join(" ")));
    let closure = place.json("nix.closure.json");
    let found: Vec<&Value> = closure["graph"].as_array().unwrap().iter().collect();
    assert_eq!(found.len(), 2);
    for info in found {
        let path = info["path"].as_str().unwrap();
        assert_eq!(info["narHash"], *nix(&format!("nix-store -q --hash {path}")).trim());
        assert_eq!(info["narSize"].to_string(), nix(&format!("nix-store -q --size {path}")).trim());
    }
    place.write("registration", nix("nix-store --dump-db"));
    let run = place.ok("closure --verify registration");
    assert!(run.text().starts_with("2 paths, ") && run.text().ends_with(": all as recorded\n"), "{}", run.text());
}
