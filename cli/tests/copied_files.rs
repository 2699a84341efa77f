//! Plain files in images: `copy` and `--copy`, in one go, stage by stage, by ninja and make; over bases, with scripts, run
//! in docker.

use crate::support::archive::{self, members};
use crate::support::docker::Docker;
use crate::support::{Place, digest, require_root, require_tool};
use crate::wires::Tool;
use serde_json::{Value, json};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::Command;

/// A place with an application: a program, configuration, a directory of dependencies, a tar.
fn application() -> Place {
    let place = Place::new();
    for (name, text, mode) in [
        ("app", "#!/bin/sh\necho app\n", 0o755),
        ("conf/app.conf", "a=1\n", 0o644),
        ("conf/secret/key", "k", 0o600),
        ("deps/one/x", "1", 0o644),
        ("deps/two/y.pyc", "2", 0o644),
    ] {
        place.write_mode(name, text, mode);
    }
    symlink("app.conf", place.join("conf/link")).unwrap();
    let mut tar = Command::new("tar");
    tar.args(["-cf", "rootfs.tar", "--owner=5", "--group=6", "--numeric-owner", "-C", "conf", "."]);
    assert!(tar.current_dir(place.path()).status().unwrap().success());
    place
}

fn spec() -> Value {
    json!({"name": "app", "tag": "1", "config": {"Cmd": ["/bin/app"]}, "copy": [
        {"from": "app", "to": "/bin/", "mode": "0755"},
        {"from": "conf", "to": "/etc/app", "uid": 7, "exclude": "secret"},
        {"from": "deps", "to": "/lib/deps", "layer": "deps", "exclude": ["**/*.pyc"]},
        {"from": "rootfs.tar", "to": "/from-tar/", "layer": "rest"},
    ]})
}

/// The files of each layer of a docker archive, bottom first: mode, owner, name.
fn layers(tar: &[u8]) -> Vec<Vec<String>> {
    let manifest = archive::manifest(tar);
    let names = manifest["Layers"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned());
    names.map(|name| lines(&archive::member(tar, &name))).collect()
}

fn lines(layer: &[u8]) -> Vec<String> {
    let mut archive = tar::Archive::new(layer);
    let entries = archive.entries().unwrap().map(|entry| {
        let entry = entry.unwrap();
        let header = entry.header();
        let (mode, uid, gid) = (header.mode().unwrap(), header.uid().unwrap(), header.gid().unwrap());
        format!("{mode:o} {uid}:{gid} {}", entry.path().unwrap().display())
    });
    entries.collect()
}

#[test]
fn what_is_in_the_layers() {
    let place = application();
    place.write("image.json", spec().to_string());
    place.ok("build image.json -o app.tar");
    let expected = [
        vec![
            "755 0:0 ./",
            "755 0:0 ./lib/",
            "755 0:0 ./lib/deps/",
            "755 0:0 ./lib/deps/one/",
            "644 0:0 ./lib/deps/one/x",
            "755 0:0 ./lib/deps/two/",
        ],
        vec![
            "755 0:0 ./",
            "755 0:0 ./from-tar/",
            "644 5:6 ./from-tar/app.conf",
            "777 5:6 ./from-tar/link",
            "755 5:6 ./from-tar/secret/",
            "600 5:6 ./from-tar/secret/key",
        ],
        vec![
            "755 0:0 ./",
            "755 0:0 ./bin/",
            "755 0:0 ./bin/app",
            "755 0:0 ./etc/",
            "755 7:0 ./etc/app/",
            "644 7:0 ./etc/app/app.conf",
            "777 7:0 ./etc/app/link",
        ],
    ];
    assert_eq!(layers(&place.read("app.tar")), expected);
    let history = archive::config(&place.read("app.tar"))["history"].clone();
    assert_eq!(history[0]["comment"], "copied files: deps");
}

/// By flags and by image.json, with other umasks and as copies of the files elsewhere.
#[test]
fn same_files_same_bytes() {
    let place = application();
    place.write("image.json", spec().to_string());
    place.ok("build image.json -o app.tar");
    let flags = "--name app --tag 1 --cmd /bin/app --copy app:/bin/,mode=0755 --copy conf/:/etc/app,uid=7,exclude=secret \
        --copy ./deps:/lib/deps,layer=deps,exclude=**/*.pyc --copy rootfs.tar:/from-tar/,layer=rest";
    place.ok(&format!("build {flags} -o flags.tar"));
    assert!(place.read("flags.tar") == place.read("app.tar"));
    let mut command = Command::new("sh");
    let script = format!(
        "umask 077; cp -a app conf deps rootfs.tar image.json elsewhere/ && cd elsewhere && exec {} build \
        image.json --no-cache -o ../umask.tar",
        env!("CARGO_BIN_EXE_layerstone")
    );
    fs::create_dir(place.join("elsewhere")).unwrap();
    assert!(command.args(["-c", &script]).current_dir(place.path()).status().unwrap().success());
    assert!(place.read("umask.tar") == place.read("app.tar"));
}

#[test]
fn stage_by_stage() {
    let place = application();
    place.write("image.json", spec().to_string());
    place.ok("build image.json -o app.tar");
    place.ok("root --spec image.json --copy-layer deps -o deps.layer.json --blob deps.tar");
    place.ok("root --spec image.json --copy-layer rest --below deps.layer.json -o rest.layer.json --blob rest.tar");
    place.ok(
        "root --spec image.json --below deps.layer.json --below rest.layer.json -o root.layer.json --blob root.tar",
    );
    place.ok("image --spec image.json deps.layer.json rest.layer.json root.layer.json -o staged.tar");
    assert_eq!(members(&place.read("staged.tar")), members(&place.read("app.tar")));
    let error = place.fail("root --spec image.json --copy-layer other -o x.layer.json --blob x.tar");
    assert_eq!(error, "error: no such layer: other: found deps, rest in copy\n");
}

/// By ninja and make; every file decides, and a new one too.
#[test]
fn by_ninja_and_make() {
    for tool in Tool::all() {
        let place = application();
        place.write("image.json", spec().to_string());
        place.ok("build image.json -o app.tar");
        place.ok(&format!("{} image.json --image wired.tar", tool.name()));
        tool.ok(&place, &[]);
        assert!(place.read("wired.tar") == place.read("app.tar"), "{tool:?}");
        let before = digest(&place.read("wired.tar"));
        for (name, text) in [("conf/app.conf", "a=2\n"), ("deps/one/new", "3"), ("app", "#!/bin/sh\n")] {
            place.write(name, text);
            tool.ok(&place, &[]);
            place.ok("build image.json -o app.tar");
            assert!(place.read("wired.tar") == place.read("app.tar"), "{tool:?} {name}");
        }
        assert_ne!(digest(&place.read("wired.tar")), before);
        // What is left out decides nothing.
        tool.ok(&place, &[]);
        place.write("conf/secret/key", "other");
        tool.ok(&place, &[]);
        assert!(place.read("wired.tar") == place.read("app.tar"), "{tool:?}");
    }
}

/// Over a base, whose symlinks and modes stay; scripts see what is copied, and owners stay with the names.
#[test]
fn bases_and_scripts() {
    let place = application();
    for name in ["base/usr/bin", "base/tmp"] {
        fs::create_dir_all(place.join(name)).unwrap();
    }
    symlink("usr/bin", place.join("base/bin")).unwrap();
    fs::set_permissions(place.join("base/tmp"), Permissions::from_mode(0o1777)).unwrap();
    place.ok("build --name base --tag 1 --copy base:/ -o base.tar");
    place.write("tmp/x", "");
    place.write("script", "cat bin/app > copied; echo more >> etc/app.conf");
    let flags =
        "--base base.tar --copy app:/bin/ --copy tmp:/tmp --copy conf/app.conf:/etc/,uid=9 --extra-commands script";
    place.ok(&format!("build --name app --tag 1 {flags} -o app.tar"));
    let top = layers(&place.read("app.tar")).pop().unwrap();
    let expected = [
        "755 0:0 ./",
        "644 0:0 ./copied",
        "755 0:0 ./etc/",
        "644 9:0 ./etc/app.conf",
        "1777 0:0 ./tmp/",
        "644 0:0 ./tmp/x",
        "755 0:0 ./usr/",
        "755 0:0 ./usr/bin/",
        "755 0:0 ./usr/bin/app",
    ];
    assert_eq!(top, expected);
}

#[test]
fn one_layer_of_everything() {
    let place = application();
    place.ok("build --name app --kind single --tag 1 --copy app:/bin/app --copy conf:/etc,gid=3 -o app.tar");
    let layers = layers(&place.read("app.tar"));
    assert_eq!(layers.len(), 1);
    assert!(layers[0].contains(&"600 0:3 ./etc/secret/key".to_owned()), "{layers:?}");
    let error = place.fail("build --name app --kind single --copy app:/bin/app,layer=x -o x.tar");
    assert!(error.contains("copy: found a layer in an image of kind \"single\""), "{error}");
}

#[test]
fn what_cannot_be_copied() {
    let place = application();
    place.write("x.tar", "no tar at all");
    assert!(Command::new("mkfifo").arg(place.join("deps/pipe")).status().unwrap().success());
    for (flags, expected) in [
        ("--copy absent:/x", "cannot read: absent: No such file"),
        ("--copy app", "expected FROM:TO"),
        ("--copy app:/../x", "expected a path in the image"),
        ("--copy x.tar:/", "x.tar"),
        ("--copy conf:/x,unpack=true", "cannot copy: conf: found a directory, expected a tar"),
        ("--copy deps:/x", "deps/pipe: found a pipe"),
        ("--copy app:/x --copy conf:/x", "contents disagree: x: app is a regular file, conf a directory"),
        ("--copy conf:/x,exclude=[", "not a glob: \"[\""),
        ("--copy .:/x", "it is in ., which is copied, expected another place or an exclude"),
        ("--copy app:/x,layer=a --max-layers 2", "expected 3 or more: 0 of the base image, 1 of copy and tarLayers, "),
    ] {
        let run = place.run(&format!("build --name app {flags} -o out.tar"));
        assert!(run.code != Some(0) && run.stderr.contains(expected), "{flags}: {}", run.stderr);
        assert!(!place.join("out.tar").exists(), "{flags}");
    }
    fs::remove_file(place.join("deps/pipe")).unwrap();
    let warned = place.ok("build --name app --copy app:/x --copy conf/app.conf:/x -o out.tar");
    assert!(warned.stderr.contains("contents conflict: x: conf/app.conf kept, app ignored"), "{}", warned.stderr);
    place.ok("build --name app --copy .:/x,exclude=*.tar -o all.tar");
}

/// What is no store path is a plain file.
#[test]
fn contents_that_are_none_of_a_store() {
    let place = application();
    for (path, hint) in
        [("./app", "--copy ./app:/app"), ("conf", "--copy conf:/"), ("/usr/bin/env", "--copy /usr/bin/env:/env")]
    {
        for command in ["build --name app -o app.tar", "root -o app.layer.json --blob app.tar"] {
            let error = place.fail(&format!("{command} --contents {path}"));
            assert!(error.contains("it is outside the store /nix/store"), "{error}");
            assert!(error.contains(&format!("hint: {hint} copies plain files into the image")), "{error}");
        }
    }
    assert!(!place.fail("build --name app -o app.tar --contents absent").contains("--copy"));
}

/// A program that was linked statically, from a file to a container.
#[test]
fn runs_in_docker() {
    let Some(docker) = Docker::find() else { return };
    if !require_tool("busybox") || !require_root() {
        return;
    }
    let place = application();
    fs::copy("/bin/busybox", place.join("busybox")).unwrap();
    place.ok(
        "build --name copied --tag 1 --copy busybox:/bin/sh --copy app:/app --copy conf/:/etc/app,uid=1000,mode=0600 \
        --cmd /app -o app.tar",
    );
    let turn = docker.turn();
    let loaded = turn.load(&place.join("app.tar"), "copied:1");
    assert_eq!(loaded.run(&[]), "app\n");
    assert_eq!(loaded.run_as("1000", &["/bin/sh", "-c", "cat /etc/app/link"]), "a=1\n");
}
