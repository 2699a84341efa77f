//! flake.nix: it evaluates, and gives the same API, without any input.

use super::machine::{Machine, name, stripped};
use crate::support::{Place, output};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// Makes a copy of our flake, alone, as a path flake is brought into the store whole; how it is called.
fn copy(place: &Place) -> String {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let flake = place.join("flake");
    std::fs::create_dir(&flake).unwrap();
    output(Command::new("cp").arg("--recursive").args([top.join("flake.nix"), top.join("nix")]).arg(&flake));
    format!("path:{}", flake.display())
}

#[test]
fn the_flake_gives_the_api() {
    let Some(machine) = Machine::find() else { return };
    let reference = copy(&machine.place);
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

/// A flake of somebody's that uses ours: nothing but what flakes lock goes into its images, plans included.
#[test]
fn a_flake_that_uses_it() {
    let Some(machine) = Machine::empty() else { return };
    let ours = copy(&machine.place);
    let text = r#"{
      inputs.layerstone.url = "OURS";
      outputs = { self, layerstone }:
        let
          system = "x86_64-linux";
          tools = layerstone.lib { inherit system; layerstone = ./layerstone; };
          page = derivation { name = "page"; inherit system; builder = "/bin/sh"; args = [ "-c" "echo page >$out" ]; };
        in {
          packages.${system} = {
            layered = tools.buildLayeredImage { name = "page"; tag = "1"; config.Labels.page = "${page}"; };
            single = tools.buildImage { name = "page"; tag = "1"; config.Labels.page = "${page}"; };
          };
        };
    }"#;
    machine.place.write("theirs/flake.nix", text.replace("OURS", &ours));
    std::fs::copy(stripped(), machine.place.join("theirs/layerstone")).unwrap();
    let theirs = format!("path:{}", machine.place.join("theirs").display());
    machine.ok("nix", &["flake", "check", "--no-registries", &theirs]);
    let packages = ["layered", "single"].map(|package| format!("{theirs}#{package}"));
    let built = machine.ok("nix", &["build", "--no-registries", "--no-link", "--json", &packages[0], &packages[1]]);
    let built: serde_json::Value = serde_json::from_slice(&built.stdout).unwrap();
    let names = built.as_array().unwrap().iter().map(|it| name(it["outputs"]["out"].as_str().unwrap()));
    assert_eq!(names.collect::<BTreeSet<_>>(), BTreeSet::from(["docker-image-page.tar.gz", "page.tar.gz"]));
}
