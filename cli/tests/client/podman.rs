//! podman loads images and shows what was asked for, with its storage in the test's directory.

use super::{Image, check_shown, demo, image, small};
use crate::support::containers_storage::ContainersStorage;
use crate::support::{Place, output, output_json, require_root, require_tool};
use std::process::Command;

#[test]
fn the_demo_loads() {
    if !(require_tool("podman") && require_root()) {
        return;
    }
    let place = Place::new();
    check(&place, &demo(&place), "demo.tar");
}

/// Not gzip: Debian's podman 4.3 loads nobody's archive under it (github.com/containers/podman/issues/15944).
#[test]
fn real_programs_load_plain_and_compressed() {
    if !(require_tool("podman") && require_root()) {
        return;
    }
    let Some(lab) = small() else { return };
    for name in ["small.tar", "small.tar.zst"] {
        let place = Place::new();
        let image = image(&lab, &place);
        place.ok(&format!("build small.json -o {name}"));
        check(&place, &image, name);
    }
}

#[track_caller]
fn check(place: &Place, image: &Image, name: &str) {
    let storage = ContainersStorage::new();
    let said = output(podman(&storage).args(["load", "-i"]).arg(place.join(name)));
    assert_eq!(said, format!("Loaded image: localhost/{}\n", image.reference));
    let shown = output_json(podman(&storage).args(["image", "inspect", &image.reference]));
    check_shown(&shown[0], image);
}

fn podman(storage: &ContainersStorage) -> Command {
    let mut command = storage.command("podman");
    command.args(["--cgroup-manager", "cgroupfs", "--events-backend", "file"]);
    command.arg("--tmpdir").arg(storage.path().join("tmpdir"));
    command
}
