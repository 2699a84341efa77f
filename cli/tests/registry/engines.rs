//! `docker:` and `podman:`, as places and as origins.

use super::place;
use crate::support::archive::config;
use crate::support::docker::{Docker, client};
use crate::support::lab::Lab;
use crate::support::registry::{Registry, spec};
use crate::support::{output, output_json, require_root, require_tool};
use serde_json::json;
use std::process::Command;

#[test]
fn docker() {
    let Some(docker) = Docker::find() else { return };
    let place = place();
    spec(&place, json!({"name": "layerstone-test-engine"}));
    place.on_synth("build image.json -o built.tar");
    let turn = docker.turn();
    let loaded = turn.loaded("layerstone-test-engine:1");
    let mut build = place.command(&format!("build image.json -o docker: {}", crate::support::registry::root()));
    let run: crate::support::Run = with_engine(&mut build).output().unwrap().into();
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let shown = loaded.shown();
    assert!(run.text().contains(shown["Id"].as_str().unwrap()), "{}", run.text());
    let mut copy = place.command("copy docker:layerstone-test-engine:1 x.tar --as y:1");
    let run: crate::support::Run = with_engine(&mut copy).output().unwrap().into();
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert_eq!(config(&place.read("x.tar")), config(&place.read("built.tar")));
    let mut copy = place.command("copy docker:layerstone-test-none:1 z.tar");
    let run: crate::support::Run = with_engine(&mut copy).output().unwrap().into();
    assert_eq!(run.code, Some(1));
    assert!(
        run.stderr.starts_with("error: docker save layerstone-test-none:1: found exit status: 1: "),
        "{}",
        run.stderr
    );
    place.check_no_leftovers();
    drop(loaded);
    assert_eq!(output(client("images -q").arg("layerstone-test-engine")), "");
}

/// What we push, docker pulls and runs; what docker pushes, we pull.
#[test]
fn docker_and_a_registry() {
    let (Some(docker), Some(lab), Some(registry)) = (Docker::find(), Lab::find("small"), Registry::start()) else {
        return;
    };
    let place = crate::support::Place::new();
    let host = registry.host();
    let config = json!({"Cmd": ["/bin/hello"]});
    let spec = json!({"name": "small", "tag": "1", "contents": lab.env, "graph": lab.graph(), "config": config});
    place.write("image.json", spec.to_string());
    place.ok("build image.json -o built.tar");
    for (name, flags) in [("gzip", ""), ("plain", "--compression none")] {
        place.ok(&format!("push image.json {host}/{name}:1 {flags}"));
        let turn = docker.turn();
        let (ours, theirs) =
            (turn.loaded(&format!("{host}/{name}:1")), turn.loaded(&format!("{host}/theirs-{name}:2")));
        output(client("pull -q").arg(format!("{host}/{name}:1")));
        assert_eq!(ours.run(&[]), "Hello, world!\n");
        output(client("tag").arg(format!("{host}/{name}:1")).arg(format!("{host}/theirs-{name}:2")));
        output(client("push -q").arg(format!("{host}/theirs-{name}:2")));
        place.ok(&format!("pull {host}/theirs-{name}:2 -o theirs.tar --as small:1"));
        assert!(place.read("theirs.tar") == place.read("built.tar"), "{name}");
        drop((ours, theirs));
    }
}

/// podman pushes and pulls likewise.
#[test]
fn podman_and_a_registry() {
    let (true, Some(registry)) = (require_tool("podman") && require_root(), Registry::start()) else { return };
    let place = place();
    let host = registry.host();
    place.on_synth("build image.json -o built.tar");
    place.on_synth(&format!("push image.json {host}/layerstone-test-podman:1"));
    let podman = |words: &str| output(Command::new("podman").args(words.split_whitespace()));
    podman(&format!("pull -q --tls-verify=false {host}/layerstone-test-podman:1"));
    podman(&format!("push -q --tls-verify=false {host}/layerstone-test-podman:1 docker://{host}/theirs:1"));
    podman(&format!("rmi -f {host}/layerstone-test-podman:1"));
    place.ok(&format!("pull {host}/theirs:1 -o theirs.tar --as synth:1"));
    assert!(place.read("theirs.tar") == place.read("built.tar"));
}

/// The environment that docker and podman need.
fn with_engine(command: &mut Command) -> &mut Command {
    for key in ["DOCKER_HOST", "HOME"] {
        if let Some(value) = std::env::var_os(key) {
            command.env(key, value);
        }
    }
    command
}

#[test]
fn podman() {
    if !(require_tool("podman") && require_root()) {
        return;
    }
    let place = place();
    spec(&place, json!({"name": "layerstone-test-engine-p"}));
    let mut build = place.command(&format!("build image.json -o podman: {}", crate::support::registry::root()));
    let run: crate::support::Run = with_engine(&mut build).output().unwrap().into();
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let shown = output_json(Command::new("podman").args(["inspect", "--type=image", "layerstone-test-engine-p:1"]));
    let id = format!("sha256:{}", shown[0]["Id"].as_str().unwrap());
    assert!(run.text().contains(&id), "{}", run.text());
    let mut copy = place.command("copy podman:localhost/layerstone-test-engine-p:1 oci:back");
    let run: crate::support::Run = with_engine(&mut copy).output().unwrap().into();
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert_eq!(super::manifest(&place, "back")["config"]["digest"], id);
    output(Command::new("podman").args(["rmi", "-f", "layerstone-test-engine-p:1"]));
}

/// A program that is not there, or fails, is told, with what it says.
#[test]
fn engines_that_fail() {
    let place = place();
    place.write("bin/docker", "#!/bin/sh\necho 'no daemon here' >&2\nexit 3\n");
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(place.join("bin/docker"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let run = |path: &str| -> crate::support::Run {
        let mut build = place.command(&format!("build image.json -o docker: {}", crate::support::registry::root()));
        build.env("PATH", path).output().unwrap().into()
    };
    let failing = run(&format!("{}:/usr/bin:/bin", place.join("bin").display()));
    assert_eq!(failing.code, Some(1));
    assert_eq!(failing.stderr, "error: docker load: found exit status: 3: no daemon here\n");
    let absent = run("/nonexistent");
    assert!(absent.stderr.starts_with("error: cannot run: docker load: "), "{}", absent.stderr);
}
