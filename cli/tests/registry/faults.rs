//! Registries that answer what they should not: a clear error each, nothing half-written, nothing told to strangers.

use super::place;
use crate::support::fake_registry::{MANIFEST, documents, named};
use crate::support::http::{Answer, Request, Server};
use crate::support::registry::Certificates;
use crate::support::{Place, digest};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// An image of one layer, as a registry has it.
#[derive(Clone)]
pub(super) struct Image {
    pub(super) manifest: Vec<u8>,
    blobs: BTreeMap<String, Vec<u8>>,
    pub(super) layer: String,
}

pub(super) fn image() -> Image {
    let mut tar = tar::Builder::new(Vec::new());
    let contents: Vec<u8> = (0..600_000u64).map(|i| ((i * i) >> 5) as u8).collect();
    let mut header = tar::Header::new_gnu();
    header.set_size(contents.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, "x", &contents[..]).unwrap();
    let layer = tar.into_inner().unwrap();
    let (manifest, config) = documents(&layer);
    let name = named(&layer);
    let blobs = [layer, config].into_iter().map(|bytes| (named(&bytes), bytes)).collect();
    Image { manifest, blobs, layer: name }
}

impl Image {
    /// What a registry without faults answers.
    pub(super) fn answer(&self, request: &Request) -> Answer {
        if request.path().contains("/manifests/") {
            return Answer::bytes(200, self.manifest.clone()).with("Content-Type", MANIFEST);
        }
        let name = request.path().rsplit('/').next().unwrap();
        let Some(bytes) = self.blobs.get(name) else { return Answer::new(404) };
        let begin = request.header("range").and_then(|it| it.strip_prefix("bytes=")?.split('-').next()?.parse().ok());
        match begin {
            None => Answer::bytes(200, bytes.clone()),
            Some(begin) => {
                let range = format!("bytes {begin}-{}/{}", bytes.len() - 1, bytes.len());
                Answer::bytes(206, &bytes[begin..]).with("Content-Range", range)
            }
        }
    }
}

/// A registry that answers `other` where that is something.
pub(super) fn serve(other: impl Fn(&Image, &Request) -> Option<Answer> + Send + Sync + 'static) -> Server {
    let image = image();
    Server::start(move |request| other(&image, request).unwrap_or_else(|| image.answer(request)))
}

/// Pulls into every kind of output: this is said, and nothing is written.
#[track_caller]
fn check(registry: &Server, flags: &str, expected: &str) {
    let place = Place::new();
    for (output, what) in [("-o x.tar", "x.tar"), ("-o oci-archive:y.tar", "y.tar"), ("-o oci:z", "z/index.json")] {
        let run = place.run(&format!("pull {}/a/b:1 {output} --retries 2 {flags}", registry.host()));
        assert_eq!(run.code, Some(1), "{output}: {}", run.stderr);
        let said = run.stderr.replace(&registry.host(), "HOST");
        assert!(said.contains(expected), "{output}: {said}");
        assert!(!place.join(what).exists(), "{what}");
        place.check_no_leftovers();
        if place.join("z/blobs/sha256").exists() {
            // Whole blobs may stay in a layout, of which nobody is told.
            for entry in std::fs::read_dir(place.join("z/blobs/sha256")).unwrap() {
                let entry = entry.unwrap();
                assert_eq!(digest(&std::fs::read(entry.path()).unwrap()), entry.file_name().to_str().unwrap());
            }
        }
    }
}

fn is_manifest(request: &Request) -> bool {
    request.path().contains("/manifests/")
}

#[test]
fn without_faults() {
    let registry = serve(|_, _| None);
    let place = Place::new();
    place.ok(&format!("pull {}/a/b:1 -o x.tar", registry.host()));
    assert!(place.join("x.tar").exists());
}

#[test]
fn statuses() {
    for (status, expected) in [
        (400, "cannot read the manifest: http://HOST/v2/a/b/manifests/1: found status 400: BAD because"),
        (403, "not allowed: http://HOST/v2/a/b/manifests/1: found status 403: BAD because"),
        (404, "not in the registry: HOST/a/b:1: BAD because"),
        (418, "found status 418: BAD because"),
        (500, "found status 500: BAD because"),
    ] {
        let body = json!({"errors": [{"code": "BAD", "message": "because"}]}).to_string();
        let registry = serve(move |_, request| is_manifest(request).then(|| Answer::bytes(status, body.clone())));
        check(&registry, "", expected);
        // Only what may go away by itself is tried again.
        let tries = registry.count("GET", "/manifests/");
        assert_eq!(tries, if status == 500 { 9 } else { 3 }, "{status}");
    }
    let registry = serve(|_, request| is_manifest(request).then(|| Answer::bytes(418, "\u{1b}[31m evil\n")));
    check(&registry, "", "found status 418: \\u{1b}[31m evil");
    let registry = serve(|_, request| is_manifest(request).then(|| Answer::new(401)));
    check(&registry, "", "not allowed: http://HOST/v2/a/b/manifests/1: found no challenge that is understood");
    let challenge = |text: &'static str| serve(move |_, _| Some(Answer::new(401).with("WWW-Authenticate", text)));
    check(&challenge("Negotiate"), "", "found no challenge that is understood, expected Basic or Bearer");
    check(&challenge("Bearer realm=\"file:///etc/passwd\""), "", "found a realm that is no address");
}

/// 429 and 503 are waited out, as long as the registry says, unless that is too long.
#[test]
fn busy() {
    for (status, header, expected) in [(429, "1", 1.0), (503, "0", 0.0)] {
        let count = AtomicUsize::new(0);
        let registry = serve(move |_, request| {
            let is_busy = is_manifest(request) && count.fetch_add(1, Ordering::Relaxed) < 2;
            is_busy.then(|| Answer::new(status).with("Retry-After", header))
        });
        let (place, begin) = (Place::new(), std::time::Instant::now());
        place.ok(&format!("pull {}/a/b:1 -o x.tar", registry.host()));
        assert!(begin.elapsed().as_secs_f64() >= 2.0 * expected);
    }
    let registry = serve(|_, request| is_manifest(request).then(|| Answer::new(429).with("Retry-After", "9999")));
    check(&registry, "", "found status 429");
    assert_eq!(registry.count("GET", "/manifests/"), 3, "no use to ask again");
}

#[test]
fn manifests() {
    let other = |body: Vec<u8>, kind: &'static str| {
        serve(move |_, request| {
            is_manifest(request).then(|| Answer::bytes(200, body.clone()).with("Content-Type", kind))
        })
    };
    check(
        &other(vec![b' '; 9 << 20], MANIFEST),
        "",
        "cannot read the manifest: http://HOST/v2/a/b/manifests/1: found 8388609 bytes, expected at most 8388608 (limit json)",
    );
    check(
        &other(b"{}".to_vec(), "text/html"),
        "",
        "found media type \"text/html\", expected a manifest or an index of OCI or docker",
    );
    let schema1 = "application/vnd.docker.distribution.manifest.v1+prettyjws";
    check(
        &other(b"{}".to_vec(), schema1),
        "",
        "found media type \"application/vnd.docker.distribution.manifest.v1+prettyjws\"",
    );
    check(&other(b"{".to_vec(), MANIFEST), "", "not a manifest: ");
    check(&other(b"{}".to_vec(), MANIFEST), "", "missing field `config`");
    check(
        &other(br#"{"schemaVersion": 1, "config": {"digest": "x", "size": 1}, "layers": []}"#.to_vec(), MANIFEST),
        "",
        "not a sha256 digest",
    );
    let index = json!({"schemaVersion": 2, "manifests": []}).to_string().into_bytes();
    check(&other(index, "application/vnd.oci.image.index.v1+json"), "", "no image for linux/");
    // A manifest of 100 MB is not read to its end: nothing is sent behind the promise.
    let registry = serve(|_, request| {
        is_manifest(request)
            .then(|| Answer { length: Some(100 << 20), ..Answer::bytes(200, vec![b' '; 9 << 20]).cut(9 << 20) })
    });
    check(&registry, "", "found 8388609 bytes, expected at most 8388608 (limit json)");
    // Other bytes than the digest says.
    let registry = serve(|_, _| None);
    let wrong = named(b"another");
    let place = Place::new();
    let error = place.fail(&format!("pull {}/a/b@{wrong} -o x.tar", registry.host()));
    assert!(
        error.contains(&format!("wrong digest: http://{}/v2/a/b/manifests/{wrong}: found ", registry.host())),
        "{error}"
    );
}

#[test]
fn other_blobs() {
    let with_blob = |change: fn(&[u8]) -> Answer| {
        serve(move |image, request| {
            let is_layer = request.path().ends_with(&image.layer);
            is_layer.then(|| change(&image.blobs[&image.layer]))
        })
    };
    let flipped = with_blob(|bytes| {
        let mut bytes = bytes.to_vec();
        bytes[1000] ^= 1;
        Answer::bytes(200, bytes)
    });
    check(&flipped, "", "wrong");
    check(&with_blob(|bytes| Answer::bytes(200, [bytes, b"x"].concat())), "", "found more than ");
    check(&with_blob(|_| Answer::new(404)), "", "not in the registry: HOST/a/b@sha256:");
    check(&with_blob(|bytes| Answer::bytes(200, &bytes[..bytes.len() / 2])), "", "the answer breaks off after ");
    let config = serve(|image, request| {
        let is_config = request.path().contains("/blobs/") && !request.path().ends_with(&image.layer);
        is_config.then(|| Answer::bytes(200, vec![b' '; image.blobs.values().map(Vec::len).min().unwrap()]))
    });
    check(&config, "", "wrong digest: HOST/a/b: found ");
}

/// A blob that breaks off is taken up where it broke, also from a registry that knows no ranges.
#[test]
fn broken_blobs() {
    for knows_ranges in [true, false] {
        let count = Arc::new(AtomicUsize::new(0));
        let seen = Arc::clone(&count);
        let registry = serve(move |image, request| {
            if !request.path().ends_with(&image.layer) {
                return None;
            }
            let number = seen.fetch_add(1, Ordering::Relaxed);
            let request =
                if knows_ranges { request.clone() } else { Request { headers: Vec::new(), ..request.clone() } };
            let answer = image.answer(&request);
            let cut = if knows_ranges { 150_000 } else { 150_000 * (number + 1) };
            Some(if answer.body.len() > cut { answer.cut(cut) } else { answer })
        });
        let place = Place::new();
        place.ok(&format!("pull {}/a/b:1 -o x.tar", registry.host()));
        assert!(count.load(Ordering::Relaxed) >= 4);
    }
    let stuck = serve(|image, request| request.path().ends_with(&image.layer).then(|| image.answer(request).cut(0)));
    check(&stuck, "", "the answer breaks off after 0 of ");
    let range = serve(|image, request| {
        let is_layer = request.path().ends_with(&image.layer);
        let answer = is_layer.then(|| image.answer(request))?;
        let is_part = answer.status == 206;
        Some(if is_part {
            Answer::bytes(206, answer.body).with("Content-Range", "bytes 7-9/10")
        } else {
            answer.cut(100)
        })
    });
    check(&range, "", "found Content-Range \"bytes 7-9/10\", expected it to begin at 100");
}

/// Redirects are followed, but nobody else is told who asks.
#[test]
fn redirects() {
    let image = image();
    let elsewhere = Arc::new(Server::start(move |request| image.answer(request)));
    let target = Arc::clone(&elsewhere);
    let registry = serve(move |_, request| {
        if request.header("authorization").is_none() {
            return Some(Answer::new(401).with("WWW-Authenticate", "Basic realm=\"x\""));
        }
        let is_blob = request.path().contains("/blobs/");
        is_blob.then(|| {
            Answer::new(307).with("Location", format!("http://{}{}?token=secret", target.host(), request.target))
        })
    });
    let place = Place::new();
    place.write("auth.json", json!({"auths": {registry.host(): {"auth": "dXNlcjpwYXNz"}}}).to_string());
    place.ok(&format!("pull {}/a/b:1 -o x.tar --authfile auth.json", registry.host()));
    assert!(elsewhere.seen().len() >= 2);
    assert!(elsewhere.seen().iter().all(|request| request.header("authorization").is_none()));
    let circle = serve(|_, request| is_manifest(request).then(|| Answer::new(302).with("Location", &request.target)));
    check(&circle, "", "cannot read the manifest: http://HOST/v2/a/b/manifests/1: found more than 10 redirects");
    let to = |location: &'static str| {
        serve(move |_, request| is_manifest(request).then(|| Answer::new(302).with("Location", location)))
    };
    check(&to("ftp://x/"), "", "found a redirect to no address");
    check(&to("http://user:pass@host/"), "", "found a redirect to no address");
    check(&serve(|_, request| is_manifest(request).then(|| Answer::new(302))), "", "found a redirect to nowhere");
    // An address that lets anyone in is not shown.
    let refused = serve(|_, request| {
        let is_there = request.target.contains("signature");
        is_manifest(request).then(|| {
            if is_there {
                Answer::new(403)
            } else {
                Answer::new(302).with("Location", format!("{}?signature=secret", request.path()))
            }
        })
    });
    let error = Place::new().fail(&format!("pull {}/a/b:1 -o x.tar", refused.host()));
    assert!(!error.contains("secret"), "{error}");
}

/// From TLS nobody is sent on to where there is none.
#[test]
fn redirects_to_plain_http() {
    let place = place();
    let certificates = Certificates::make(&place.join(""), "IP:127.0.0.1");
    let image = image();
    let plain = Arc::new(Server::start(move |request| image.answer(request)));
    let target = Arc::clone(&plain);
    let registry = Server::start_tls(&certificates, move |request| {
        Answer::new(307).with("Location", format!("http://{}{}", target.host(), request.target))
    });
    let error = place.fail(&format!("pull {}/a/b:1 -o x.tar --ca ca.pem", registry.host()));
    let expected = format!("found a redirect from TLS to http://{}/v2/a/b/manifests/1, expected https", plain.host());
    assert!(error.contains(&expected), "{error}");
    assert!(plain.seen().is_empty());
    // With TLS on both sides it is followed.
    let image = self::image();
    let good = Server::start_tls(&certificates, move |request| image.answer(request));
    place.ok(&format!("pull {}/a/b:1 -o x.tar --ca ca.pem", good.host()));
}

/// What is no registry at all.
#[test]
fn no_registry() {
    let place = Place::new();
    let error = place.fail("pull 127.0.0.1:1/a:1 -o x.tar --retries 1");
    assert!(error.contains("cannot reach: 127.0.0.1:1: connection refused"), "{error}");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        for stream in listener.incoming().take(6) {
            use std::io::Write;
            let _ = stream.unwrap().write_all(b"SSH-2.0-x\r\n");
        }
    });
    let error = place.fail(&format!("pull {host}/a:1 -o x.tar --retries 2"));
    assert!(error.contains(&format!("cannot reach: {host}: found no HTTP/1.1")), "{error}");
    thread.join().unwrap();
    let _: Option<Value> = None;
}
