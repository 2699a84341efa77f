//! Images whose scripts run as a fake root, and in the layer as the root of all files.

use super::alone::{failure, files, load};
use super::examples::{Built, Examples};
use crate::client::GNU_GREETING;
use crate::support::docker::Docker;
use crate::support::{Place, output};
use serde_json::{Value, json};
use std::process::Command;

#[test]
fn without_store_paths() {
    let (Some(docker), Some(examples)) = (Docker::find(), Examples::find()) else { return };
    let keys = json!({
        "contents": examples.path("hello"), "config": {"Cmd": ["hello"]}, "includeStorePaths": false,
        "enableFakechroot": true, "fakeRootCommands": "test -x /bin/hello",
    });
    let image = examples.layered("helloOnRootNoStoreFakechroot", keys);
    let turn = docker.turn();
    let loaded = load(&turn, &image);
    let said = failure(&mut loaded.container("", &[]));
    assert!(said.contains("executable file not found") || said.contains("no such file or directory"), "{said}");
    assert!(!files(&image).iter().any(|name| name.contains("nix/store/")));
    let volume = format!("--volume {}:/nix/store:ro", examples.locate("/nix/store").display());
    assert_eq!(output(&mut loaded.container(&volume, &[])), GNU_GREETING);
}

/// An image with a home that is given away.
fn alice(examples: &Examples) -> Built {
    let keys = json!({
        "contents": [examples.path("bash"), examples.path("coreutils")],
        "fakeRootCommands": "mkdir -p ./home/alice\nchown 1000 ./home/alice",
    });
    examples.layered("layered-image-with-fake-root-commands", keys)
}

const OWNER_OF_HOME: [&str; 4] = ["stat", "-c", "%u", "/home/alice"];

#[test]
fn owner_of_a_home() {
    let (Some(docker), Some(examples)) = (Docker::find(), Examples::find()) else { return };
    let image = alice(examples);
    let turn = docker.turn();
    assert_eq!(load(&turn, &image).run(&OWNER_OF_HOME), "1000\n");
}

#[test]
fn merging_keeps_owners() {
    let (Some(docker), Some(examples)) = (Docker::find(), Examples::find()) else { return };
    let alice = alice(examples);
    let hello = examples.single("hello", json!({"contents": examples.path("hello"), "config": {"Cmd": ["hello"]}}));
    let place = Place::new();
    place.ok(&format!("merge {} {} -o merged.tar", alice.file.display(), hello.file.display()));
    let turn = docker.turn();
    let loaded = turn.load_all(&place.join("merged.tar"), [&*alice.reference, &hello.reference]);
    assert_eq!(loaded[0].run(&OWNER_OF_HOME), "1000\n");
    assert_eq!(loaded[1].run(&[]), GNU_GREETING);
}

#[test]
fn store_paths_that_the_script_refers_to() {
    let (Some(docker), Some(examples)) = (Docker::find(), Examples::find()) else { return };
    let script = format!("mkdir hello\nln -s {}/bin hello/bin", examples.path("hello"));
    let keys = json!({"contents": examples.path("bash"), "fakeRootCommands": script});
    let image = examples.layered("layeredImageWithFakeRootCommands-hello", keys);
    let turn = docker.turn();
    assert_eq!(load(&turn, &image).run(&["/hello/bin/hello"]), GNU_GREETING);
}

/// The script makes the directory that there would not be without the layer as its root.
#[test]
fn made_as_root_of_all_files() {
    let (Some(docker), Some(examples)) = (Docker::find(), Examples::find()) else { return };
    let keys = json!({
        "config": {"Cmd": ["hello"]},
        "enableFakechroot": true,
        "fakeRootCommands": format!("mkdir /bin\nln -s {}/bin/hello /bin/hello", examples.path("hello")),
    });
    let image = examples.layered("image-via-fake-chroot", keys);
    let turn = docker.turn();
    assert_eq!(load(&turn, &image).run(&[]), GNU_GREETING);
}

#[test]
fn etc_of_a_script() {
    let (Some(docker), Some(examples)) = (Docker::find(), Examples::find()) else { return };
    let script = "mkdir -p /etc/static /tmp; chmod 1777 /tmp\n\
         echo '127.0.0.1 localhost' > /etc/static/nsswitch-hosts; ln -s /etc/static/nsswitch-hosts /etc/names\n\
         echo 'root:x:0:0::/root:/bin/sh' > /etc/passwd; echo 'root:!::::::::' > /etc/shadow\n\
         chown 0:42 /etc/shadow; chmod 640 /etc/shadow";
    let keys = json!({
        "contents": [examples.path("bash"), examples.path("coreutils")],
        "enableFakechroot": true,
        "fakeRootCommands": script,
    });
    let image = examples.layered("etc", keys);
    let turn = docker.turn();
    let loaded = load(&turn, &image);
    assert!(loaded.run(&["cat", "/etc/names"]).contains("localhost"));
    assert_eq!(loaded.run(&["stat", "-c", "%u:%g %a", "/etc/shadow"]), "0:42 640\n");
}

fn chown_test(examples: &Examples) -> Value {
    let stat = format!("{}/bin/stat", examples.path("coreutils"));
    json!({
        "fakeRootCommands": "touch testfile; chown 12345:12345 testfile",
        "config": {"Cmd": [stat, "-c", "%u:%g", "/testfile"]},
    })
}

/// In an image of one layer too.
#[test]
fn owner_of_a_file() {
    let (Some(docker), Some(examples)) = (Docker::find(), Examples::find()) else { return };
    for image in [
        examples.single("chown-test-fake", chown_test(examples)),
        examples.layered("chown-test-fake-layered", chown_test(examples)),
    ] {
        let turn = docker.turn();
        assert_eq!(load(&turn, &image).run_as("12345", &[]), "12345:12345\n");
    }
}

#[test]
fn exported_as_one_tar() {
    let Some(examples) = Examples::find() else { return };
    let image = examples.single("bash", json!({"contents": examples.path("bash")}));
    let place = Place::new();
    place.ok(&format!("overlay export {} -o rootfs.tar", image.file.display()));
    let listing = output(Command::new("tar").arg("-tf").arg(place.join("rootfs.tar")));
    assert!(listing.lines().any(|name| name == "./bin/bash"), "{listing}");
}
