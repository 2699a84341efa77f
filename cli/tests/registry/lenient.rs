//! Registries that answer otherwise than the specification says, and what is done about it: the rows of docs/registries.md.

use crate::support::Place;
use crate::support::fake_registry::{FakeRegistry, Layout, REQUESTS_OF_A_PUSH, layout};
use crate::support::http::{Answer, Request, Server};
use serde_json::json;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

pub(super) const BIG: usize = 3 << 20;

/// A place with a layout whose layer has so many bytes.
pub(super) fn with_layout(size: usize) -> (Place, Layout) {
    let place = Place::new();
    let image = layout(&place.join("lay"), size);
    (place, image)
}

pub(super) fn push(server: &Server, more: &str) -> String {
    let retries = if more.contains("--retries") { "" } else { "--retries 2" };
    format!("push lay {}/a:1 {retries} {more}", server.host())
}

fn is_upload(request: &Request) -> bool {
    request.path().contains("/uploads/")
}

/// Every 2xx that registries give for what was done is success, but a blob is asked for where it is not certain.
#[test]
fn statuses() {
    let at_uploads = [("POST", [200, 201, 204]), ("PATCH", [200, 201, 204]), ("PUT", [200, 202, 204])];
    let cases = at_uploads.map(|(method, statuses)| (method, "/uploads/", statuses));
    for (method, part, statuses) in cases.into_iter().chain([("PUT", "/manifests/", [200, 202, 204])]) {
        for status in statuses {
            let (server, held) = FakeRegistry::start(move |held, request| {
                let is_it = request.method == method && request.path().contains(part);
                is_it.then(|| Answer { status, ..held.answer(request) })
            });
            let (place, image) = with_layout(BIG);
            place.ok(&push(&server, ""));
            assert!(held.has(&image), "{method} {part} {status}");
            assert_eq!(server.count("PATCH", ""), 1, "{method} {part} {status}");
        }
    }
    // Accepted, but not there.
    let (server, held) =
        FakeRegistry::start(|_, request| (request.method == "PUT" && is_upload(request)).then(|| Answer::new(202)));
    let (place, _) = with_layout(1000);
    let error = place.fail(&push(&server, ""));
    assert!(error.contains("cannot send the blob: ") && error.contains("found status 202"), "{error}");
    assert!(held.uploads.lock().unwrap().is_empty());
}

/// The answer to a PATCH need not say where the upload goes on.
#[test]
fn no_location() {
    let (server, held) = FakeRegistry::start(|held, request| {
        (request.method == "PATCH").then(|| Answer { headers: Vec::new(), ..held.answer(request) })
    });
    let (place, image) = with_layout(BIG);
    place.ok(&push(&server, ""));
    assert!(held.has(&image));
}

/// However a mount is refused, the blob is sent, and the source is not asked for again.
#[test]
fn mounts() {
    for status in [400, 401, 403, 404, 405, 409, 418, 500, 503] {
        let (server, held) = FakeRegistry::start(move |_, request| {
            if request.target.contains("mount=") {
                return Some(Answer::new(status));
            }
            // The second target has nothing.
            let is_asked = request.method == "HEAD" && request.path().starts_with("/v2/b/c/");
            is_asked.then(|| Answer::new(404))
        });
        let (place, image) = with_layout(1000);
        place.ok(&push(&server, "--mount-from source --uploads 1"));
        assert!(held.has(&image), "{status}");
        let asked = if status >= 500 { 3 } else { 1 };
        assert_eq!(server.count("POST", "mount="), asked, "{status}");
        // `copy` mounts by itself.
        let host = server.host();
        let line = format!("copy registry:{host}/source:1 registry:{host}/b/c:1 --retries 0 --uploads 1");
        let run = place.ok(&line);
        assert!(run.stderr.contains("sent   2 blobs"), "{status}: {}", run.stderr);
        assert!(held.uploads.lock().unwrap().is_empty(), "{status}");
    }
}

/// A token server that gives no token for the source of a mount gives one for the target.
#[test]
fn scopes_of_mounts() {
    for status in [400, 401, 403, 500] {
        let (server, held) = FakeRegistry::start(move |_, request| {
            if request.path() == "/token" {
                let is_refused = request.query("scope").iter().any(|scope| scope.contains(":secret:"));
                return Some(if is_refused { Answer::new(status) } else { Answer::bytes(200, r#"{"token": "t"}"#) });
            }
            let is_known = request.header("authorization") == Some("Bearer t");
            (!is_known).then(|| Answer::new(401).with("WWW-Authenticate", "Bearer realm=\"/token\",service=\"s\""))
        });
        let (place, image) = with_layout(1000);
        place.ok(&push(&server, "--mount-from secret --uploads 1"));
        assert!(held.has(&image), "{status}");
        let asked: Vec<Request> = server.seen().into_iter().filter(|it| it.path() == "/token").collect();
        let of_source = asked.iter().filter(|it| it.query("scope").len() > 1).count();
        assert_eq!(of_source, if status == 500 { 3 } else { 1 }, "{status}: {asked:?}");
    }
}

/// `Retry-After` is heeded for every request, with a body or without; one that is too long is an error at once.
#[test]
fn retry_after() {
    let requests = REQUESTS_OF_A_PUSH.into_iter().chain([("GET", "/token")]);
    std::thread::scope(|scope| {
        for (method, part) in requests {
            scope.spawn(move || {
                for (wait, is_waited_for) in [("1", true), ("9999", false)] {
                    let times = Arc::new(Mutex::new(Vec::new()));
                    let kept = Arc::clone(&times);
                    let (server, held) = FakeRegistry::start(move |_, request| {
                        let is_token = request.path() == "/token";
                        if part == "/token" && !is_token && request.header("authorization").is_none() {
                            return Some(Answer::new(401).with("WWW-Authenticate", "Bearer realm=\"/token\""));
                        }
                        if request.method == method && request.path().contains(part) {
                            let mut times = kept.lock().unwrap();
                            times.push(Instant::now());
                            if times.len() == 1 {
                                return Some(Answer::new(429).with("Retry-After", wait));
                            }
                        }
                        is_token.then(|| Answer::bytes(200, r#"{"token": "t"}"#))
                    });
                    let (place, image) = with_layout(BIG);
                    let line = push(&server, "--uploads 1");
                    if is_waited_for {
                        place.ok(&line);
                        assert!(held.has(&image), "{method} {part}");
                        let times = times.lock().unwrap();
                        assert!((times[1] - times[0]).as_secs_f64() >= 1.0, "{method} {part}");
                    } else {
                        let error = place.fail(&line);
                        assert!(error.contains("found status 429"), "{method} {part}: {error}");
                        assert_eq!(times.lock().unwrap().len(), 1, "{method} {part}");
                    }
                    assert!(held.uploads.lock().unwrap().is_empty(), "{method} {part}");
                }
            });
        }
    });
}

/// A tag that must not change, of a registry that tells the digest or does not: the same image again is no change.
#[test]
fn immutable_tags() {
    for tells_digests in [true, false] {
        let (server, held) = FakeRegistry::start(|held, request| {
            let is_there = held.manifests.lock().unwrap().contains_key("1");
            let is_put = request.method == "PUT" && request.path().ends_with("/manifests/1");
            let refusal = json!({"errors": [{"code": "TAG_INVALID", "message": "the tag is immutable"}]});
            if is_put && !is_there {
                // It arrives, but its answer does not.
                held.answer(request);
                return Some(Answer::new(500));
            }
            is_put.then(|| Answer::bytes(400, refusal.to_string()))
        });
        held.tells_digests.store(tells_digests, Ordering::Relaxed);
        let (place, image) = with_layout(1000);
        place.ok(&push(&server, ""));
        assert!(held.has(&image));
        place.ok(&push(&server, ""));
        assert_eq!(server.count("PUT", "/manifests/"), 1);
        // Another image is refused.
        layout(&place.join("lay"), 2000);
        let error = place.fail(&push(&server, ""));
        assert!(error.contains("found status 400: TAG_INVALID the tag is immutable"), "{error}");
    }
}

/// What was refused is not sent again, however much of it was taken before.
#[test]
fn refusals() {
    for (method, status) in [("PATCH", 403), ("PUT", 403), ("PATCH", 413), ("PUT", 400), ("PATCH", 405)] {
        let (server, held) = FakeRegistry::start(move |_, request| {
            (request.method == method && is_upload(request))
                .then(|| Answer::bytes(status, r#"{"errors": [{"code": "DENIED", "message": "quota exceeded"}]}"#))
        });
        let (place, _) = with_layout(BIG);
        let error = place.fail(&push(&server, "--uploads 1"));
        assert!(error.contains(&format!("found status {status}: DENIED quota exceeded")), "{error}");
        assert_eq!(server.count("PATCH", ""), 1, "{method} {status}");
        assert!(held.uploads.lock().unwrap().is_empty(), "{method} {status}");
    }
}

/// A token that runs out while a blob is sent is replaced, and the blob sent again; one that never does is not.
#[test]
fn tokens_that_run_out() {
    for is_good_again in [true, false] {
        let (count, is_out) = (AtomicUsize::new(0), AtomicBool::new(false));
        let (server, held) = FakeRegistry::start(move |_, request| {
            if request.path() == "/token" {
                let number = count.fetch_add(1, Ordering::Relaxed);
                return Some(Answer::bytes(200, format!(r#"{{"token": "t{number}"}}"#)));
            }
            let refused = Answer::new(401).with("WWW-Authenticate", "Bearer realm=\"/token\"");
            if request.header("authorization").is_none() {
                return Some(refused);
            }
            let is_first = request.method == "PATCH" && !is_out.swap(is_good_again, Ordering::Relaxed);
            is_first.then_some(refused)
        });
        let (place, image) = with_layout(BIG);
        if is_good_again {
            place.ok(&push(&server, "--retries 0 --uploads 1"));
            assert!(held.has(&image));
        } else {
            let error = place.fail(&push(&server, "--uploads 1"));
            assert!(error.contains("not allowed: "), "{error}");
        }
        assert_eq!(server.count("PATCH", ""), 2);
        assert!(held.uploads.lock().unwrap().is_empty());
    }
}

/// A registry that tells nothing of uploads, and whose last answer is lost: the blob is there, and not sent again.
#[test]
fn no_status_of_uploads() {
    for status in [400, 404, 405, 501] {
        let (server, held) = FakeRegistry::start(move |held, request| match request.method.as_str() {
            "PUT" if is_upload(request) => {
                held.answer(request);
                Some(Answer::new(504))
            }
            "GET" if is_upload(request) => Some(Answer::new(status)),
            _ => None,
        });
        let (place, image) = with_layout(BIG);
        place.ok(&push(&server, ""));
        assert!(held.has(&image), "{status}");
        assert_eq!(server.count("PATCH", ""), 1, "{status}");
    }
}

/// A registry that does not remember what it said it had gets all of the blob again.
#[test]
fn wrong_ranges() {
    let count = AtomicUsize::new(0);
    let (server, held) = FakeRegistry::start(move |held, request| match request.method.as_str() {
        "PATCH" if count.fetch_add(1, Ordering::Relaxed) == 0 => {
            let part = Request { body: vec![0; 1_000_000], ..request.clone() };
            held.answer(&part);
            Some(Answer::new(503))
        }
        _ => None,
    });
    let (place, image) = with_layout(BIG);
    place.ok(&push(&server, ""));
    assert!(held.has(&image));
    assert!(held.uploads.lock().unwrap().is_empty());
}

/// Contents that changed meanwhile: shorter or longer than what is named, in one request or in two.
#[test]
fn contents_of_another_size() {
    for size in [1000, BIG] {
        for other in [size - 1, size + 1] {
            let (server, held) = FakeRegistry::start(|_, _| None);
            let (place, image) = with_layout(size);
            let hex = image.layer.strip_prefix("sha256:").unwrap();
            let path = format!("lay/blobs/sha256/{hex}");
            let mut bytes = place.read(&path);
            bytes.resize(other, 0);
            place.write(&path, bytes);
            let error = place.fail(&push(&server, ""));
            assert!(error.contains("wrong") || error.contains(&other.to_string()), "{size} {other}: {error}");
            assert!(!held.has(&image) && held.uploads.lock().unwrap().is_empty(), "{size} {other}");
        }
    }
}

/// Whatever the table of the docs names is there.
#[test]
fn the_docs_name_tests() {
    let count =
        crate::support::check_named_tests(include_str!("../../../docs/registries.md"), &["tests/registry", "tests"]);
    assert!(count > 10, "{count}");
}
