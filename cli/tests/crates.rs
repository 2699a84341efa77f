//! The libraries as crates.io wants them: a page that begins with an example, words to be found by, licences, versions.

use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// What cargo knows of each package that is published.
fn packages() -> Vec<Value> {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--no-deps", "--offline", "--format-version", "1"]).current_dir(top());
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages.filter(|package| package["publish"] != serde_json::json!([])).cloned().collect()
}

fn folder(package: &Value) -> PathBuf {
    Path::new(package["manifest_path"].as_str().unwrap()).parent().unwrap().to_owned()
}

#[test]
fn what_is_published_says_what_it_is() {
    let mut names = BTreeSet::new();
    for package in packages() {
        let name = package["name"].as_str().unwrap();
        names.insert(name.to_owned());
        for (key, most) in [("keywords", 5), ("categories", 5)] {
            let words = package[key].as_array().unwrap();
            assert!((1..=most).contains(&words.len()), "{name}: {key}: {words:?}");
            assert!(words.iter().all(|word| word.as_str().unwrap().len() <= 40), "{name}: {words:?}");
        }
        assert!(
            package["keywords"].as_array().unwrap().iter().all(|word| word.as_str().unwrap().len() <= 20),
            "{name}"
        );
        for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
            assert_eq!(
                fs::read(folder(&package).join(licence)).unwrap(),
                fs::read(top().join(licence)).unwrap(),
                "{name}"
            );
        }
        let ours = package["dependencies"].as_array().unwrap().iter();
        for dependency in ours.filter(|it| it["path"].is_string() && it["kind"].is_null()) {
            let expected = format!("^{}", env!("CARGO_PKG_VERSION"));
            assert_eq!(dependency["req"], expected, "{name}: {}", dependency["name"]);
        }
    }
    assert!(names.len() > 15 && !names.contains("xtask"), "{names:?}");
}

/// The page of each library, made of what its Cargo.toml, its lib.rs and its first example say. Under LAYERSTONE_BLESS it is
/// written.
#[test]
fn readmes() {
    for package in packages().iter().filter(|package| package["name"] != "layerstone") {
        let expected = readme(package);
        let path = folder(package).join("README.md");
        if std::env::var_os("LAYERSTONE_BLESS").is_some() {
            fs::write(&path, &expected).unwrap();
        }
        let found = fs::read_to_string(&path).unwrap_or_default();
        assert!(found == expected, "expected in {}:\n{expected}", path.display());
    }
}

fn readme(package: &Value) -> String {
    let (name, folder) = (package["name"].as_str().unwrap(), folder(package));
    let mut examples: Vec<PathBuf> = fs::read_dir(folder.join("examples"))
        .unwrap_or_else(|error| panic!("{name} has no examples: {error}"))
        .map(|entry| entry.unwrap().path())
        .collect();
    examples.sort();
    let example = fs::read_to_string(&examples[0]).unwrap();
    let (what, code) = example.split_once("\n\n").unwrap();
    let what = what.replace("//! ", "").replace('\n', " ");
    let lib = fs::read_to_string(folder.join("src/lib.rs")).unwrap();
    let docs = lib.lines().take_while(|line| line.starts_with("//!"));
    let docs: String = docs.map(|line| line[3..].strip_prefix(' ').unwrap_or(&line[3..]).to_owned() + "\n").collect();
    format!(
        "# {name}\n\n{}\n## Example\n\n{what}\n\n```rust\n{code}```\n\n\
         This crate is a part of layerstone, which makes layered container images from closures of store paths.\n",
        without_links(&without_fences(&docs)),
    )
}

/// What rustdoc shows but for the code.
fn without_fences(docs: &str) -> String {
    let prose: Vec<&str> = docs.split("```").step_by(2).map(|part| part.trim_start_matches('\n')).collect();
    prose.concat()
}

/// Links to items lead nowhere outside of rustdoc: ``[`X`]``, ``[`X`](path)`` and `[word](path)` stay as `X` and word. Others
/// lead to the same places from the crate's directory.
fn without_links(prose: &str) -> String {
    let mut text = String::new();
    let mut rest = prose;
    while let Some((before, after)) = rest.split_once('[') {
        text += before;
        if text.matches('`').count() % 2 == 1 {
            text += "[";
            rest = after;
            continue;
        }
        let Some((label, after)) = after.split_once(']') else {
            return text + "[" + after;
        };
        let target = after.strip_prefix('(').and_then(|it| it.split_once(')'));
        match target {
            Some((target, after)) if target.starts_with("http") => {
                text += &format!("[{label}]({target})");
                rest = after;
            }
            _ => {
                text += label;
                rest = target.map_or(after, |(_, after)| after);
            }
        }
    }
    text + rest
}

/// What cargo would upload builds on what it would upload of the others. Nothing is compiled here; `cargo publish --workspace
/// --dry-run` does that.
#[test]
fn packages_hold_what_they_need() {
    let folder = tempfile::tempdir().unwrap();
    for package in packages() {
        let name = package["name"].as_str().unwrap();
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["package", "--list", "--offline", "--allow-dirty", "--package", name]).current_dir(top());
        let output = cargo.env("CARGO_TARGET_DIR", folder.path()).output().unwrap();
        assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
        let listed = String::from_utf8(output.stdout).unwrap();
        for file in ["Cargo.toml", "README.md", "LICENSE-MIT", "LICENSE-APACHE"] {
            assert!(listed.lines().any(|line| line == file), "{name}: {file}: {listed}");
        }
        assert!(listed.lines().all(|line| !line.starts_with("target/")), "{name}: {listed}");
    }
}
