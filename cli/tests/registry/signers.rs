//! Who signs and who reads what was signed: a second reader of bundles, a key whose password is asked for, several who sign at
//! the same moment.

use super::referrer_lists::pushed;
use super::referrers::printed;
use super::signatures::{file_of, setting};
use crate::support::judges::library_judges;
use crate::support::keys::keys;
use crate::support::{Place, answer, require_tool, with_default_signals};
use serde_json::Value;
use std::process::Command;
use std::thread;

/// A reader that shares no code with ours verifies bundles: of an image, and of a statement about it.
#[test]
fn a_second_reader() {
    let Some(judges) = library_judges() else { return };
    let (place, _) = setting();
    place.write("manifest.json", place.ok("manifest oci:one").stdout);
    for (key, other) in [("ed", "ec"), ("ec", "ed")] {
        for flags in ["", "--attest sbom.json --type spdx"] {
            let bundle = file_of(&place, "one", &printed(&place, &format!("sign one --key {key}.key {flags}")));
            let verify = |key: &str, artifact: &str| {
                let mut judge = Command::new(&judges);
                judge.args(["sigstore", &bundle, &format!("{key}.pub"), artifact]).current_dir(place.path());
                let output = judge.output().unwrap();
                (output.status.success(), String::from_utf8(output.stderr).unwrap())
            };
            assert_eq!(verify(key, "manifest.json"), (true, String::new()));
            assert!(verify(other, "manifest.json").1.contains("Verification error"));
            assert!(verify(key, "sbom.json").1.contains("a statement about something else"));
        }
    }
}

/// At a terminal, which does not show the password; Ctrl-C ends it there.
#[test]
fn asked_for_a_password() {
    let (place, image) = setting();
    if !require_tool("python3") {
        return;
    }
    let typed = |text: &str| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/typed.py");
        let mut command = Command::new("python3");
        command.args([script, "password of cosign.key: ", text, env!("CARGO_BIN_EXE_layerstone")]);
        command.args(["sign", "one", "--key", "cosign.key"]).env_remove("COSIGN_PASSWORD").current_dir(place.path());
        let output = with_default_signals(command).output().unwrap();
        let shown = String::from_utf8(output.stdout).unwrap();
        assert!(!shown.contains("hunter"), "{shown}");
        (output.status.code().unwrap(), shown)
    };
    let (code, shown) = typed(r"hunter3\n");
    assert!(code == 1 && shown.contains("found another password"), "{shown}");
    let (code, shown) = typed(r"\x03");
    assert!(code == 256 - 2 && shown.contains("interrupted: nothing was left unfinished"), "{shown}");
    assert_eq!(place.ok("discover one").text(), "");
    let (code, shown) = typed(r"hunter2\n");
    assert_eq!(code, 0, "{shown}");
    assert!(place.ok("verify one --key cosign.pub").text().contains(&image));
}

/// Each adds a signature to the tag that all of them write to, and each finds it there in the end.
#[test]
fn at_the_same_moment() {
    const ROUNDS: usize = 2;
    let place = Place::new();
    let Some((_registry, name, _)) = pushed(&place) else { return };
    keys(&place);
    place.write("word", "hunter2");
    let line = |key: &str| format!("sign {name} --key {key}.key --form tag");
    let lines = [line("ed"), line("ec"), line("cosign") + " --password-file word", line("ec"), line("ec")];
    for _ in 0..ROUNDS {
        thread::scope(|scope| {
            lines.iter().for_each(|line| drop(scope.spawn(|| place.ok(line))));
        });
    }
    let signed = |key: &str| {
        let found = answer(&place.ok(&format!("verify {name} --key {key}.pub --json")).stdout, "verified");
        found["signatures"].as_array().unwrap().iter().filter(|it: &&Value| it["form"] == "tag").count()
    };
    // A key signs an image once, unless it does so at the same moment.
    assert_eq!([signed("ed"), signed("cosign")], [1, 1]);
    assert!((1..=3).contains(&signed("ec")));
}

/// A layout is changed by turns.
#[test]
fn a_layout_at_the_same_moment() {
    let (place, _) = setting();
    place.ok("demo -o oci:lay -q");
    place.write("word", "hunter2");
    let sign = |key: &str| format!("sign lay --key {key} --form both");
    let mut lines = vec![sign("ed.key"), sign("ec.key"), sign("ec.key"), sign("cosign.key --password-file word")];
    for number in 0..4 {
        place.write(&format!("{number}.json"), format!("{{\"number\": {number}}}"));
        lines.push(format!("attach oci:lay {number}.json --type spdx --attest buildkit"));
    }
    // What is signed is the image that is there now, so statements come first.
    let (signs, attaches) = lines.split_at(4);
    for lines in [attaches, signs] {
        thread::scope(|scope| {
            lines.iter().for_each(|line| drop(scope.spawn(|| place.ok(line))));
        });
    }
    let found = answer(&place.ok("discover lay --json").stdout, "referrers");
    let digest = found["attestations"][0]["digest"].as_str().unwrap();
    let manifest = place.json(&format!("lay/blobs/{}", digest.replace(':', "/")));
    assert_eq!(manifest["layers"].as_array().map(Vec::len), Some(4), "{manifest}");
    for key in ["ed", "ec", "cosign"] {
        let found = answer(&place.ok(&format!("verify lay --key {key}.pub --json")).stdout, "verified");
        assert_eq!(found["signatures"].as_array().map(Vec::len), Some(2), "{key}: {found}");
    }
}

/// Statements that go into an index of a registry at the same moment are all there afterwards.
#[test]
fn an_index_at_the_same_moment() {
    let place = Place::new();
    let Some((_registry, name, _)) = pushed(&place) else { return };
    let line = |number: usize| {
        place.write(&format!("{number}.json"), format!("{{\"number\": {number}}}"));
        format!("attach {name} {number}.json --type spdx --attest buildkit")
    };
    let lines: Vec<String> = (0..4).map(line).collect();
    thread::scope(|scope| {
        lines.iter().for_each(|line| drop(scope.spawn(|| place.ok(line))));
    });
    let found = answer(&place.ok(&format!("discover {name} --json")).stdout, "referrers");
    let digest = found["attestations"][0]["digest"].as_str().unwrap();
    let manifest = printed(&place, &format!("manifest {}@{digest}", name.trim_end_matches(":1")));
    let manifest: Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!(manifest["layers"].as_array().map(Vec::len), Some(4), "{manifest}");
}

/// A tag that leads to an image of files is left alone.
#[test]
fn a_tag_of_something_else() {
    let place = Place::new();
    let Some((_registry, name, image)) = pushed(&place) else { return };
    keys(&place);
    let tag = format!("{}:{}.sig", name.trim_end_matches(":1"), image.replace(':', "-"));
    place.ok(&format!("copy registry:{name} registry:{tag}"));
    let told = place.fail(&format!("sign {name} --key ed.key --form tag"));
    assert!(
        told.starts_with("error: not signatures: sha256-") && told.contains("found a layer application/"),
        "{told}"
    );
    assert_eq!(printed(&place, &format!("digest registry:{tag}")), image);
}
