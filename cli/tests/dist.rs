//! The static binary runs where there is nothing else: in an empty root.

use crate::support::{Place, digest, output, require_root};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

#[test]
fn the_static_binary_runs_in_an_empty_root() {
    if !require_root() {
        return;
    }
    let place = Place::new();
    let binary = make(&place);
    let root = place.join("root");
    fs::create_dir_all(root.join("tmp")).unwrap();
    fs::rename(binary, root.join("layerstone")).unwrap();
    let chroot = |words: &[&str]| {
        let mut command = Command::new("chroot");
        command.arg(&root).arg("/layerstone").args(words).env_clear();
        output(command.env("PATH", std::env::var_os("PATH").unwrap()))
    };
    assert_eq!(chroot(&["--version"]), place.ok("--version").text());
    chroot(&["demo", "-o", "/x.tar"]);
    place.ok("demo -o x.tar");
    assert_eq!(digest(&place.read("root/x.tar")), digest(&place.read("x.tar")));
    assert_eq!(fs::read_dir(root.join("tmp")).unwrap().count(), 0);
}

/// Builds it as `cargo xtask dist` does, but with the profile of the tests, of which most is compiled already, since how it is
/// linked is what is looked at here, not how fast it is. Tests have other features of some dependencies, which are then
/// compiled again.
fn make(place: &Place) -> PathBuf {
    let mut cargo = xtask::cargo();
    cargo
        .args(["run", "--quiet", "--package", "xtask", "--", "dist", "--profile", "dev", "--output"])
        .arg(place.join("dist"));
    output(cargo.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")));
    fs::read_dir(place.join("dist")).unwrap().next().unwrap().unwrap().path()
}
