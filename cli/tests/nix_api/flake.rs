//! flake.nix: it evaluates, and gives the same API, without any input.

use super::machine::Machine;
use std::path::Path;
use std::process::Command;

#[test]
fn the_flake_gives_the_api() {
    let Some(machine) = Machine::find() else { return };
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let flake = machine.place.join("flake");
    std::fs::create_dir(&flake).unwrap();
    // Alone, as a path flake is copied into the store whole.
    let copied =
        Command::new("cp").arg("--recursive").args([top.join("flake.nix"), top.join("nix")]).arg(&flake).status();
    assert!(copied.unwrap().success());
    let reference = format!("path:{}", flake.display());
    machine.ok("nix", &["flake", "check", "--no-registries", &reference]);
    let image = r#"{ name = "tool"; contents = hello; }"#;
    let of_flake = format!(r#"((builtins.getFlake "{reference}").lib arguments).buildLayeredImage {image}"#);
    let found = machine.value(&format!("({of_flake}).drvPath == (layerstone.buildLayeredImage {image}).drvPath"));
    assert_eq!(found, true);
    // The overlay takes its packages, and the binary, from the package set that it is put over.
    let overlay = format!(
        r#"
        let
          pkgs = (builtins.getFlake "{reference}").overlays.default pkgs {{ }} // {{
            inherit bash coreutils;
            buildPackages = {{ inherit bash coreutils; }};
            bashInteractive = bash;
            layerstone = arguments.layerstone;
            stdenv = {{ buildPlatform.system = "x86_64-linux"; hostPlatform.system = "aarch64-linux"; initialPath = [ ]; }};
          }};
        in pkgs.layerstoneTools.buildLayeredImage {{ name = "tool"; contents = hello; }}"#
    );
    let conf = machine.build(&format!("({overlay}).conf"));
    let conf: serde_json::Value = serde_json::from_slice(&machine.read(conf.path())).unwrap();
    assert_eq!(conf["architecture"], "arm64");
}
