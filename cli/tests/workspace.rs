//! The workspace itself: who may depend on whom, how long files are, how modules begin, and what is said nowhere.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Which of our packages each package may use: a crate uses from another its file types and its named shared tools.
const EDGES: [(&str, &[&str]); 14] = [
    ("layerstone-stage", &[]),
    ("layerstone-closure", &["layerstone-stage"]),
    ("layerstone-layering", &["layerstone-closure", "layerstone-stage"]),
    ("layerstone-layer", &["layerstone-layering", "layerstone-stage"]),
    ("layerstone-oci", &["layerstone-layer", "layerstone-stage"]),
    ("layerstone-registry", &["layerstone-layer", "layerstone-oci", "layerstone-stage"]),
    ("layerstone-image", &["layerstone-layer", "layerstone-oci", "layerstone-stage"]),
    ("layerstone-sandbox", &[]),
    ("layerstone-erofs", &[]),
    ("layerstone-guest", &["layerstone-layer", "layerstone-sandbox", "layerstone-stage"]),
    (
        "layerstone-overlay",
        &["layerstone-erofs", "layerstone-guest", "layerstone-layer", "layerstone-sandbox", "layerstone-stage"],
    ),
    (
        "layerstone-root",
        &["layerstone-closure", "layerstone-image", "layerstone-layer", "layerstone-sandbox", "layerstone-stage"],
    ),
    (
        "layerstone",
        &[
            "layerstone-closure",
            "layerstone-guest",
            "layerstone-image",
            "layerstone-layer",
            "layerstone-layering",
            "layerstone-oci",
            "layerstone-overlay",
            "layerstone-registry",
            "layerstone-root",
            "layerstone-stage",
        ],
    ),
    ("xtask", &[]),
];

/// Lines that a source file may have before its tests.
const LINES: usize = 350;

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// All files that are ours: in no hidden folder but those of the tools, and in no build folder.
fn files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    collect(&top(), &mut found);
    found.sort();
    assert!(found.len() > 100, "{found:?}");
    found
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let (path, name) = (entry.path(), entry.file_name().into_string().unwrap());
        if entry.file_type().unwrap().is_file() {
            found.push(path);
        } else if entry.file_type().unwrap().is_dir() && !["target", ".git", ".jj"].contains(&&*name) {
            collect(&path, found);
        }
    }
}

fn sources() -> impl Iterator<Item = (PathBuf, String)> {
    let rust = files().into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
    rust.map(|path| (path.clone(), std::fs::read_to_string(path).unwrap()))
}

/// Dependencies point one way. What only tests use does not count.
#[test]
fn edges() {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--no-deps", "--offline", "--format-version", "1"]).current_dir(top());
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let ours: BTreeSet<&str> = packages.iter().map(|package| package["name"].as_str().unwrap()).collect();
    let uses = |package: &serde_json::Value| -> BTreeSet<String> {
        let dependencies = package["dependencies"].as_array().unwrap().iter();
        let real = dependencies.filter(|dependency| dependency["kind"] != "dev");
        let names = real.map(|dependency| dependency["name"].as_str().unwrap());
        names.filter(|name| ours.contains(name)).map(str::to_owned).collect()
    };
    let found: BTreeMap<&str, BTreeSet<String>> =
        packages.iter().map(|package| (package["name"].as_str().unwrap(), uses(package))).collect();
    let allowed: BTreeMap<&str, &[&str]> = EDGES.into_iter().collect();
    assert_eq!(found.keys().collect::<Vec<_>>(), allowed.keys().collect::<Vec<_>>());
    for (package, uses) in found {
        for used in uses {
            assert!(allowed[package].contains(&&*used), "{package} may not use {used}");
        }
    }
}

/// Every module begins with a sentence that says what it does.
#[test]
fn modules_begin_with_a_sentence() {
    for (path, text) in sources() {
        let head: Vec<&str> = text.lines().take_while(|line| line.starts_with("//!")).collect();
        let paragraph: Vec<&str> =
            head.iter().map(|line| line[3..].trim()).take_while(|line| !line.is_empty()).collect();
        assert!(paragraph.join(" ").contains(['.', ':']), "{}: {paragraph:?}", path.display());
    }
}

/// Files stay short enough to be read.
#[test]
fn files_are_short() {
    for (path, text) in sources() {
        let before_tests = text.lines().take_while(|line| *line != "#[cfg(test)]").count();
        assert!(before_tests <= LINES, "{}: {before_tests} lines before the tests, at most {LINES}", path.display());
    }
}

/// No module is a drawer.
#[test]
fn no_drawers() {
    for path in files() {
        let stem = path.file_stem().unwrap().to_str().unwrap();
        assert!(!["util", "utils", "helper", "helpers", "common", "misc"].contains(&stem), "{}", path.display());
    }
}

/// Nothing speaks of the place where it was written. Each text is in two pieces, so that this file does not.
#[test]
fn no_word_of_the_workplace() {
    let words: Vec<String> = [
        ("/wo", "rk/"),
        ("../sha", "red"),
        ("sha", "red/seed"),
        ("peers", ".md"),
        ("design", ".md"),
        ("/tmp/tar", "get-"),
        ("/tmp/hel", "per"),
        ("issues sh", "ow"),
        ("/ro", "ot/."),
        ("sub", "agent"),
    ]
    .map(|(a, b)| [a, b].concat())
    .into();
    // In a second work tree .git is a file that says where the first one is.
    for path in files().into_iter().filter(|path| path.file_name() != Some(".git".as_ref())) {
        let bytes = std::fs::read(&path).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        for word in &words {
            assert!(!text.contains(word.as_str()), "{}: {word}", path.display());
        }
    }
}
