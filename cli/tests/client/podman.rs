//! podman loads images and shows what was asked for, with its storage in the test's folder.

use super::{Image, Lab, check_shown, demo, output, output_json};
use crate::support::{Place, require_root, require_tool};
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

#[test]
fn real_programs_load_plain_and_compressed() {
    if !(require_tool("podman") && require_root()) {
        return;
    }
    let Some(lab) = Lab::find() else { return };
    for name in ["small.tar", "small.tar.gz", "small.tar.zst"] {
        let place = Place::new();
        let image = lab.image(&place);
        place.ok(&format!("build small.json -o {name}"));
        check(&place, &image, name);
    }
}

#[track_caller]
fn check(place: &Place, image: &Image, name: &str) {
    let said = output(podman(place).args(["load", "-i"]).arg(place.join(name)));
    assert_eq!(said, format!("Loaded image: localhost/{}\n", image.reference));
    let shown = output_json(podman(place).args(["image", "inspect", &image.reference]));
    check_shown(&shown[0], image);
}

fn podman(place: &Place) -> Command {
    let mut command = Command::new("podman");
    command.args(["--storage-driver", DRIVER, "--cgroup-manager", "cgroupfs", "--events-backend", "file"]);
    for folder in ["root", "runroot", "tmpdir"] {
        command.arg(format!("--{folder}")).arg(place.join(format!("podman-{folder}")));
    }
    // The proxy of a registry or a remote podman are none of our business.
    command.env_remove("CONTAINER_HOST").env("HOME", place.path());
    command
}
