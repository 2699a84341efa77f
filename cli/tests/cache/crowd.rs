//! Many at once, and some that are killed.

use super::{LAYERS, files, store};
use std::thread;
use std::time::{Duration, Instant};

/// Many processes on one cache, while others empty it and look through it; all into directories of their own.
#[test]
fn many_processes_at_once() {
    let place = store();
    place.ok("layer x.layers.json --root root --no-cache --all -o layers");
    let expected = place.read("layers/002.layer.json");
    thread::scope(|scope| {
        for worker in 0..6 {
            let place = &place;
            let line = format!("layer x.layers.json --root root --cache cache --all -o out{worker}");
            scope.spawn(move || {
                for round in 0..15 {
                    let line = if worker == 0 { "cache prune --cache-size 500 --cache cache" } else { &line };
                    let line = if worker == 1 { "cache stats --cache cache" } else { line };
                    let run = place.run(line);
                    // At the very beginning there is none yet.
                    assert!(run.code == Some(0) || (worker < 2 && round < 15), "{line}: {}", run.stderr);
                    assert!(worker < 2 || run.stderr.is_empty(), "{}", run.stderr);
                }
            });
        }
    });
    for worker in 2..6 {
        assert_eq!(place.read(&format!("out{worker}/002.layer.json")), expected);
    }
    place.ok("cache verify --cache cache");
}

/// Many builds into one output: it is whole, whoever was last.
#[test]
fn many_builds_into_one_output() {
    let place = store();
    place.ok("build x.json --root root --no-cache -o expected.tar");
    thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                for _ in 0..5 {
                    let run = place.run("build x.json --root root --cache cache --cache-blobs -o x.tar");
                    assert_eq!(run.code, Some(0), "{}", run.stderr);
                    let run = place.run("build x.json --root root --cache cache --cache-blobs -o oci:x");
                    assert_eq!(run.code, Some(0), "{}", run.stderr);
                }
            });
        }
    });
    assert!(place.read("x.tar") == place.read("expected.tar"));
    place.ok("cache verify --cache cache");
}

/// Killed at any moment, it is good.
#[test]
fn killed_at_any_moment() {
    let place = store();
    let begin = Instant::now();
    place.ok(LAYERS);
    let (takes, expected) = (begin.elapsed(), place.listing_of(&["layers"]));
    for kill in 0..20 {
        place.ok("cache prune --cache-size 0 --cache cache");
        let mut child = place.command(LAYERS).spawn().unwrap();
        thread::sleep(takes * (kill * 7 % 20) / 20 + Duration::from_millis(1));
        let _ = child.kill();
        child.wait().unwrap();
        let run = place.run("cache verify --cache cache");
        assert_eq!(run.code, Some(0), "{}", run.stderr);
        place.ok(LAYERS);
        assert_eq!(place.listing_of(&["layers"]), expected);
    }
    assert_eq!(files(&place.join("cache")).len(), 6, "no temporary file is left");
}
