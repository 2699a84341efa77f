//! README.md: the expression that needs no nixpkgs builds as it stands there.

use super::machine::Machine;
use crate::support::archive::manifest;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::Path;

#[test]
fn the_expression_builds() {
    let Some(machine) = Machine::bare() else { return };
    let (_, text) = include_str!("../../../README.md").split_once("```nix image.nix\n").unwrap();
    let (text, _) = text.split_once("```").unwrap();
    machine.place.write("page/image.nix", text);
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    symlink(top.join("nix"), machine.place.join("page/nix")).unwrap();
    std::fs::copy(env!("CARGO_BIN_EXE_layerstone"), machine.place.join("page/layerstone")).unwrap();
    let built = machine.ok("nix-build", &["--no-out-link", "page/image.nix"]);
    let mut tar = Vec::new();
    let bytes = machine.read(built.text().trim_end());
    flate2::read::MultiGzDecoder::new(&*bytes).read_to_end(&mut tar).unwrap();
    assert_eq!(manifest(&tar)["RepoTags"], serde_json::json!(["page:1"]));
}
