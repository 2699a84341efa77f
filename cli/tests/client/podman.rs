//! podman loads images and shows what was asked for, with its storage in the test's folder.

use super::{Image, check_shown, demo, image, small};
use crate::support::{Place, output, output_json, require_root, require_tool};
use std::path::Path;
use std::process::Command;

/// Copies files instead of mounting layers, which works everywhere.
const DRIVER: &str = "vfs";

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
    // podman wants its state in a folder whose name is short.
    let state = tempfile::tempdir_in("/tmp").unwrap();
    let said = output(podman(state.path()).args(["load", "-i"]).arg(place.join(name)));
    assert_eq!(said, format!("Loaded image: localhost/{}\n", image.reference));
    let shown = output_json(podman(state.path()).args(["image", "inspect", &image.reference]));
    check_shown(&shown[0], image);
}

fn podman(state: &Path) -> Command {
    let mut command = Command::new("podman");
    command.args(["--storage-driver", DRIVER, "--cgroup-manager", "cgroupfs", "--events-backend", "file"]);
    for folder in ["root", "runroot", "tmpdir"] {
        command.arg(format!("--{folder}")).arg(state.join(folder));
    }
    // Neither a podman elsewhere nor the configuration of whoever runs the tests.
    command.env_remove("CONTAINER_HOST").env("HOME", state);
    command
}
