//! The workspace itself: who may depend on whom, how long files are, how modules begin, and what is said nowhere.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Lines that a source file may have before its tests.
const LINES: usize = 350;

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// All files that are ours: in no hidden directory but those of the tools, and in no build directory.
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

/// The crates and what they use of each other are those that ARCHITECTURE.md lists, from the ground up: what is made here
/// of the manifests is what stands there, between two comments, and is put there under LAYERSTONE_BLESS. What only tests
/// use does not count.
#[test]
fn crates() {
    check_generated("ARCHITECTURE.md", "crates", &crate_list());
}

/// The table of limits in the docs is that of the code.
#[test]
fn limits() {
    let row = |row: layerstone_store::Description| {
        let default = row.default.map_or("see below".to_owned(), |most| most.to_string());
        format!("| `{}` | {default} | {} |\n", row.name, row.counts)
    };
    let rows: String = layerstone_store::LIMITS.map(row).concat();
    check_generated("docs/security.md", "limits", &format!("\n| name | default | counts |\n|---|---:|---|\n{rows}\n"));
}

/// docs/configuration.md lists every variable of the environment whose name stands in a file that reads any. `make.rs` writes
/// variables of make.
#[test]
fn variables() {
    let listed = std::fs::read_to_string(top().join("docs/configuration.md")).unwrap();
    let is_name = |word: &&str| {
        // Values are called in capitals, too, but without a `_`.
        (word.contains('_') || ["HOME", "PATH", "TERM", "TMPDIR"].contains(word))
            && word.bytes().all(|byte| byte.is_ascii_uppercase() || b"_0123456789".contains(&byte))
    };
    let mut found = 0;
    for (path, text) in sources() {
        let name = path.strip_prefix(top()).unwrap().to_str().unwrap();
        let is_tool = name.contains("/tests/") || name.starts_with("xtask/");
        let is_tool = is_tool || name.ends_with("build_graph/make.rs") || name.ends_with("fixtures.rs");
        let text = text.split("#[cfg(test)]").next().unwrap();
        if is_tool || !(text.contains("var_os(") || text.contains("env::var(")) {
            continue;
        }
        for word in text.split('"').skip(1).step_by(2).filter(is_name) {
            found += 1;
            assert!(listed.contains(&format!("`{word}`")), "{name}: reads {word}, which docs/configuration.md lacks");
        }
    }
    assert!(found >= 8, "{found}");
}

/// Compares the part of a page between two comments with what is made for it, or puts it there.
#[track_caller]
fn check_generated(page: &str, name: &str, expected: &str) {
    let begin = format!("<!-- {name}: `LAYERSTONE_BLESS=1 cargo test workspace::{name}` writes what follows -->\n");
    let end = format!("<!-- end of {name} -->");
    let path = top().join(page);
    let text = std::fs::read_to_string(&path).unwrap();
    let (_, rest) = text.split_once(&begin).expect("it begins with a comment");
    let (found, _) = rest.split_once(&end).expect("it ends with a comment");
    if std::env::var_os("LAYERSTONE_BLESS").is_some() {
        let (before, after) = ([&begin, found, &end].concat(), [&begin, expected, &end].concat());
        return std::fs::write(path, text.replace(&before, &after)).unwrap();
    }
    assert!(found == expected, "expected in {page}:\n{expected}");
}

/// A line for each crate: its directory, its name, what it is for, and which of ours it uses; each after all that it uses.
fn crate_list() -> String {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["metadata", "--no-deps", "--offline", "--format-version", "1"]).current_dir(top());
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages: BTreeMap<&str, &serde_json::Value> = metadata["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|package| (package["name"].as_str().unwrap(), package))
        .collect();
    let uses = |name: &str| -> BTreeSet<&str> {
        let dependencies = packages[name]["dependencies"].as_array().unwrap().iter();
        let real = dependencies.filter(|dependency| dependency["kind"] != "dev");
        real.map(|dependency| dependency["name"].as_str().unwrap()).filter(|used| packages.contains_key(used)).collect()
    };
    let (mut list, mut listed) = (String::new(), BTreeSet::new());
    while listed.len() < packages.len() {
        let is_next = |name: &&&str| !listed.contains(**name) && uses(name).iter().all(|used| listed.contains(used));
        let name = *packages.keys().find(is_next).expect("no crate uses itself");
        let manifest = packages[name]["manifest_path"].as_str().unwrap();
        let folder = Path::new(manifest).parent().unwrap().strip_prefix(top()).unwrap().display();
        let short = |used: &str| used.strip_prefix("layerstone-").unwrap_or(used).to_owned();
        let used: Vec<String> = uses(name).into_iter().map(short).collect();
        let used = if used.is_empty() { "none of ours".to_owned() } else { used.join(", ") };
        let description = packages[name]["description"].as_str().unwrap();
        list += &format!("- [`{name}`]({folder}): {description}. Uses {used}.\n");
        listed.insert(name);
    }
    list
}

/// Each dependency has a row in ARCHITECTURE.md that says why it is there, and each row a dependency.
#[test]
fn dependencies_have_reasons() {
    let manifest = std::fs::read_to_string(top().join("Cargo.toml")).unwrap();
    let (_, rest) = manifest.split_once("[workspace.dependencies]\n").unwrap();
    let table = rest.split("\n[").next().unwrap();
    let names = table.lines().filter_map(|line| line.split_once(" = ")).map(|(name, _)| name);
    let declared: BTreeSet<&str> =
        names.filter(|name| !name.starts_with('#') && !name.starts_with("layerstone") && *name != "xtask").collect();
    let page = std::fs::read_to_string(top().join("ARCHITECTURE.md")).unwrap();
    let (_, rest) = page.split_once("\n## Dependencies\n").unwrap();
    let rows = rest.split("\n## ").next().unwrap().lines().filter(|line| line.starts_with("| `"));
    let named: BTreeSet<&str> =
        rows.flat_map(|row| row.split('|').nth(1).unwrap().split('`').skip(1).step_by(2)).collect();
    assert_eq!(declared, named);
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

/// Where `unsafe` may be: system calls of the sandbox and of tests, what close(2) returns, whether stdout is
/// open, what wait4(2) tells.
const UNSAFE: [&str; 5] = [
    "archive/sandbox/",
    "closure/store/src/closed_stdout.rs",
    "closure/store/src/write_back.rs",
    "xtask/src/process.rs",
    "cli/tests/",
];
/// The crates that do not forbid it.
const UNSAFE_CRATES: [&str; 3] = ["archive/sandbox/src/lib.rs", "closure/store/src/lib.rs", "xtask/src/main.rs"];

/// All other crates forbid it. The lint `undocumented_unsafe_blocks` asks for the reason of each block.
#[test]
fn unsafe_is_rare() {
    let top = top();
    // In two pieces, so that this file has none.
    let block = ["unsafe", " {"].concat();
    let (mut used, mut crates) = (BTreeSet::new(), BTreeSet::new());
    for (path, text) in sources() {
        let name = path.strip_prefix(&top).unwrap().to_str().unwrap();
        if text.contains(&block) {
            let place = UNSAFE.into_iter().find(|place| name.starts_with(place));
            used.insert(place.unwrap_or_else(|| panic!("{name}: found {block}, expected it in {UNSAFE:?} alone")));
        }
        let is_root = name.ends_with("src/lib.rs") || name.ends_with("src/main.rs");
        if is_root && !name.starts_with("xtask/fuzz/") && !text.contains("#![forbid(unsafe_code)]") {
            crates.insert(name.to_owned());
        }
    }
    assert_eq!(used, BTreeSet::from(UNSAFE));
    assert_eq!(crates, UNSAFE_CRATES.map(str::to_owned).into());
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
