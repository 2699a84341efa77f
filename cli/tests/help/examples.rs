//! Every example of every help does what it says: all of them run, one after the other, with the files that they name.

use super::all;
use crate::root_script::{archive, busybox};
use crate::slips;
use crate::support::keys::sample_key;
use crate::support::process::send;
use crate::support::registry::Registry;
use crate::support::{Place, digest, with_default_signals};
use serde_json::json;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

/// Stands for layerstone where the store is below the directory `root`, and no virtual machine is waited for.
const BELOW_ROOT: &str = r#"#!/bin/sh
case "$1" in
    init|build|root|closure|layer|nix-db|image|ninja|make|push|copy|check|index|serve|stream|derivation|script)
        exec real-layerstone "$@" --root root ;;
    overlay)
        if [ "$2" = run ]; then set -- "$@" --backend userns; fi
        exec real-layerstone "$@" ;;
    *) exec real-layerstone "$@" ;;
esac
"#;
/// What nixpkgs' customisation layer is in.
const CUSTOMISATION: &str = "/nix/store/2123456789abcdfghijklmnpqrsvwxyz-customisation-layer";

/// The files that examples name, and what stands for layerstone in PATH.
fn prepare(place: &Place) -> Option<()> {
    slips::prepare(place);
    for (from, to) in [
        ("spec.json", "image.json"),
        ("c.closure.json", "web.closure.json"),
        ("p.layers.json", "web.layers.json"),
        ("ok.tar", "web.tar"),
        ("folder", "files"),
    ] {
        fs::rename(place.join(from), place.join(to)).unwrap();
    }
    fs::remove_dir_all(place.join("layout")).unwrap();
    place.write("policy.json", r#"{"packages": {"forbidden": ["gcc"]}}"#);
    // Of overlay run.
    place.write("base.tar", archive(&[busybox()?]));
    place.write("install.sh", "echo installed > /etc/app || mkdir /etc\n");
    place
        .write("run.json", json!({"name": "run", "fromImage": "base.tar", "runAsRoot": "echo ran > /ran"}).to_string());
    // Of attach.
    place.write("web.spdx.json", r#"{"spdxVersion": "SPDX-2.3"}"#);
    // Of script, stream and derivation.
    place.write("words", "build\nimage.json\n");
    let layer = place.read("root.tar");
    place.write(&format!("root{CUSTOMISATION}/layer.tar"), &layer);
    place.write(&format!("root{CUSTOMISATION}/checksum"), format!("{}\n", digest(&layer)));
    let conf = json!({
        "architecture": "amd64", "config": {"Cmd": ["/bin/hello"]}, "store_dir": "/nix/store", "from_image": null,
        "store_layers": [place.json("web.layers.json")["layers"][0]], "customisation_layer": CUSTOMISATION,
        "repo_tag": "web:1", "created": "1970-01-01T00:00:01+00:00", "mtime": "1970-01-01T00:00:01+00:00",
        "uid": "0", "gid": "0", "uname": "root", "gname": "root",
    });
    place.write("conf.json", conf.to_string());
    place.write("release.key", sample_key::ED25519);
    place.write("release.pub", sample_key::ED25519_PUBLIC);
    let out = place.join("0123456789abcdfghijklmnpqrsvwxyz-web");
    let attributes = json!({"outputs": {"out": out}, "image.json": place.json("image.json"), "env": {}});
    place.write("attributes.json", attributes.to_string());
    place.write_mode("bin/layerstone", BELOW_ROOT, 0o755);
    symlink(env!("CARGO_BIN_EXE_layerstone"), place.join("bin/real-layerstone")).unwrap();
    Some(())
}

/// A line of a shell in a place.
fn shell(place: &Place, line: &str) -> Command {
    let mut command = with_default_signals(Command::new("bash"));
    let path = format!("{}:{}", place.join("bin").display(), std::env::var("PATH").unwrap());
    command.args(["-c", line]).current_dir(place.path()).env_clear().env("PATH", path);
    command.env("TMPDIR", place.temporary()).env("LAYERSTONE_CACHE", place.join("cache"));
    if line.starts_with("layerstone derivation ") {
        command.env("NIX_ATTRS_JSON_FILE", "attributes.json");
    }
    command
}

/// Runs an example to its end; what it says if it fails.
fn run(place: &Place, line: &str) -> Result<(), String> {
    if line.starts_with("layerstone serve ") {
        return serve(place, line);
    }
    let output = shell(place, line).output().unwrap();
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

/// Serves images on a port that is free, asks for each of them, and ends.
fn serve(place: &Place, line: &str) -> Result<(), String> {
    let (line, _) = line.split_once(" --listen ").unwrap_or((line, ""));
    let count = line.split(' ').count() - 2;
    let mut command = shell(place, &format!("{line} --listen 127.0.0.1:0"));
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let names = BufReader::new(child.stdout.take().unwrap()).lines().take(count);
    let names: Vec<String> = names.map(Result::unwrap).collect();
    let asked = names.iter().try_for_each(|name| run(place, &format!("layerstone digest {name}")));
    send(i32::try_from(child.id()).unwrap(), libc::SIGTERM);
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    let is_done = child.wait().unwrap().success() && names.len() == count;
    asked?;
    if is_done && said.contains(&format!("docker pull {}\n", names[0])) { Ok(()) } else { Err(said) }
}

#[test]
fn every_example() {
    let Some(registry) = Registry::start() else { return };
    let place = Place::new();
    let Some(()) = prepare(&place) else { return };
    let (mut lines, mut failed) = (Vec::new(), Vec::new());
    for text in all(&[]).split("$ layerstone ").skip(2) {
        let (command, _) = text.split_once(" --help\n").unwrap_or(("", ""));
        let examples = text.split_once("\nExamples:\n").map_or("", |(_, examples)| examples);
        let examples = examples.lines().take_while(|line| line.starts_with("  layerstone ")).map(str::trim);
        let before = lines.len();
        lines.extend(examples.map(str::to_owned));
        if !text.contains("\nCommands:\n") && lines.len() == before {
            failed.push(format!("{command}: no example"));
        }
    }
    // What others ask for stays until then.
    lines.sort_by_key(|line| line.starts_with("layerstone delete "));
    for line in &lines {
        let line = line.replace("localhost:5000", registry.host());
        if let Err(said) = run(&place, &line) {
            failed.push(format!("{line}: {said}"));
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(lines.len() >= 80, "{}", lines.len());
}
