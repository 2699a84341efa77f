//! `--dry-run` of `push`, `copy` and `cache prune`: what would be done, and nothing of it is.

use crate::cache::store;
use crate::support::Place;
use crate::support::fake_registry::{FakeRegistry, layout, named};
use crate::support::http::{Answer, Server};
use std::collections::BTreeMap;

/// What a dry run says of each digest, and its last line.
#[track_caller]
fn told(place: &Place, line: &str) -> (BTreeMap<String, String>, String) {
    let before = place.listing();
    let run = place.ok(&format!("{line} --dry-run"));
    assert_eq!(place.listing(), before, "{line}");
    let mut lines: Vec<&str> = run.text().lines().collect();
    let last = lines.pop().unwrap().to_owned();
    let of = |line: &str| {
        let [word, kind, digest, size] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        (digest.to_owned(), format!("{word} {kind} {size}"))
    };
    (lines.into_iter().map(of).collect(), last)
}

/// Nothing but questions was asked.
#[track_caller]
fn check_asked(server: &Server) {
    let asked = server.seen();
    assert!(!asked.is_empty());
    assert!(asked.iter().all(|it| it.method == "GET" || it.method == "HEAD"), "{asked:?}");
}

#[test]
fn of_a_push() {
    let place = Place::new();
    let image = layout(&place.join("lay"), 5000);
    let manifest = named(&image.manifest);
    let config = image.blobs.keys().find(|name| **name != image.layer).unwrap().clone();
    let size = |name: &str| image.blobs[name].len();
    // The layer is in another repository, and the config is nowhere.
    let (server, held) = FakeRegistry::start(|_, request| {
        let asks = request.method == "HEAD" && request.path().contains("/blobs/");
        (asks && request.path().contains("/a/b/")).then(|| Answer::new(404))
    });
    let host = server.host();
    let push = format!("push oci:lay {host}/a/b:1");
    held.blobs.lock().unwrap().insert(image.layer.clone(), image.blobs[&image.layer].clone());
    for (flags, word) in [("", "send"), ("--mount-from a/other", "mount")] {
        let (lines, last) = told(&place, &format!("{push} {flags}"));
        assert_eq!(lines[&image.layer], format!("{word} blob {}", size(&image.layer)));
        assert_eq!(lines[&config], format!("send blob {}", size(&config)));
        assert_eq!(lines[&manifest], format!("send manifest {}", image.manifest.len()));
        assert_eq!(lines.len(), 3);
        assert!(last.starts_with(&format!("registry:{host}/a/b:1 {manifest}: would send ")), "{last}");
    }
    check_asked(&server);
    assert!(held.manifests.lock().unwrap().is_empty());
}

/// What is there is not sent, and a dry run says as many bytes as the push sends.
#[test]
fn of_a_push_to_a_registry_that_has_some() {
    let place = store();
    let (server, held) = FakeRegistry::start(|_, _| None);
    let host = server.host();
    let line = format!("push x.json {host}/a/b:1 --root root --no-cache --state st");
    let (lines, _) = told(&place, &line);
    assert!(lines.values().all(|it| it.starts_with("send ")), "{lines:?}");
    check_asked(&server);
    assert!(!place.join("st").exists());
    place.ok(&line);
    let sent: Vec<String> = held.blobs.lock().unwrap().keys().cloned().collect();
    for name in &sent {
        assert_eq!(lines[name], format!("send blob {}", held.blobs.lock().unwrap()[name].len()), "{name}");
    }
    assert_eq!(lines.len(), sent.len() + 1);
    let (lines, last) = told(&place, &line);
    assert!(lines.values().all(|it| it.starts_with("there ")), "{lines:?}");
    assert!(last.contains("would send 0 pieces of 0 B; "), "{last}");
}

#[test]
fn of_a_copy() {
    let place = store();
    place.ok("build x.json --root root --no-cache -o x.tar");
    place.ok("build x.json --root root --no-cache -o oci:lay");
    for (line, word) in [
        ("copy oci:lay oci:new", "write"),
        ("copy oci:lay oci-archive:new.tar", "write"),
        ("copy oci:lay oci:lay --as q:2", "there"),
        ("copy oci:lay new.tar", "write"),
        ("copy x.tar new.tar.gz", "write"),
        ("copy x.tar oci:new --all", ""),
        ("copy x.json oci:new --root root --no-cache", "write"),
        ("copy oci:lay docker:", "write"),
    ] {
        if word.is_empty() {
            continue;
        }
        let (lines, _) = told(&place, line);
        assert!(lines.len() > 1 && lines.values().all(|it| it.starts_with(word)), "{line}: {lines:?}");
    }
    place.write("full/file", "x");
    place.fail("copy oci:lay oci:full --dry-run");
    assert_eq!(place.run("copy oci:lay oci:new --dry-run --digest-file d").code, Some(2));
}

#[test]
fn of_prune() {
    let place = store();
    place.ok("layer x.layers.json --root root --cache cache --all -o layers");
    let (all, nothing) = ("cache prune --cache cache --cache-size 0", "cache prune --cache cache");
    let before = place.listing();
    let would = place.ok(&format!("{all} --dry-run")).text().to_owned();
    assert!(place.ok(&format!("{nothing} --dry-run")).text().starts_with("would remove 0 files of 0 B, keep "));
    assert_eq!(place.listing(), before);
    let done = place.ok(all).text().to_owned();
    assert_eq!(would.replace("would remove", "removed").replace("keep", "kept"), done);
    assert!(done.starts_with("removed ") && !done.starts_with("removed 0"), "{done}");
}
