//! Images whose store paths containerd's nix-snapshotter mounts.

use super::machine::Machine;
use crate::mounts::{CLOSURE, layers};

/// One store path stands for all: it refers to each of them, so that Nix brings them with it, and lists them.
#[test]
fn one_path_lists_all() {
    let Some(machine) = Machine::find() else { return };
    let image = r#"layerstone.buildLayeredImage {
        name = "web"; tag = "1"; snapshotter = "nix"; contents = [ hello bash ]; extraCommands = "echo made >made";
    }"#;
    let built = machine.build(image);
    assert_eq!(super::machine::name(built.path()), "web.tar");
    machine.ok(env!("CARGO_BIN_EXE_layerstone"), &["copy", &format!("oci-archive:{}", built.path()), "oci:lay"]);
    let found = layers(&machine.place.join("lay"));
    let [mounts, custom] = &found[..] else { panic!("{} layers", found.len()) };
    let keys: Vec<&String> = mounts.annotations.keys().collect();
    assert_eq!(keys, [CLOSURE]);
    let closure = &mounts.annotations[CLOSURE];
    let listed = String::from_utf8(machine.read(&format!("{closure}/store-paths"))).unwrap();
    let paths: Vec<&str> = listed.lines().collect();
    let references = machine.ok("nix-store", &["--query", "--references", closure]);
    assert!(paths.len() > 4 && paths.iter().all(|path| references.text().contains(path)), "{}", references.text());
    mounts.check_mount_points(&paths, &machine.place.join(""));
    assert!(custom.members.contains_key("/made") && !custom.members.keys().any(|name| name.contains("/nix/store/")));
    // The rest of the result is an image's.
    let reference = machine.value(&format!("({image}).imageTag"));
    assert_eq!(reference, "1");
}
