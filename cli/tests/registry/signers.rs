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
    // Ed25519 signs the same bytes with the same signature each time, which is there once.
    assert_eq!([signed("ed"), signed("ec"), signed("cosign")], [1, 3 * ROUNDS, ROUNDS]);
}
