//! What is found out before any work is done: registries that do not answer, or take no credentials of ours, and
//! directories that do not exist. Finding out costs no request that is not needed later.

use super::faults::serve;
use super::retries::nobody;
use crate::support::Place;
use crate::support::fake_registry::{FakeRegistry, layout};
use crate::support::http::{Answer, Request};
use crate::support::registry::{root, spec};
use serde_json::json;

/// `user:pass`.
const AUTH: &str = "dXNlcjpwYXNz";

/// A place with a spec whose script prints `built`.
fn place() -> Place {
    let place = Place::new();
    spec(&place, json!({"extraCommands": "echo built >&2"}));
    place
}

/// The command fails so, and builds nothing.
#[track_caller]
fn check(place: &Place, line: &str, expected: &str) {
    let error = place.fail(line);
    assert!(error.contains(expected), "{line}: {error}");
    assert!(!error.contains("built"), "{line}: {error}");
    place.check_no_leftovers();
}

#[test]
fn registries_that_do_not_answer() {
    let (place, dead, root) = (place(), nobody(), root());
    let expected = format!("error: cannot reach: {dead}: connection refused\n");
    assert!(place.run(&format!("build image.json -o good.tar {root}")).stderr.contains("built"));
    let source = serve(|_, _| None);
    let from = source.host();
    for line in [
        format!("build image.json -o registry:{dead}/x:1 {root}"),
        format!("push image.json {dead}/x:1 {root}"),
        format!("copy image.json registry:{dead}/x:1 {root}"),
        format!("copy good.tar registry:{dead}/x:1"),
        format!("copy --all registry:{from}/a/b:1 registry:{dead}/x:1"),
        format!("copy registry:{from}/a/b:1 registry:{dead}/x:1"),
        format!("pull {from}/a/b:1 -o registry:{dead}/x:1"),
        format!("copy registry:{dead}/x:1 registry:{from}/a/b:1"),
        format!("pull {dead}/x:1 -o x.tar"),
        format!("prefetch {dead}/x:1"),
        format!("index image.json registry:{dead}/x:1 -o oci:index {root}"),
        format!("index image.json -o registry:{dead}/x:1 {root}"),
        format!("serve image.json registry:{dead}/x:1 --listen 127.0.0.1:0 {root}"),
    ] {
        check(&place, &format!("{line} --retries 0"), &expected);
    }
    assert!(source.seen().iter().all(|request| request.path() == "/v2/"), "{:?}", source.seen());
    // A registry that always says that it is busy is as good as none.
    let busy = serve(|_, _| Some(Answer::new(503)));
    let expected = format!("error: cannot ask the registry: {}: found status 503\n", busy.host());
    check(&place, &format!("build image.json -o registry:{}/x:1 {root} --retries 1", busy.host()), &expected);
    assert_eq!(busy.seen().len(), 2);
}

#[test]
fn directories_that_do_not_exist() {
    let (place, root) = (place(), root());
    place.run(&format!("build image.json -o good.tar {root}"));
    let registry = serve(|_, _| None);
    let from = registry.host();
    for (target, path) in [
        ("no/x.tar", "no/x.tar"),
        ("oci:no/x", "no/x"),
        ("oci-archive:no/x.tar", "no/x.tar"),
        ("good.tar/x", "good.tar/x"),
    ] {
        let parent = path.rsplit_once('/').unwrap().0;
        let expected = format!("cannot write: {path}: its directory {parent} does not exist\nhint: ");
        for line in [
            format!("build image.json -o {target} {root}"),
            format!("copy image.json {target} {root}"),
            format!("copy good.tar {target}"),
            format!("copy registry:{from}/a/b:1 {target}"),
            format!("pull {from}/a/b:1 -o {target}"),
            format!("pull {from}/a/b@sha256:{} -o {target}", "0".repeat(64)),
        ] {
            // Only what keeps OCI images takes an image of a spec from `copy`.
            if !(line.starts_with("copy image.json") && target.ends_with(".tar")) {
                check(&place, &line, &expected);
            }
        }
    }
    assert!(registry.seen().is_empty(), "{:?}", registry.seen());
}

#[test]
fn credentials_that_are_refused() {
    let (place, root) = (place(), root());
    let registry = serve(|_, _| Some(Answer::new(401).with("WWW-Authenticate", "Basic realm=\"x\"")));
    let host = registry.host();
    place.write("auth.json", json!({"auths": {&host: {"auth": AUTH}}}).to_string());
    place.write("none.json", "{}");
    for (file, cause) in [
        ("auth.json", format!("the credentials of auth.json for {host} were refused: found status 401")),
        ("none.json", "no credentials for it in any auth file".to_owned()),
    ] {
        let before = registry.seen().len();
        let expected = format!("error: not allowed: http://{host}/v2/: {cause}\nhint: `docker login {host}`");
        check(&place, &format!("build image.json -o registry:{host}/x:1 --authfile {file} {root}"), &expected);
        assert_eq!(registry.seen().len() - before, 2, "{:?}", registry.seen());
    }
    assert!(registry.seen().iter().all(|request| request.path() == "/v2/"), "{:?}", registry.seen());
}

/// Nothing is refused but the first question, and a connection that it was asked on is used again.
#[test]
fn no_other_request_is_refused() {
    for challenge in ["Basic realm=\"x\"", "Bearer realm=\"/token\""] {
        let authorization =
            if challenge.starts_with("Basic") { format!("Basic {AUTH}") } else { "Bearer t".to_owned() };
        let is_known = move |request: &Request| request.header("authorization") == Some(&authorization);
        let also = is_known.clone();
        let (server, _) = FakeRegistry::start(move |_, request| match request.path() {
            "/token" => Some(Answer::bytes(200, r#"{"token": "t"}"#)),
            _ if !is_known(request) => Some(Answer::new(401).with("WWW-Authenticate", challenge)),
            _ => None,
        });
        let place = Place::new();
        layout(&place.join("lay"), 1000);
        place.write("auth.json", json!({"auths": {server.host(): {"auth": AUTH}}}).to_string());
        place.ok(&format!("push lay {}/a:1 --authfile auth.json", server.host()));
        let refused = server.seen().into_iter().filter(|it| it.path() != "/token" && !also(it)).count();
        assert_eq!(refused, 1, "{challenge}: {:?}", server.seen());
        assert_eq!(server.count("GET", "/token"), usize::from(challenge.starts_with("Bearer")), "{challenge}");
    }
}
