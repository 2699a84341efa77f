//! What whoever makes an image is told at the end, on stderr.

use crate::support::{Place, synth};
use serde_json::{Value, json};

fn place() -> (Place, String) {
    let place = Place::new();
    let spec = json!({"name": "x", "tag": "1", "contents": [synth().path("root-env")], "config": {"Cmd": ["/bin/sh"]}});
    place.write("s.json", spec.to_string());
    (place, format!("--root {} --no-check", synth().root.display()))
}

/// The summary that a command ends with, without its time.
#[track_caller]
fn summary(place: &Place, line: &str) -> String {
    let said = place.ok(line).stderr;
    let (head, rest) = said.split_once('\n').unwrap();
    let (head, time) = head.rsplit_once(" in ").unwrap_or_else(|| panic!("{said}"));
    assert!(time.ends_with(" s"), "{said}");
    format!("{head}\n{rest}")
}

/// The line of a summary with this label.
#[track_caller]
fn line<'a>(summary: &'a str, label: &str) -> &'a str {
    let found = summary.lines().find_map(|line| line.strip_prefix(&format!("  {label:6} ")));
    found.unwrap_or_else(|| panic!("{label}: {summary}"))
}

/// It says where the layers come from, and what may be done where the image is.
#[test]
fn of_builds() {
    let (place, root) = place();
    let first = summary(&place, &format!("build s.json {root} -o x.tar --cache cache --cache-trust-names"));
    assert!(first.starts_with("built x:1\n  ID     sha256:"), "{first}");
    assert!(line(&first, "layers").ends_with(": all new"), "{first}");
    assert!(first.ends_with("\n  next   docker load -i x.tar\n         docker run --rm x:1\n"), "{first}");
    // Only what is not of the store is made again, and nobody asks whether a file has it.
    let again = summary(&place, &format!("build s.json {root} -o x.tar --cache cache --cache-trust-names"));
    assert!(line(&again, "layers").contains(": 1 new of ") && again.contains(" known\n"), "{again}");
    assert_eq!(line(&again, "wrote"), "nothing: the file is this image already");
    // With a name it is another one, and nobody asks whether a file has what it needs.
    let named = summary(&place, &format!("build s.json {root} -o x.tar --cache cache --cache-trust-names -t y:1"));
    assert!(line(&named, "layers").contains(": 1 new of ") && !named.contains("wrote"), "{named}");
    let layout = summary(&place, &format!("build s.json {root} -o oci:x --state state"));
    assert!(layout.contains("  digest sha256:") && line(&layout, "wrote").contains(" layers of "), "{layout}");
    assert_eq!(line(&layout, "next"), "layerstone copy oci:x#x:1 docker:");
    let layout = summary(&place, &format!("build s.json {root} -o oci:x --state state"));
    assert!(line(&layout, "wrote").starts_with("no layer, "), "{layout}");
    // What is built on it.
    place.write("on.json", json!({"name": "on", "fromImage": "x.tar", "includeStorePaths": false}).to_string());
    let on = summary(&place, &format!("build on.json {root} -o 'on.tar"));
    assert!(line(&on, "layers").ends_with(" of the base"), "{on}");
    assert_eq!(line(&on, "next"), "docker load -i ''\\''on.tar'");
}

/// Copies have no new layers, several images have names and platforms.
#[test]
fn of_copies() {
    let (place, root) = place();
    place.ok(&format!("build s.json {root} -o x.tar"));
    place.ok(&format!("build s.json {root} -o y.tar --arch arm64 --name y"));
    let copied = summary(&place, "copy x.tar oci-archive:copy.tar");
    assert!(copied.starts_with("copied x:1\n"), "{copied}");
    assert!(!line(&copied, "layers").contains("new"), "{copied}");
    assert_eq!(line(&copied, "next"), "podman load -i copy.tar");
    let index = summary(&place, "index x.tar y.tar -o oci:both");
    assert_eq!(line(&index, "for"), "linux/amd64, linux/arm64");
    assert_eq!(line(&index, "next"), "layerstone push --all oci:both HOST/NAME:TAG");
    let merged = summary(&place, "merge x.tar y.tar -o merged.tar");
    assert!(merged.starts_with("merged x:1, y:1\n  layers "), "{merged}");
}

/// A pipe has the image, and stderr the summary; programs get it as JSON; --quiet leaves the digest.
#[test]
fn for_programs() {
    let (place, root) = place();
    let run = place.ok(&format!("build s.json {root} -o - --errors json"));
    let said: Value = serde_json::from_str(&run.stderr).unwrap();
    let done = &said["done"];
    assert_eq!((&done["what"], &done["names"], &done["next"]), (&json!("built"), &json!(["x:1"]), &json!([])));
    assert_eq!(done["layers"], done["new"]);
    for (line, digest_file) in [
        (format!("build s.json {root} -o x.tar"), "1"),
        (format!("build s.json {root} -o oci:x"), "2"),
        ("copy x.tar oci:y".to_owned(), "3"),
    ] {
        let run = place.ok(&format!("{line} --quiet --digest-file {digest_file}"));
        assert!(run.stdout == place.read(digest_file) && run.stderr.is_empty(), "{line}: {run:?}");
    }
    let run = place.ok("merge x.tar oci:y -o merged.tar --quiet");
    assert_eq!((run.text(), &*run.stderr), (str::from_utf8(&place.read("1")).unwrap(), ""));
}
