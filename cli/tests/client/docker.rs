//! docker loads images plain, compressed and from a pipe, shows what was asked for, and runs them.

use super::{GNU_GREETING, Image, check_shown, demo, image, small, spec};
use crate::support::docker::{Docker, client};
use crate::support::lab::Lab;
use crate::support::{Place, digest};
use serde_json::{Value, json};
use std::process::Stdio;

#[test]
fn the_demo_greets() {
    let Some(docker) = Docker::find() else { return };
    let place = Place::new();
    let image = demo(&place);
    let turn = docker.turn();
    let loaded = turn.load(&image.file, &image.reference);
    check_shown(&loaded.shown(), &image);
    assert_eq!(loaded.run(&[]), "Hello from layerstone: three store paths, one image, no daemon.\n");
}

#[test]
fn real_programs_run_as_the_config_says() {
    let (Some(docker), Some(lab)) = (Docker::find(), small()) else { return };
    let place = Place::new();
    let image = image(&lab, &place);
    assert_eq!(image.config["config"], spec(&lab)["config"]);
    let turn = docker.turn();
    let loaded = turn.load(&image.file, &image.reference);
    let shown = loaded.shown();
    check_shown(&shown, &image);
    assert_eq!(shown["RepoTags"], json!([format!("layerstone-test-small:{}", &image.id[7..39])]));
    assert_eq!(loaded.run(&[]), format!("{GNU_GREETING}a value: \"quoted\"\n/share\n1000\n100\n"));
    assert_eq!(loaded.run(&["-c", "readlink -f /bin/hello"]).split('/').nth(2), Some("store"));
}

/// The three ways into docker give one image. Debian's docker 20.10 knows no zstd.
#[test]
fn plain_gzip_and_piped_images_are_one() {
    let (Some(docker), Some(lab)) = (Docker::find(), small()) else { return };
    let place = Place::new();
    let image = image(&lab, &place);
    place.ok("build small.json -o small.tar.gz");
    assert_eq!(&place.read("small.tar.gz")[..2], b"\x1f\x8b");
    let turn = docker.turn();
    for name in ["small.tar", "small.tar.gz"] {
        let loaded = turn.load(&place.join(name), &image.reference);
        check_shown(&loaded.shown(), &image);
    }
    let loaded = turn.loaded(&image.reference);
    assert_eq!(piped(&place, "build small.json -o -"), format!("Loaded image: {}\n", image.reference));
    check_shown(&loaded.shown(), &image);
}

/// What `layerstone … | docker load` says.
#[track_caller]
fn piped(place: &Place, line: &str) -> String {
    let mut layerstone = place.command(line).stderr(Stdio::inherit()).spawn().unwrap();
    let archive = layerstone.stdout.take().unwrap();
    let load = client("load").stdin(archive).output().unwrap();
    assert!(layerstone.wait().unwrap().success());
    assert!(load.status.success(), "{}", String::from_utf8_lossy(&load.stderr));
    String::from_utf8(load.stdout).unwrap()
}

/// Two images in one archive, one of them from a compressed file: docker has both, and both run.
#[test]
fn merged_images_load_and_run() {
    let (Some(docker), Some(lab)) = (Docker::find(), small()) else { return };
    let place = Place::new();
    let images = [demo(&place), image(&lab, &place)];
    place.ok("build small.json -o small.tar.zst");
    let told = place.ok("merge demo.tar small.tar.zst -o merged.tar");
    let expected: String = images.iter().map(|image| format!("{} {}\n", image.reference, image.id)).collect();
    assert_eq!(told.text(), expected);
    let turn = docker.turn();
    let loaded = turn.load_all(&place.join("merged.tar"), images.each_ref().map(|image| &*image.reference));
    for ((loaded, image), greeting) in loaded.iter().zip(&images).zip(["Hello from layerstone", GNU_GREETING]) {
        check_shown(&loaded.shown(), image);
        assert!(loaded.run(&[]).starts_with(greeting));
    }
}

/// An image that has its users, a /tmp, a shell and env from ready contents alone.
#[test]
fn ready_contents_are_what_programs_ask_for() {
    let (Some(docker), Some(lab)) = (Docker::find(), small()) else { return };
    let place = Place::new();
    let [bash, coreutils] = ["bash", "coreutils"].map(|name| lab.path(name));
    let users = json!({
        "extraPasswdLines": ["app:x:1000:100:An app:/tmp:/bin/sh"], "extraGroupLines": ["users:x:100:app"],
    });
    for (kind, script) in [("layered", ""), ("single", "mkdir data")] {
        let spec = json!({
            "name": "layerstone-test-ready",
            "tag": "1",
            "kind": kind,
            "contents": coreutils,
            "extraCommands": script,
            "graph": lab.graph(),
            "helpers": [{"fakeNss": users}, "tmp", "shadowSetup", {"binSh": bash}, {"usrBinEnv": coreutils}],
            "config": {"Env": ["PATH=/bin"]},
        });
        place.write("ready.json", spec.to_string());
        place.ok("build ready.json -o ready.tar");
        let image = Image::read(place.join("ready.tar"));
        let turn = docker.turn();
        let loaded = turn.load(&image.file, &image.reference);
        assert_eq!(loaded.run_as("nobody", &["id", "-un"]), "nobody\n");
        assert_eq!(loaded.run_as("app", &["/bin/sh", "-c", "id -un; id -gn; echo $HOME"]), "app\nusers\n/tmp\n");
        assert_eq!(loaded.run(&["/usr/bin/env", "sh", "-c", "echo $0 $BASH; id -un"]), "sh /bin/sh\nroot\n");
        let words = "touch /tmp/x; ls -ld /tmp | cut -c -10; cat /etc/shadow 2>/dev/null || echo no";
        assert_eq!(loaded.run_as("1000", &["/bin/sh", "-c", words]), "drwxrwxrwt\nno\n");
    }
}

/// A home that is its user's, and a directory for everybody.
#[test]
fn owners_and_modes_are_what_the_rules_say() {
    let (Some(docker), Some(lab)) = (Docker::find(), small()) else { return };
    let place = Place::new();
    let spec = json!({
        "name": "layerstone-test-perms",
        "tag": "1",
        "contents": [lab.path("bash"), lab.path("coreutils")],
        "extraCommands": "mkdir -p home/alice open; echo hi > home/alice/.profile",
        "graph": lab.graph(),
        "perms": [
            {"glob": "home/**", "uid": 1000, "gid": 100, "mode": "0700"},
            {"path": "home/alice/.profile", "mode": "0600"},
            {"path": "open", "mode": "1777"},
        ],
        "config": {"Env": ["PATH=/bin"]},
    });
    place.write("perms.json", spec.to_string());
    place.ok("build perms.json -o perms.tar");
    let image = Image::read(place.join("perms.tar"));
    let turn = docker.turn();
    let loaded = turn.load(&image.file, &image.reference);
    assert_eq!(
        loaded.run(&["stat", "-c", "%u:%g %a", "/home", "/home/alice", "/open"]),
        "0:0 755\n1000:100 700\n0:0 1777\n"
    );
    let words = "echo ho >> /home/alice/.profile; touch /open/x; cat /home/alice/.profile";
    assert_eq!(loaded.run_as("1000:100", &["bash", "-c", words]), "hi\nho\n");
    let words = "cat /home/alice/.profile 2>/dev/null || echo no";
    assert_eq!(loaded.run_as("1001:100", &["bash", "-c", words]), "no\n");
}

/// nixpkgs' conf.json, put together from what single stages make.
#[test]
fn a_stream_loads_and_runs() {
    let (Some(docker), Some(lab)) = (Docker::find(), small()) else { return };
    let place = Place::new();
    place.write("conf.json", conf(&place, &lab).to_string());
    place.ok("stream conf.json -o stream.tar");
    let image = Image::read(place.join("stream.tar"));
    let turn = docker.turn();
    let loaded = turn.loaded(&image.reference);
    assert_eq!(piped(&place, "stream conf.json"), "Loaded image: layerstone-test-stream:1\n");
    check_shown(&loaded.shown(), &image);
    assert_eq!(loaded.run(&[]), GNU_GREETING);
    // Another name, the same image.
    place.ok("stream conf.json -t layerstone-test-stream:2 -o renamed.tar");
    let renamed = Image::read(place.join("renamed.tar"));
    assert_eq!((&*renamed.reference, &renamed.id), ("layerstone-test-stream:2", &image.id));
    check_shown(&turn.load(&renamed.file, &renamed.reference).shown(), &image);
}

/// What nixpkgs would hand to stream_layered_image.py for GNU hello.
fn conf(place: &Place, lab: &Lab) -> Value {
    let (graph, env) = (lab.graph(), &lab.env);
    place.ok(&format!("layers {} --max-layers 99 -o small.layers.json", graph.display()));
    place.write("customisation/checksum", "");
    place.ok(&format!("root --contents {env} -o root.layer.json --blob customisation/layer.tar"));
    place.write("customisation/checksum", digest(&place.read("customisation/layer.tar")));
    json!({
        "architecture": "amd64",
        "config": { "Cmd": ["/bin/hello"] },
        "created": "1970-01-01T00:00:01+00:00",
        "customisation_layer": place.join("customisation"),
        "from_image": null,
        "gid": "0",
        "gname": "root",
        "mtime": "1970-01-01T00:00:01+00:00",
        "os": "linux",
        "repo_tag": "layerstone-test-stream:1",
        "store_dir": "/nix/store",
        "store_layers": place.json("small.layers.json")["layers"],
        "uid": "0",
        "uname": "root",
    })
}
