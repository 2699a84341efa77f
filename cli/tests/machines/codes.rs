//! `--errors json`: each error with its code and class.

use crate::cache::store;
use crate::support::Place;
use crate::support::fake_registry::{FakeRegistry, layout};
use crate::support::http::{Answer, Server};
use serde_json::{Value, json};
use std::fs;

/// Code, class and exit status of a command that fails.
#[track_caller]
fn check(place: &Place, line: &str, code: &str, class: &str, status: i32) {
    let run = place.run(&format!("{line} --errors json -q"));
    assert_eq!(run.code, Some(status), "{line}: {}", run.stderr);
    let last = run.stderr.lines().last().unwrap_or_default();
    let error: Value = serde_json::from_str(last).unwrap_or_else(|e| panic!("{line}: {e}: {}", run.stderr));
    let found = [&error["code"], &error["class"], &error["status"]];
    assert_eq!(found, [&json!(code), &json!(class), &json!(status)], "{line}: {error}");
}

#[test]
fn of_files() {
    let place = store();
    place.ok("build x.json --root root --no-cache -o x.tar");
    place.ok("build x.json --root root --no-cache -o oci:lay");
    place.write("bad.json", "{");
    place.write("old.json", r#"{"format": "layerstone/closure", "version": 0, "graph": []}"#);
    place.write("bad.tar", "no tar at all");
    place.write("script.json", json!({"name": "x", "tag": "1", "extraCommands": "exit 3"}).to_string());
    place.write("d/file", "");
    let cases = [
        ("layers --no-such-flag", "usage", "usage", 2),
        ("copy x.tar dokcer:", "not-a-place", "input", 1),
        ("copy x.tar y.tar --as UPPER:x:y", "error", "input", 1),
        ("push x.tar registry.example/A/b:1", "not-a-place", "input", 1),
        ("build --name a..b --root root --no-cache -o y.tar", "not-a-name", "input", 1),
        ("build --name x --contents ./x.tar --no-cache -o y.tar", "not-a-store-path", "input", 1),
        ("layers absent.json --max-layers 3", "not-found", "not-found", 1),
        ("copy x.tar absent/y.tar", "not-found", "not-found", 1),
        ("copy x.tar#other:1 y.tar", "not-found", "not-found", 1),
        ("layers bad.json --max-layers 3", "malformed", "input", 1),
        ("layers old.json --max-layers 3", "malformed", "input", 1),
        ("inspect bad.tar", "malformed", "input", 1),
        ("inspect x.tar --limit members=1", "limit", "input", 1),
        ("build script.json --root root --no-cache --sandbox none -o y.tar", "script-failed", "script", 1),
        ("copy oci:lay d", "io", "internal", 1),
        ("init --force -o d", "io", "internal", 1),
    ];
    for (line, code, class, status) in cases {
        check(&place, line, code, class, status);
    }
    // A blob of other bytes.
    let layer = &place.json("lay/index.json")["manifests"][0]["digest"];
    let manifest = place.json(&format!("lay/blobs/sha256/{}", &layer.as_str().unwrap()[7..]));
    let layer = manifest["layers"][0]["digest"].as_str().unwrap().to_owned();
    let path = place.join(format!("lay/blobs/sha256/{}", &layer[7..]));
    let mut bytes = fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&path, bytes).unwrap();
    check(&place, "copy oci:lay oci:new", "wrong-digest", "changed", 1);
}

#[test]
fn of_registries() {
    let place = Place::new();
    let image = layout(&place.join("lay"), 100);
    check(&place, "ls 127.0.0.1:1/a --retries 0", "unreachable", "network", 1);
    let statuses =
        [(401, "refused-credentials", "auth"), (403, "refused-credentials", "auth"), (404, "not-found", "not-found")];
    for (status, code, class) in statuses {
        let server = Server::start(move |request| Answer::new(if request.path() == "/v2/" { 200 } else { status }));
        check(&place, &format!("ls {}/a --retries 0", server.host()), code, class, 1);
    }
    let (server, _) = FakeRegistry::start(|_, request| (request.method == "POST").then(|| Answer::new(500)));
    check(&place, &format!("push oci:lay {}/a:1 --retries 0", server.host()), "registry", "network", 1);
    let (server, held) = FakeRegistry::start(|_, _| None);
    held.hold(&image);
    held.blobs.lock().unwrap().insert(image.layer.clone(), vec![0; 100]);
    check(&place, &format!("pull {}/a:1 -o oci:new --retries 0", server.host()), "wrong-digest", "changed", 1);
}

/// A layer that is not what the cache says it is.
#[test]
fn of_files_that_changed() {
    let place = store();
    place.ok("layer x.layers.json --root root --cache cache --all -o layers");
    place.ok("layer x.layers.json --root root --cache cache --all -o layers");
    let app = format!("root{}/bin/app", crate::cache::path("app"));
    let library = place.read(&app).len();
    place.write(&app, "y".repeat(library));
    check(
        &place,
        "layer x.layers.json --root root --cache cache --verify-cache --all -o layers",
        "changed",
        "changed",
        1,
    );
}
