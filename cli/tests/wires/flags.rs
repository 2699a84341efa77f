//! What stages offer to build tools: --restat, --depfile, stdin and stdout, errors as JSON.

use super::{path, wired};
use crate::support::Place;
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::process::Stdio;
use std::time::SystemTime;

/// Every stage, its outputs, and files that its depfile must name.
const STAGES: [(&str, &[&str], &[&str]); 7] = [
    ("root --spec image.json --root root -o r.layer.json --blob r.tar", &["r.layer.json", "r.tar"], &["image.json"]),
    (
        "closure --spec image.json --layer r.layer.json --root root -o c.closure.json",
        &["c.closure.json"],
        &["image.json", "r.layer.json", "graph.json"],
    ),
    ("layers c.closure.json --spec image.json -o p.layers.json", &["p.layers.json"], &["image.json", "c.closure.json"]),
    (
        "layer p.layers.json --spec image.json --index 0 --root root -o l.layer.json --blob l.tar",
        &["l.layer.json", "l.tar"],
        &["p.layers.json", "image.json", "root/nix/store/"],
    ),
    ("layer p.layers.json --all --root root -o all", &["all/000.layer.json", "all/003.layer.json"], &["p.layers.json"]),
    ("nix-db c.closure.json --root root -o n.layer.json --blob n.tar", &["n.layer.json", "n.tar"], &["c.closure.json"]),
    (
        "image --spec image.json l.layer.json r.layer.json --root root -o i.tar",
        &["i.tar"],
        &["image.json", "l.layer.json", "l.tar", "r.layer.json", "r.tar"],
    ),
];

/// With --restat what has the same bytes stays, inode and time; without it does not. The depfile names what was read.
#[test]
fn what_stays_and_what_was_read() {
    let place = wired();
    for (line, outputs, inputs) in STAGES {
        place.ok(line);
        let old = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
        let stamps = |place: &Place| -> Vec<(u64, SystemTime)> {
            let metadata = outputs.iter().map(|output| fs::metadata(place.join(output)).unwrap());
            metadata.map(|it| (it.ino(), it.modified().unwrap())).collect()
        };
        for output in outputs {
            fs::File::options().write(true).open(place.join(output)).unwrap().set_modified(old).unwrap();
        }
        let before = stamps(&place);
        place.ok(&format!("{line} --restat --depfile x.d"));
        assert_eq!(stamps(&place), before, "{line}");
        let rule = String::from_utf8(place.read("x.d")).unwrap();
        assert!(rule.starts_with(&format!("{}: ", outputs[0])), "{line}: {rule}");
        for input in inputs {
            assert!(rule.lines().any(|it| it.trim_start().starts_with(input)), "{line}: {input}: {rule}");
        }
        place.ok(line);
        assert!(stamps(&place).iter().zip(&before).all(|(new, old)| new != old), "{line}");
        // What has other bytes does not stay.
        fs::write(place.join(outputs[0]), "other").unwrap();
        place.ok(&format!("{line} --restat"));
        assert_ne!(place.read(outputs[0]), b"other");
        place.check_no_leftovers();
    }
    place.ok("closure --spec image.json --root root -o c2.json --depfile x.d --depfile-target stamp");
    assert!(place.read("x.d").starts_with(b"stamp: "));
}

/// Every stage file comes from stdin as well, and goes to stdout.
#[test]
fn from_stdin_to_stdout() {
    let place = wired();
    STAGES.iter().for_each(|(line, ..)| drop(place.ok(line)));
    let piped = |line: &str, input: &str| -> Vec<u8> {
        let mut child = place.command(line).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(&place.read(input)).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    let same = |line: &str, input: &str, output: &str| assert!(piped(line, input) == place.read(output), "{line}");
    same("root --spec - --root root -o - --blob r.tar", "image.json", "r.layer.json");
    same("closure --spec - --layer r.layer.json --root root", "image.json", "c.closure.json");
    same("closure --spec image.json --layer - --root root", "r.layer.json", "c.closure.json");
    same("layers - --spec image.json", "c.closure.json", "p.layers.json");
    same("layers c.closure.json --spec -", "image.json", "p.layers.json");
    same("nix-db - --root root -o - --blob n.tar", "c.closure.json", "n.layer.json");
    same("image --spec - l.layer.json r.layer.json --root root -o -", "image.json", "i.tar");
    same("image --spec image.json - r.layer.json --root root -o -", "l.layer.json", "i.tar");
    let layer: Value = serde_json::from_slice(&piped("layer - --index 0 --root root -o -", "p.layers.json")).unwrap();
    assert_eq!(layer["diffId"], place.json("l.layer.json")["diffId"]);
    assert_eq!(layer["storePaths"][0], json!(path("libc")));
}

/// For programs: one object a line, the exit status as ever.
#[test]
fn errors_as_json() {
    let place = wired();
    let told = |line: &str, status: i32| -> Value {
        let run = place.run(line);
        assert_eq!(run.code, Some(status), "{line}: {}", run.stderr);
        assert_eq!(run.stderr.lines().count(), 1, "{line}: {}", run.stderr);
        serde_json::from_str(&run.stderr).unwrap()
    };
    let missing = told("layers absent.json --max-layers 3 --errors json", 1);
    let expected = "cannot read: absent.json: No such file or directory (os error 2)";
    assert_eq!(
        missing,
        json!({
            "error": expected, "code": "not-found", "class": "not-found", "hint": "`layerstone closure -o NAME.closure.json` writes a closure", "differences": [], "status": 1,
        })
    );
    place.write("old.json", r#"{"format": "layerstone/closure", "version": 0, "graph": []}"#);
    let old = told("layers old.json --max-layers 3 --errors=json", 1);
    assert_eq!(old["hint"], json!("write it again with `layerstone closure`"));
    let usage = told("layers --errors json --no-such-flag", 2);
    let hint = "`layerstone layers -h` lists what it takes";
    assert_eq!((&usage["status"], &usage["hint"]), (&json!(2), &json!(hint)));
    assert!(usage["error"].as_str().unwrap().starts_with("unexpected argument '--no-such-flag' found"), "{usage}");
    assert_eq!(place.run("layers --help --errors json").code, Some(0));
    let mut spec = place.json("image.json");
    spec["config"] = json!({"WorkingDir": "relative"});
    place.write("image.json", spec.to_string());
    let run = place.ok("build image.json --root root -o x.tar --errors json");
    let warning: Value = serde_json::from_str(run.stderr.lines().next().unwrap()).unwrap();
    assert!(warning["warning"].as_str().unwrap().starts_with("WorkingDir: found relative"), "{warning}");
}
