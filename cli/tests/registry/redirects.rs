//! Redirects of every request, with its body: where they lead, and what is told there.

use super::lenient::{BIG, push, with_layout};
use crate::support::fake_registry::{FakeRegistry, REQUESTS_OF_A_PUSH};
use crate::support::http::{Answer, Server};
use crate::support::registry::Certificates;
use crate::support::require_tool;
use serde_json::json;
use std::sync::Arc;

/// Every request follows redirects, with its body; who asks is told to the registry alone.
#[test]
fn every_method() {
    for (method, part) in REQUESTS_OF_A_PUSH {
        for status in [301, 302, 303, 307, 308] {
            let held = Arc::new(FakeRegistry::default());
            let there = Arc::clone(&held);
            let elsewhere = Arc::new(Server::start(move |request| there.answer(request)));
            let (here, target) = (Arc::clone(&held), Arc::clone(&elsewhere));
            let registry = Server::start(move |request| {
                if request.header("authorization").is_none() {
                    return Answer::new(401).with("WWW-Authenticate", "Basic realm=\"x\"");
                }
                if request.method == method && request.path().contains(part) {
                    return Answer::new(status).with("Location", format!("http://{}{}", target.host(), request.target));
                }
                here.answer(request)
            });
            let (place, image) = with_layout(BIG);
            place.write("auth.json", json!({"auths": {registry.host(): {"auth": "dXNlcjpwYXNz"}}}).to_string());
            let line = push(&registry, "--authfile auth.json");
            if status == 303 && method != "HEAD" {
                let error = place.fail(&line);
                assert!(error.contains(&format!("found redirect 303 of a {method}, expected 307 or 308")), "{error}");
                assert!(held.uploads.lock().unwrap().is_empty(), "{method} {part} {status}");
                continue;
            }
            place.ok(&line);
            assert!(held.has(&image), "{method} {part} {status}");
            assert!(elsewhere.count(method, part) > 0, "{method} {part} {status}");
            let told = elsewhere.seen().iter().any(|request| request.header("authorization").is_some());
            assert!(!told, "{method} {part} {status}");
        }
    }
}

/// A registry behind a proxy that ends TLS names itself with http://: it is asked over TLS all the same. Another host is
/// not asked without.
#[test]
fn behind_a_proxy_with_tls() {
    if !require_tool("openssl") {
        return;
    }
    let (place, image) = with_layout(BIG);
    let certificates = Certificates::make(&place.join(""), "IP:127.0.0.1");
    let held = Arc::new(FakeRegistry::default());
    let kept = Arc::clone(&held);
    let server = Server::start_tls(&certificates, move |request| {
        let mut answer = kept.answer(request);
        for (name, value) in &mut answer.headers {
            if name == "Location" {
                *value = format!("http://{}{value}", request.header("host").unwrap());
            }
        }
        answer
    });
    place.ok(&format!("push lay {}/a:1 --ca ca.pem", server.host()));
    assert!(held.has(&image));
    let plain = Arc::new(Server::start(|_| Answer::new(500)));
    let target = Arc::clone(&plain);
    let server = Server::start_tls(&certificates, move |request| match request.method.as_str() {
        "POST" => Answer::new(202).with("Location", format!("http://{}/upload", target.host())),
        _ => Answer::new(404),
    });
    let error = place.fail(&format!("push lay {}/a:1 --ca ca.pem", server.host()));
    assert!(error.contains("found a redirect from TLS to http://"), "{error}");
    assert!(plain.seen().is_empty());
}
