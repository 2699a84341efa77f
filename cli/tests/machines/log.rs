//! `-v`, `-vv` and `--log FILE`: what was asked, what the cache lacked, what ran; and never a secret.

use crate::cache::store;
use crate::support::Place;
use crate::support::fake_registry::FakeRegistry;
use crate::support::http::{Answer, Server};
use serde_json::{Value, json};
use std::fs;
use std::sync::Arc;

/// `user:hunter2` in base 64.
const AUTH: &str = "dXNlcjpodW50ZXIy";
/// What nobody may read: a password as it is and as it is sent, a token, the query that signs an address.
const SECRETS: [&str; 5] = ["hunter2", AUTH, "t0ken", "sn0wden", "Signature"];

/// A place with an archive.
fn archive() -> Place {
    let place = store();
    place.ok("build x.json --root root --no-cache -o x.tar");
    place
}

fn log(place: &Place) -> String {
    String::from_utf8(place.read("log")).unwrap()
}

/// A build says of each layer whether the cache knows it, and if not, which key is missing.
#[test]
fn of_the_cache() {
    let place = store();
    let build = |line: &str| place.ok(&format!("build x.json --root root --cache cache {line}")).stderr;
    let first = build("-o x.tar -v");
    assert_eq!(first.matches(": not known (paths 1, why nothing has the key ").count(), 3, "{first}");
    let again = build("-o x.tar -v");
    assert!(!again.contains("cache: "), "{again}");
    let again = build("-o x.tar -vv");
    assert_eq!(again.matches(": known, sha256:").count(), 3, "{again}");
    let other = build("-o oci:lay -v");
    assert_eq!(other.matches(" is compressed (why the tar sha256:").count(), 4, "{other}");
    // A path without a NAR hash, in a store that its owner can change.
    let bare = json!({"name": "x", "tag": "1", "contents": [crate::cache::path("app")], "graph": "bare.json"});
    place.write("bare-x.json", bare.to_string());
    let run = place.ok("build bare-x.json --root root --cache cache -o x.tar -v");
    assert!(run.stderr.contains(" has no NAR hash, and who can write to its store "), "{}", run.stderr);
}

/// Outputs are the same bytes with a log and without, and nothing is told without the flag.
#[test]
fn nothing_else_changes() {
    let place = archive();
    let quiet = place.ok("build x.json --root root --no-cache -o y.tar");
    let loud = place.ok("build x.json --root root --no-cache -o z.tar -vv --log log");
    assert!(place.read("x.tar") == place.read("y.tar") && place.read("y.tar") == place.read("z.tar"));
    assert_eq!(quiet.stdout, loud.stdout);
    assert!(!quiet.stderr.contains("cache: ") && loud.stderr.contains("cache: "), "{}", loud.stderr);
    assert!(!place.ok("build x.json --root root --no-cache -o z.tar -vv -q").stderr.contains("cache: "));
}

/// A registry that wants a password and gives a token, and blobs from an address that is signed.
#[test]
fn never_a_secret() {
    let held = Arc::new(FakeRegistry::default());
    let there = Arc::clone(&held);
    let storage = Server::start(move |request| there.answer(request));
    let tokens = Server::start(|request| match request.header("authorization") {
        Some(header) if header == format!("Basic {AUTH}") => Answer::bytes(200, r#"{"token": "t0ken"}"#),
        _ => Answer::new(401),
    });
    let (realm, elsewhere) = (format!("http://{}/token?key=sn0wden", tokens.host()), storage.host());
    let registry = Server::start(move |request| {
        if request.header("authorization") != Some("Bearer t0ken") {
            return Answer::new(401).with("WWW-Authenticate", format!("Bearer realm=\"{realm}\",service=\"s\""));
        }
        if request.method == "GET" && request.path().contains("/blobs/") {
            let signed = format!("http://{elsewhere}{}?X-Amz-Signature=sn0wden", request.path());
            return Answer::new(307).with("Location", signed);
        }
        held.answer(request)
    });
    let place = archive();
    let host = registry.host();
    place.write("auth.json", json!({"auths": {&host: {"auth": AUTH}}}).to_string());
    place.write("wrong.json", json!({"auths": {&host: {"auth": "dXNlcjpodW50ZXIyMg=="}}}).to_string());
    for form in ["text", "json"] {
        let flags = format!("--retries 0 -vv --log log --errors {form}");
        let push = place.ok(&format!("push x.tar {host}/x:1 --authfile auth.json {flags}"));
        assert!(push.stderr.contains(&format!("credentials for {host}/x: of auth.json")), "{}", push.stderr);
        let pull = place.ok(&format!("pull {host}/x:1 -o y.tar --authfile auth.json {flags}"));
        assert!(pull.stderr.contains(&format!("GET http://{}/v2/x/blobs/sha256:", storage.host())), "{}", pull.stderr);
        let wrong = place.run(&format!("push x.tar {host}/y:1 --authfile wrong.json {flags}"));
        assert_eq!(wrong.code, Some(1));
        // What the line itself says is not told again.
        let in_place = place.run(&format!("copy registry:user:hunter2@{host}/x:1 y.tar --log log"));
        assert_ne!(in_place.code, Some(0));
        let log = log(&place);
        assert!(log.contains(&format!("GET http://{}/token", tokens.host())), "{log}");
        for secret in SECRETS {
            for said in [&push.stderr, &pull.stderr, &wrong.stderr, &log] {
                assert!(!said.contains(secret), "{secret}: {said}");
            }
        }
        fs::remove_file(place.join("log")).unwrap();
    }
}

/// Requests have a status and a time, or the reason why there is no answer; retries are told too.
#[test]
fn of_requests() {
    let (server, _) = FakeRegistry::start(|_, request| (request.method == "POST").then(|| Answer::new(503)));
    let place = archive();
    let run = place.run(&format!("push x.tar {}/x:1 --retries 1 -vv --errors json --log log", server.host()));
    assert_eq!(run.code, Some(1));
    let lines: Vec<Value> = run.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let refused = lines.iter().find(|line| line["status"] == 503).unwrap();
    assert_eq!((&refused["area"], &refused["level"]), (&json!("registry"), &json!("info")));
    assert!(refused["event"].as_str().unwrap().starts_with("POST http://") && refused["ms"].is_u64(), "{refused}");
    assert!(lines.iter().any(|line| line["event"] == "waiting to try again"), "{}", run.stderr);
    let written: Vec<Value> = log(&place).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&written[0]["log"], &written[0]["command"]), (&json!("layerstone"), &json!("push")));
    // The messages that stderr has anyway are in the file.
    assert!(written.iter().any(|line| line["area"] == "told" && line["level"] == "warn"), "{written:?}");
    assert!(written.iter().any(|line| line["area"] == "told" && line["level"] == "error"), "{written:?}");
    let run = place.run("push x.tar localhost:1/x:1 --retries 0 -v");
    assert!(run.stderr.contains("registry: GET https://localhost:1/v2/ (ms "), "{}", run.stderr);
    assert!(run.stderr.contains(", cause connection refused)"), "{}", run.stderr);
}

/// Programs are told with their status, and backends of root scripts with the reason why they are passed over.
#[test]
fn of_programs() {
    let place = store();
    let bin = place.join("bin");
    place.write_mode("bin/docker", "#!/bin/sh\ncat > /dev/null\n", 0o755);
    let mut command = place.command("build x.json --root root --no-cache -o docker: -v");
    command.env("PATH", format!("{}:{}", bin.display(), std::env::var("PATH").unwrap()));
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("program: docker load (status exit status: 0)"), "{said}");
    let spec = json!({"name": "x", "tag": "1", "runAsRoot": "true"});
    place.write("run.json", spec.to_string());
    let run = place.run("build run.json --root root --no-cache -o x.tar --backend vm --kernel absent -v");
    assert!(run.stderr.contains("overlay: kvm: not available (why "), "{}", run.stderr);
}

/// A log is appended to; a file that is none is left alone.
#[test]
fn files() {
    let place = archive();
    for command in ["inspect x.tar", "ls oci:none"] {
        place.run(&format!("{command} --log log"));
    }
    let text = log(&place);
    let begins: Vec<&str> = text.lines().filter(|line| line.starts_with("layerstone log of layerstone ")).collect();
    assert!(begins.len() == 2 && begins[0].ends_with(" inspect") && begins[1].ends_with(" ls"), "{text}");
    let before = place.read("x.json");
    assert!(place.fail("inspect x.tar --log x.json").contains("not a log: x.json: found another file"));
    assert_eq!(place.read("x.json"), before);
    assert!(place.fail("inspect x.tar --log -").contains("--log: found -, expected a file"));
    assert!(place.fail("inspect x.tar --log none/log").contains("cannot write: none/log: "));
    place.write("empty", "");
    place.ok("inspect x.tar --log empty");
    assert!(place.read("empty").starts_with(b"layerstone log"));
}
