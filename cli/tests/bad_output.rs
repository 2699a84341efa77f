//! Outputs that cannot be written: no directory, a directory in their place, a full disk.

use crate::support::{Place, require_tool, synth};
use std::process::{Command, Stdio};

/// What is told of a disk that is full.
const FULL: &str = ": No space left on device (os error 28)\n\
    hint: make room on that disk, or name another one; --cache DIR and TMPDIR may lie elsewhere too\n";

/// A place where every command could run, and the output of old.
pub fn place() -> Place {
    let place = Place::new();
    let root = synth().root.display();
    let spec = serde_json::json!({"name": "x", "contents": [synth().path("root-env")], "graph": synth().graph});
    place.write("s.json", spec.to_string());
    place.ok(&format!("closure --graph {} -o x.closure.json", synth().graph.display()));
    place.ok("layers x.closure.json --max-layers 5 -o x.layers.json");
    place.ok(&format!("layer x.layers.json --root {root} --all -o layers"));
    place
}

/// Every command that writes, without the output.
pub fn writers() -> Vec<(String, &'static str)> {
    let root = format!("--root {}", synth().root.display());
    vec![
        (format!("closure --graph {} -o ", synth().graph.display()), "x.closure.json"),
        ("layers x.closure.json --max-layers 5 -o ".to_owned(), "x.layers.json"),
        (format!("layer x.layers.json --index 0 {root} -o "), "x.layer.json"),
        (format!("layer x.layers.json --index 0 {root} -o x.layer.json --blob "), "x.tar"),
        (format!("root --contents {} {root} -o x.layer.json --blob ", synth().path("root-env")), "root.tar"),
        (format!("root --contents {} {root} --blob root.tar -o ", synth().path("root-env")), "root.layer.json"),
        (format!("image -q --spec s.json {root} layers/000.layer.json -o "), "x.tar"),
        (format!("build s.json {root} -o "), "x.tar"),
        (format!("build s.json {root} -o "), "x.tar.gz"),
        (format!("build s.json {root} -o "), "x.tar.zst"),
        (format!("stream {} {root} -o ", crate::support::golden("conf-5.json").display()), "x.tar"),
        ("demo -o ".to_owned(), "demo.tar"),
    ]
}

#[test]
fn parent_folder_does_not_exist() {
    let place = place();
    for (line, name) in writers() {
        let told = place.error_of(&format!("{line}absent/{name}"));
        let expected = format!("error: cannot write: absent/{name}: its directory absent does not exist\n");
        assert_eq!(told, expected, "{line}");
    }
    // A directory is made, its parent is not.
    let told = place.error_of(&format!("layer x.layers.json --root {} --all -o absent/layers", synth().root.display()));
    assert_eq!(told, "error: cannot make the directory: absent/layers: No such file or directory (os error 2)\n");
}

#[test]
fn folder_in_place_of_a_file() {
    let place = place();
    std::fs::create_dir(place.join("folder")).unwrap();
    for (line, _) in writers() {
        assert_eq!(place.error_of(&format!("{line}folder")), "error: cannot write: folder: is a directory\n", "{line}");
    }
    place.write("file", "");
    let told = place.error_of(&format!("layer x.layers.json --root {} --all -o file", synth().root.display()));
    assert_eq!(told, "error: not a directory: file\n");
}

/// `ulimit -f` makes a file of 4 KiB the largest that can be written: every large output is too large.
#[test]
fn files_that_cannot_grow() {
    let place = place();
    for (line, name) in writers() {
        if name.ends_with("layer.json") || name.ends_with("layers.json") || name.starts_with("demo") {
            continue;
        }
        place.write(name, "old");
        let before = place.listing();
        let mut shell = Command::new("bash");
        let script = format!("trap '' XFSZ; ulimit -f 4; exec {} {line}{name}", env!("CARGO_BIN_EXE_layerstone"));
        shell.args(["-c", &script]).current_dir(place.path()).env("TMPDIR", place.temporary());
        let output = shell.output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{line}: {told}");
        assert!(
            told.ends_with("File too large (os error 27)\n") && told.starts_with("error: cannot write: "),
            "{told}"
        );
        assert_eq!(place.listing(), before, "{line}");
        place.check_no_leftovers();
        std::fs::remove_file(place.join(name)).unwrap();
        if name == "x.closure.json" {
            place.ok(&format!("closure --graph {} -o x.closure.json", synth().graph.display()));
        }
    }
}

/// A disk of 64 KiB that holds an output of old, in a mount namespace of its own.
#[test]
fn full_disk() {
    if !require_tool("unshare") {
        return;
    }
    let probe = Command::new("unshare").args(["-rm", "mount", "-t", "tmpfs", "x", "/mnt"]).output().unwrap();
    if !probe.status.success() {
        return crate::support::skip("bad_output::full_disk", "no mount namespaces here");
    }
    let place = place();
    std::fs::create_dir(place.join("disk")).unwrap();
    for name in ["x.tar", "x.tar.gz"] {
        let script = format!(
            "mount -t tmpfs -o size=64k disk disk; echo old > disk/{name}
             {} build s.json --root {} -o disk/{name}; echo $? > disk/status
             ls -A disk; cat disk/*",
            env!("CARGO_BIN_EXE_layerstone"),
            synth().root.display()
        );
        let mut unshare = Command::new("unshare");
        unshare.args(["-rm", "bash", "-c", &script]).current_dir(place.path()).env("TMPDIR", place.temporary());
        let output = unshare.output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(told, format!("error: cannot write: disk/{name}{FULL}"));
        assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("status\n{name}\n1\nold\n"));
    }
}

/// Every command that writes to stdout tells if that is full, and panics nowhere.
#[test]
fn full_stdout() {
    let place = place();
    let root = format!("--root {}", synth().root.display());
    for line in [
        format!("build s.json {root} -o -"),
        format!("build s.json {root} --dry-run"),
        format!("build s.json {root} -o x.tar"),
        format!("image -q --spec s.json {root} layers/000.layer.json -o -"),
        format!("stream {} {root}", crate::support::golden("conf-5.json").display()),
        format!("closure --graph {}", synth().graph.display()),
        "layers x.closure.json --max-layers 5".to_owned(),
        "inspect x.layers.json".to_owned(),
        "inspect x.layers.json --json".to_owned(),
        "report x.tar".to_owned(),
        "tarsum".to_owned(),
        "completions bash".to_owned(),
        "demo".to_owned(),
        "config".to_owned(),
        "diff x.tar x.tar".to_owned(),
        "--help".to_owned(),
        "build -h".to_owned(),
        "--version".to_owned(),
        "version".to_owned(),
    ] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = place.command(&line).stdout(Stdio::from(full)).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{line}: {told}");
        assert!(told.starts_with("error: cannot write: "), "{line}: {told}");
        assert!(told.ends_with(FULL), "{line}: {told}");
        place.check_no_leftovers();
    }
}
