//! docs/nix.md and docs/nix2container.md: the expressions that need no nixpkgs build as they stand there.

use super::machine::Machine;
use crate::support::archive::{config, manifest};
use serde_json::json;
use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::Path;

/// What the expression of a page builds, in a directory of its own.
#[track_caller]
fn build(machine: &Machine, page: &str) -> String {
    let (_, text) = page.split_once("```nix image.nix\n").unwrap();
    let (text, _) = text.split_once("```").unwrap();
    machine.place.write("page/image.nix", text);
    machine.ok("nix-build", &["--no-out-link", "page/image.nix"]).text().trim_end().to_owned()
}

#[test]
fn the_expressions_build() {
    let Some(machine) = Machine::bare() else { return };
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    std::fs::create_dir(machine.place.join("page")).unwrap();
    symlink(top.join("nix"), machine.place.join("page/nix")).unwrap();
    std::fs::copy(env!("CARGO_BIN_EXE_layerstone"), machine.place.join("page/layerstone")).unwrap();
    let mut tar = Vec::new();
    let bytes = machine.read(&build(&machine, include_str!("../../../docs/nix.md")));
    flate2::read::MultiGzDecoder::new(&*bytes).read_to_end(&mut tar).unwrap();
    assert_eq!(manifest(&tar)["RepoTags"], json!(["page:1"]));
    let stream = build(&machine, include_str!("../../../docs/nix2container.md"));
    let tar = machine.ok(&stream, &[]).stdout;
    assert_eq!(manifest(&tar)["RepoTags"], json!(["conversation:1"]));
    assert_eq!(config(&tar)["history"][0]["author"], "somebody");
}
