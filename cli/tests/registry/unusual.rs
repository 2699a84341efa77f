//! What registries answer that the specification does not have, or has in another way, and that we understand as others
//! do: docs/registries.md lists it.

use super::faults::{Image, image, serve};
use crate::support::Place;
use crate::support::http::{Answer, Request, Server};
use crate::support::registry::root;
use serde_json::json;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

/// `user:pass`.
const AUTH: &str = "dXNlcjpwYXNz";

/// The image is pulled from a registry that answers otherwise, with this auth file; what was asked.
#[track_caller]
fn check(
    name: &str,
    auths: impl Fn(&str) -> serde_json::Value,
    other: impl Fn(&Image, &Request) -> Option<Answer> + Send + Sync + 'static,
) -> Vec<Request> {
    let registry = serve(other);
    let place = Place::new();
    place.write("auth.json", auths(&registry.host()).to_string());
    let run = place.run(&format!("pull {}/a/b:1 -o x.tar --as x:1 --authfile auth.json --retries 1", registry.host()));
    assert_eq!(run.code, Some(0), "{name}: {}", run.stderr);
    registry.seen()
}

fn known(host: &str) -> serde_json::Value {
    json!({"auths": {host: {"auth": AUTH}}})
}

fn unknown(_: &str) -> serde_json::Value {
    json!({})
}

/// A challenge at `/v2/` alone counts for all of the registry.
#[test]
fn challenges() {
    let tokens = Server::start(|_| Answer::bytes(200, r#"{"token": "", "access_token": "t"}"#));
    let bearer = format!("Bearer realm=\"http://{}/token\",service=\"s\"", tokens.host());
    for (challenge, expected) in
        [("Basic realm=\"x\"".to_owned(), format!("Basic {AUTH}")), (bearer, "Bearer t".to_owned())]
    {
        for elsewhere in [None, Some("Negotiate")] {
            let (at_root, shown) = (challenge.clone(), expected.clone());
            let asked = check(&challenge, known, move |_, request| {
                if request.header("authorization") == Some(&shown) {
                    return None;
                }
                let answer = Answer::new(401);
                Some(match (request.path(), elsewhere) {
                    ("/v2/", _) => answer.with("WWW-Authenticate", &at_root),
                    (_, Some(other)) => answer.with("WWW-Authenticate", other),
                    (_, None) => answer,
                })
            });
            // Once to find out, and nobody but the registry is asked there.
            assert!(asked.iter().filter(|it| it.path() == "/v2/").count() <= 2, "{asked:?}");
        }
    }
    // A registry that has none anywhere is an error that says so.
    let none = serve(|_, _| Some(Answer::new(401)));
    let error = Place::new().fail(&format!("pull {}/a/b:1 -o x.tar", none.host()));
    assert!(error.contains("found no challenge that is understood, expected Basic or Bearer"), "{error}");
}

/// The same when something is sent.
#[test]
fn challenges_of_a_push() {
    let count = AtomicUsize::new(0);
    let registry = Server::start(move |request: &Request| {
        let path = request.path();
        if request.header("authorization") != Some(&format!("Basic {AUTH}")) {
            let answer = Answer::new(401);
            return if path == "/v2/" { answer.with("WWW-Authenticate", "Basic realm=\"x\"") } else { answer };
        }
        match request.method.as_str() {
            "POST" => {
                let number = count.fetch_add(1, Ordering::Relaxed);
                Answer::new(202).with("Location", format!("/v2/a/blobs/uploads/{number}?state=http://x/"))
            }
            "PATCH" => Answer::new(202).with("Location", &request.target),
            "PUT" => Answer::new(201),
            _ => Answer::new(404),
        }
    });
    let place = super::place();
    place.write("auth.json", known(&registry.host()).to_string());
    place.ok(&format!("push image.json {}/a:1 --authfile auth.json {}", registry.host(), root()));
    // An upload's address keeps its query, whatever stands in it.
    assert!(
        registry.seen().iter().any(|it| it.method == "PUT" && it.target.contains("?state=http://x/&digest=sha256"))
    );
}

/// Answers of token servers and entries of auth files.
#[test]
fn tokens_and_files() {
    for answer in [
        r#"{"token": "t"}"#,
        r#"{"access_token": "t"}"#,
        r#"{"token": "", "access_token": "t"}"#,
        r#"{"token": "t", "access_token": ""}"#,
        r#"{"token": null, "access_token": "t", "expires_in": null}"#,
        r#"{"token": "t", "access_token": "u"}"#,
    ] {
        let tokens = Server::start(move |_| Answer::bytes(200, answer));
        let realm = format!("Bearer realm=\"http://{}/token\"", tokens.host());
        check(answer, unknown, move |_, request| {
            let is_known = request.header("authorization") == Some("Bearer t");
            (!is_known).then(|| Answer::new(401).with("WWW-Authenticate", &realm))
        });
    }
    let entry = json!({"auth": AUTH, "identitytoken": null});
    let other = json!({"auths": {"o.example": null}, "credHelpers": null, "credsStore": null, "HttpHeaders": null});
    let with = |host: &str| {
        let mut file = other.clone();
        file["auths"][host] = entry.clone();
        file
    };
    check("null", with, |_, request| {
        let is_known = request.header("authorization").is_some();
        (!is_known).then(|| Answer::new(401).with("WWW-Authenticate", "Basic realm=\"x\""))
    });
    check("null auths", |_| json!({"auths": null}), |_, _| None);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Bodies that are compressed for the way though nobody asked for it, and those that only say so.
#[test]
fn encoded_bodies() {
    let packed =
        |answer: Answer, name: &str| Answer { body: gzip(&answer.body), ..answer.with("Content-Encoding", name) };
    for name in ["gzip", "GZIP", "x-gzip"] {
        check(name, unknown, move |image, request| {
            // Whoever compresses on the way knows no ranges.
            let whole = Request { headers: Vec::new(), ..request.clone() };
            Some(packed(image.answer(&whole), name))
        });
    }
    check("layer breaks off", unknown, move |image, request| {
        let is_first = request.header("range").is_none();
        let whole = packed(image.answer(&Request { headers: Vec::new(), ..request.clone() }), "gzip");
        let half = whole.body.len() / 2;
        Some(if is_first && request.path().ends_with(&image.layer) { whole.cut(half) } else { whole })
    });
    for name in ["gzip", "identity", "br"] {
        check(name, unknown, move |image, request| {
            // A layer whose server takes it for a text, as it is; manifests are read to their end, and never br.
            let is_layer = request.path().ends_with(&image.layer);
            is_layer.then(|| image.answer(request).with("Content-Encoding", name))
        });
    }
    check("gzip, but plain", unknown, |image, request| Some(image.answer(request).with("Content-Encoding", "gzip")));
    let brotli = serve(|image, request| Some(image.answer(request).with("Content-Encoding", "br")));
    let error = Place::new().fail(&format!("pull {}/a/b:1 -o x.tar", brotli.host()));
    assert!(error.contains("manifests/1: found Content-Encoding \"br\", expected none"), "{error}");
    let refusal = serve(|_, _| {
        let text = json!({"errors": [{"code": "DENIED", "message": "packed"}]}).to_string();
        Some(Answer::bytes(400, gzip(text.as_bytes())).with("Content-Encoding", "gzip"))
    });
    let error = Place::new().fail(&format!("pull {}/a/b:1 -o x.tar", refusal.host()));
    assert!(error.contains("found status 400: DENIED packed"), "{error}");
}

/// Every form of a `Location`.
#[test]
fn locations() {
    let image = image();
    let other = Server::start(move |request| image.answer(request));
    let host = other.host();
    for location in [
        "/elsewhere/manifests/1?src=https://bucket/y",
        "../manifests/x?src=https://bucket/y",
        "./2#part",
        "?moved=1",
        "/with space/manifests/1",
        "/with/é/manifests/1",
        "//HOST/manifests/1",
        "HTTP://HOST/manifests/1",
    ] {
        let target = location.replace("HOST", &host);
        check(location, unknown, move |_, request| {
            let is_first = request.target == "/v2/a/b/manifests/1";
            is_first.then(|| Answer::new(307).with("Location", &target))
        });
    }
}
