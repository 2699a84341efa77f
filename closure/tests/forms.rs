//! One closure in every form that is read: all give the same graph.
//!
//! The closure is that of a coreutils, as Nix 2.8 wrote it: `graph.json` (exportReferencesGraph), `list.path-info.json`
//! (`nix path-info --json -r`), `registration` (closureInfo), `dump-db.txt` (`nix-store --dump-db`). The other files
//! are the same facts in the forms of other versions, after Nix's manual.

#![allow(clippy::unwrap_used)]

use layerstone_closure::{Closure, ReferencesGraph};
use layerstone_store::StorePath;
use std::path::Path;

fn forms() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/forms")
}

fn expected() -> Closure {
    Closure::read(&forms().join("graph.json")).unwrap()
}

#[track_caller]
fn check(file: &str) {
    let closure = Closure::read(&forms().join(file)).unwrap();
    assert_eq!(closure, expected());
}

#[test]
fn the_graph_has_what_nix_wrote() {
    let closure = expected();
    assert_eq!(closure.graph.len(), 8);
    let libgmp = &closure.graph[0];
    assert_eq!(libgmp.path.as_str(), "/nix/store/0p4vyr3lyb5pyvi5ddqwd6wqd5pzr983-libgmp10-6.2.1");
    assert_eq!(libgmp.nar_size, Some(883_776));
    let hash = libgmp.nar_hash.map(|hash| hash.to_string());
    assert_eq!(hash.as_deref(), Some("sha256:0ynqfyjdwaidxzbxkghnvk1jvm5zckmsikabjwyhs5f6alm8x80j"));
    assert_eq!(libgmp.references.len(), 1);
}

#[test]
fn array() {
    check("array.graph.json");
}

#[test]
fn path_info_list() {
    check("list.path-info.json");
}

#[test]
fn path_info_object() {
    check("object.path-info.json");
}

#[test]
fn path_info_with_base_names() {
    check("info.path-info.json");
}

#[test]
fn closure_info() {
    check("registration");
}

#[test]
fn dump_db() {
    check("dump-db.txt");
}

#[test]
fn plain_text_has_neither_hash_nor_size() {
    let mut expected = expected();
    for info in &mut expected.graph {
        (info.nar_hash, info.nar_size) = (None, None);
    }
    assert_eq!(Closure::read(&forms().join("plain.txt")).unwrap(), expected);
}

#[test]
fn a_root_and_what_it_reaches() {
    let graph = ReferencesGraph::read(&forms().join("dump-db.txt")).unwrap();
    let root = StorePath::parse("/nix/store/xiwik1z9bwn53hbpsxmy1mwjkg99qwkb-glibc-2.36").unwrap();
    let names: Vec<_> = graph.closure(&[root]).unwrap().graph.iter().map(|info| info.path.name().to_owned()).collect();
    assert_eq!(names, ["gcc-12-base-12.2.0", "glibc-2.36"]);
}

#[test]
fn an_empty_file_is_no_graph() {
    let error = ReferencesGraph::parse(b" \n", "x").unwrap_err().to_string();
    assert_eq!(error, "malformed references graph: x: found an empty file, expected JSON or registration text");
}
