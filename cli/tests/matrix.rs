//! Every command that makes an image of a spec, with every kind of spec: the image is the same wherever it goes.
//!
//! | module | shows |
//! |---|---|
//! | `engine` | what is told when docker or podman and we fail at the same time |
//! | `ends` | signals end every command, whatever it does, and leave nothing |

mod ends;
mod engine;

use crate::support::registry::Registry;
use crate::support::{Place, digest, require_root, require_tool};
use crate::wires::{Tool, path, wired};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// Commands that put a whole image of `image.json` somewhere as an OCI image, and the layout or registry that it is in.
const COMMANDS: [&str; 8] = [
    "build image.json -o oci:built",
    "build image.json -o oci-archive:built.tar",
    "build image.json -o registry:HOST/built:1",
    "push image.json HOST/pushed:1",
    "copy image.json oci:copied",
    "copy image.json registry:HOST/copied:1",
    "index image.json -o oci:indexed",
    "index image.json -o registry:HOST/indexed:1",
];

/// Keys of specs, by kind.
fn kinds() -> Vec<(&'static str, Value)> {
    let contents = json!([path("sh"), path("app-1")]);
    let script = "mkdir -p /etc; echo root > /etc/who";
    let fake = "echo x > x; chown 5:6 x";
    vec![
        ("plain", json!({})),
        ("single", json!({"kind": "single", "rootMode": "copy"})),
        ("base", json!({"fromImage": "base.tar"})),
        ("script", json!({"extraCommands": "echo x > x"})),
        ("fake root", json!({"fakeRootCommands": fake})),
        ("database", json!({"includeNixDB": true})),
        ("root script", json!({"contents": contents, "runAsRoot": script})),
        ("single root script", json!({"kind": "single", "contents": contents, "runAsRoot": script})),
        (
            "everything",
            json!({"fromImage": "base.tar", "contents": contents, "runAsRoot": script, "fakeRootCommands": fake,
                "extraCommands": "echo y > y", "includeNixDB": true}),
        ),
        ("architectures", json!({"architectures": ["amd64", "arm64"]})),
        (
            "architectures and root script",
            json!({"architectures": ["amd64", "arm64"], "contents": contents, "runAsRoot": script}),
        ),
    ]
}

/// A place with a store that has a shell, a base image, and the spec of a kind; or the running test is skipped.
#[track_caller]
fn place(more: &Value) -> Option<Place> {
    if !require_root() || !require_tool("busybox") {
        return None;
    }
    let place = wired();
    let folder = place.join(format!("root{}/bin", path("sh")));
    fs::create_dir_all(&folder).unwrap();
    fs::copy("/usr/bin/busybox", folder.join("sh")).unwrap();
    for name in ["mkdir", "sleep"] {
        std::os::unix::fs::symlink("sh", folder.join(name)).unwrap();
    }
    let mut graph = place.json("graph.json");
    graph.as_array_mut().unwrap().push(json!({"path": path("sh"), "narSize": 1000, "references": []}));
    place.write("graph.json", graph.to_string());
    place.write("base.json", r#"{"name": "base", "tag": "1", "extraCommands": "echo base > base"}"#);
    place.ok("build base.json -o base.tar");
    let mut spec = place.json("image.json");
    let keys = spec.as_object_mut().unwrap();
    keys.extend(more.as_object().unwrap().clone());
    // Which a single image has not.
    keys.retain(|key, _| key != "maxLayers" || more["kind"] != "single");
    place.write("image.json", spec.to_string());
    Some(place)
}

/// A command on a place's store. Root scripts run where they begin at once: no machine is waited for that hangs.
fn line(command: &str, host: &str) -> String {
    format!("{} --root root --backend userns", command.replace("HOST", host))
}

/// What a layout's index.json names last.
fn named(place: &Place, layout: &str) -> String {
    let index = place.json(&format!("{layout}/index.json"));
    index["manifests"].as_array().unwrap().last().unwrap()["digest"].as_str().unwrap().to_owned()
}

/// The digest of what is served under the only name.
fn served(place: &Place) -> String {
    let line = line("serve image.json --listen 127.0.0.1:0 --compression gzip", "");
    let mut child = crate::support::with_default_signals(place.command(&line)).spawn().unwrap();
    let mut name = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut name).unwrap();
    let Some((host, rest)) = name.trim().split_once('/') else {
        panic!("{}", String::from_utf8_lossy(&child.wait_with_output().unwrap().stderr));
    };
    let (repository, tag) = rest.split_once(':').unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    let request = format!("GET /v2/{repository}/manifests/{tag} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let end = answer.windows(4).position(|it| it == b"\r\n\r\n").unwrap();
    crate::support::process::send(i32::try_from(child.id()).unwrap(), libc::SIGTERM);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    format!("sha256:{}", digest(&answer[end + 4..]))
}

#[track_caller]
fn check(kind: &str, more: &Value, registry: &Registry) {
    let Some(place) = place(more) else { return };
    let is_one = more["architectures"].is_null();
    place.ok(&line(COMMANDS[0], ""));
    let expected = named(&place, "built");
    // Elsewhere in a layout an index would be named by the digest of what is in it.
    for command in &COMMANDS[1..] {
        let run = place.run(&line(command, registry.host()));
        assert_eq!(run.code, Some(0), "{kind}: {command}: {}", run.stderr);
        place.check_no_leftovers();
        let told = run.text();
        // An index of one image is an index all the same.
        let is_index = is_one && command.starts_with("index");
        if let Some((_, layout)) = command.split_once("oci:").filter(|_| !is_index) {
            assert_eq!(named(&place, layout), expected, "{kind}: {command}");
        } else if is_index {
            assert!(told.contains(&expected), "{kind}: {command}: {told}");
        } else if command.contains("HOST") {
            assert!(told.contains(&format!("@{expected}")), "{kind}: {command}: {told}");
        }
    }
    assert_eq!(served(&place), expected, "{kind}: serve");
    place.check_no_leftovers();
    if is_one {
        place.ok(&line("build image.json -o expected.tar", ""));
        let wrapper = format!(
            "#!/bin/sh\nif [ $1 = overlay ]; then set -- \"$@\" --backend userns; fi\nexec {} \"$@\"\n",
            env!("CARGO_BIN_EXE_layerstone")
        );
        place.write("layerstone", wrapper);
        for tool in Tool::all() {
            crate::wires::write(&place, tool, "");
            tool.ok(&place, &[]);
            assert!(place.read("x.tar") == place.read("expected.tar"), "{kind}: {tool:?}");
            fs::remove_dir_all(place.join("layerstone.build")).unwrap();
            fs::remove_file(place.join("x.tar")).unwrap();
        }
    }
}

#[test]
fn every_command_with_every_kind() {
    if !require_root() || !require_tool("busybox") {
        return;
    }
    let Some(registry) = Registry::start() else { return };
    let kinds = kinds();
    // Each kind has a place of its own.
    std::thread::scope(|scope| {
        for some in kinds.chunks(kinds.len().div_ceil(4)) {
            let registry = &registry;
            scope.spawn(move || some.iter().for_each(|(kind, more)| check(kind, more, registry)));
        }
    });
}
