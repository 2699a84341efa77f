//! `--json`: every answer says what it is, and docs/machines.md knows it.

use crate::cache::{path, store};
use crate::support::Place;
use crate::support::fake_registry::FakeRegistry;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::process::Stdio;

/// The answer of a command, whatever its exit status.
#[track_caller]
fn answer(place: &Place, line: &str) -> Value {
    let run = place.run(&format!("{line} --json"));
    let value: Value = serde_json::from_slice(&run.stdout).unwrap_or_else(|e| panic!("{line}: {e}: {}", run.stderr));
    check(&value, line);
    value
}

/// Checks that an answer says what it is, and that the page of answers has a row for it.
#[track_caller]
fn check(value: &Value, line: &str) {
    let format = value["format"].as_str().unwrap_or_else(|| panic!("{line}: no format: {value}"));
    assert_eq!(value["version"], json!(1), "{line}");
    let page = include_str!("../../../docs/machines.md");
    assert!(page.contains(&format!("| `{format}` |")), "{line}: no row for {format} in docs/machines.md");
}

/// Each command that answers, with what its answer must say.
#[test]
fn every_command() {
    let place = store();
    let (server, _) = FakeRegistry::start(|_, request| {
        let tags = || crate::support::http::Answer::bytes(200, r#"{"name": "x", "tags": ["1"]}"#);
        request.path().ends_with("/tags/list").then(tags)
    });
    let host = server.host();
    let build = "build x.json --root root --cache cache --cache-blobs";
    let first = answer(&place, &format!("{build} -o oci:lay"));
    assert_eq!((&first["new"]["count"], &first["known"]["count"]), (&json!(4), &json!(0)), "{first}");
    assert_eq!(first["names"], json!(["x:1"]));
    let again = answer(&place, &format!("{build} -o oci:lay"));
    assert_eq!(again["known"]["count"], json!(3), "{again}");
    assert_eq!(again["digest"], first["descriptor"]["digest"]);
    answer(&place, &format!("{build} -o x.tar"));
    assert_eq!(answer(&place, &format!("{build} --dry-run"))["layers"].as_array().unwrap().len(), 3);
    place.ok("layer x.layers.json --root root --no-cache --all -o all");
    place.ok("root --spec x.json --root root -o all/999.layer.json --blob all/root.tar");
    answer(&place, "image --spec x.json --root root --no-check all -o y.tar");
    let planned = answer(&place, &format!("push oci:lay {host}/x:1 --dry-run"));
    assert!(planned["blobs"].as_array().unwrap().iter().all(|blob| blob["would"] == "send"), "{planned}");
    let pushed = answer(&place, &format!("push oci:lay {host}/x:1"));
    assert_eq!((&pushed["digest"], &pushed["sent"]["count"]), (&first["digest"], &json!(5)), "{pushed}");
    assert_eq!(answer(&place, &format!("pull {host}/x:1 -o oci:pulled"))["digest"], first["digest"]);
    assert_eq!(answer(&place, "copy oci:lay oci:copied")["digest"], first["digest"]);
    assert_eq!(answer(&place, "copy oci:lay oci:copied --dry-run")["place"], json!("oci:copied"));
    assert_eq!(answer(&place, "merge x.tar oci:lay -o merged.tar")["images"].as_array().unwrap().len(), 1);
    assert_eq!(answer(&place, "index oci:lay -o oci:index")["manifests"].as_array().unwrap().len(), 1);
    place.write("policy.json", r#"{"config": {"notRoot": true}}"#);
    assert_eq!(
        answer(&place, "check x.tar --policy policy.json")["images"][0]["findings"][0]["rule"],
        "config.notRoot"
    );
    assert_eq!(answer(&place, "sbom --diff x.tar x.tar")["changed"], json!([]));
    place.write("none.json", "[]");
    assert_eq!(answer(&place, "sbom x.tar --vulns none.json")["findings"], json!([]));
    assert_eq!(answer(&place, "check x.tar")["images"][0]["layers"], json!(4));
    assert_eq!(answer(&place, &format!("prefetch {host}/x:1"))["imageDigest"], first["digest"]);
    assert_eq!(answer(&place, &format!("ls {host}/x"))["tags"], json!(["1"]));
    assert_eq!(answer(&place, "digest oci:lay")["digest"], first["digest"]);
    let attached = answer(&place, "attach oci:copied x.json --type application/json");
    assert_eq!(attached["subject"]["digest"], first["digest"]);
    assert_eq!(answer(&place, "discover oci:copied")["referrers"][0], attached["descriptor"]);
    assert_eq!(answer(&place, "detach oci:copied --type application/json")["referrers"][0]["deleted"], json!(true));
    answer(&place, "inspect oci:lay");
    answer(&place, "inspect --diff oci:lay x.tar");
    answer(&place, "report oci:lay");
    answer(&place, "overlay probe --backend namespace");
    assert!(answer(&place, "cache stats --cache cache")["kinds"].is_object());
    assert_eq!(answer(&place, "cache verify --cache cache")["removed"], json!({"files": 0, "bytes": 0}));
    assert_eq!(answer(&place, "cache prune --cache cache --cache-size 0 --dry-run")["dryRun"], json!(true));
    assert_eq!(answer(&place, "cache prune --cache cache --cache-size 0")["kept"]["bytes"], json!(0));
    answer(&place, &format!("closure --why {} x.closure.json", path("libc")));
    answer(&place, "closure --diff x.closure.json x.closure.json");
    answer(&place, "closure --verify x.closure.json --root root");
    answer(&place, "layers --check x.layers.json x.closure.json");
    answer(&place, "layers --compare x.layers.json x.layers.json");
    answer(&place, "layers --explain --plan x.layers.json x.closure.json");
    assert!(answer(&place, "tarsum x.tar")["tarsum"].as_str().unwrap().starts_with("tarsum"));
    answer(&place, "demo -o demo.tar");
    answer(&place, "config");
}

/// JSON and an image do not go to stdout together.
#[test]
fn beside_an_image() {
    let place = store();
    for line in ["build x.json --root root --no-cache -o -", "merge x.tar -o -"] {
        let error = place.fail(&format!("{line} --json"));
        assert!(error.contains("--json: found -, expected the image elsewhere than on stdout"), "{error}");
    }
}

/// `serve` says what it gives, an event a line.
#[test]
fn events() {
    let place = store();
    place.ok("build x.json --root root --no-cache -o oci:lay");
    let mut command = place.command("serve oci:lay --listen 127.0.0.1:0 --json");
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap();
    let serving = next();
    check(&serving, "serve");
    let name = serving["images"][0].as_str().unwrap();
    let digest = answer(&place, &format!("digest docker://{name}"))["digest"].clone();
    let gave = next();
    assert_eq!((&gave["event"], &gave["kind"], &gave["digest"]), (&json!("gave"), &json!("manifest"), &digest));
    child.kill().unwrap();
    child.wait().unwrap();
}

/// With `--errors json` all lines on stderr are objects.
#[test]
fn notices() {
    let place = store();
    place.ok("build x.json --root root --no-cache -o oci:lay");
    let (server, _) = FakeRegistry::start(|_, _| None);
    let push = place.ok(&format!("push oci:lay {}/x:1 --errors json", server.host()));
    let pull = place.ok(&format!("pull {}/x:1 -o x.tar --errors json", server.host()));
    for line in push.stderr.lines().chain(pull.stderr.lines()) {
        assert!(serde_json::from_str::<Value>(line).is_ok_and(|value| value.is_object()), "{line}");
    }
    assert!(pull.stderr.contains("{\"notice\":"), "{}", pull.stderr);
}
