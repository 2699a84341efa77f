//! docker and podman beside our own errors: who is told, and what the cache forgets.

use crate::cache::{path, store};
use crate::support::{Place, Run};
use std::fs;
use std::os::unix::fs::PermissionsExt;

/// Programs that load images, each a way to fail.
const UNEXPECTED: &str = "cat > image; echo 'unexpected EOF' >&2; exit 1";
const SILENT: &str = "cat > image";
const FULL: &str = "echo 'no space left on device' >&2; exit 1";
const EARLY: &str = "exit 0";

/// Runs the binary with this program in the place of an engine.
fn run(place: &Place, engine: &str, program: &str, line: &str) -> Run {
    let file = place.write(&format!("bin/{engine}"), format!("#!/bin/sh\n{program}\n"));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    let path = std::env::var("PATH").unwrap();
    let mut command = place.command(line);
    command.env("PATH", format!("{}:{path}", place.join("bin").display()));
    command.output().unwrap().into()
}

/// What is wrong with a layer is told, whatever the engine says about the end of the stream; and the cache forgets it, so
/// that the next run succeeds.
#[test]
fn our_own_error_wins() {
    for engine in ["docker", "podman"] {
        for program in [UNEXPECTED, SILENT] {
            let place = store();
            place.ok("build x.json --root root --cache cache -o x.tar");
            // Other bytes than are remembered.
            place.write(&format!("root{}/bin/lib", path("lib")), "LIBRARY");
            let line = format!("build x.json --root root --cache cache -o {engine}:");
            let failed = run(&place, engine, program, &line);
            assert_eq!(failed.code, Some(1), "{}", failed.stderr);
            let first = failed.stderr.lines().next().unwrap();
            assert!(first.starts_with(&format!("error: cannot give the image to {engine} load")), "{first}");
            assert!(first.contains("wrong digest: ") || first.contains("changed"), "{first}");
            assert_eq!(first.contains("unexpected EOF"), program == UNEXPECTED, "{first}");
            assert!(failed.stderr.contains("differs: "), "{}", failed.stderr);
            let again = run(&place, engine, SILENT, &line);
            assert_eq!(again.code, Some(0), "{}", again.stderr);
            place.check_no_leftovers();
        }
    }
}

/// What is wrong with the engine is told in its own words, or in ours where it has none.
#[test]
fn their_errors() {
    for (program, expected) in [
        (FULL, "error: docker load: found exit status: 1: no space left on device\n"),
        (EARLY, "error: docker load: it ended before it had read the image\n"),
        ("exec 0<&-; sleep 0.2; echo no >&2; exit 3", "error: docker load: found exit status: 3: no\n"),
        ("cat > /dev/null; echo no >&2; exit 3", "error: docker load: found exit status: 3: no\n"),
    ] {
        let place = store();
        // More than a pipe holds.
        place.write(&format!("root{}/bin/big", path("lib")), vec![b'x'; 1 << 21]);
        let failed = run(&place, "docker", program, "build x.json --root root --no-cache -o docker:");
        assert_eq!((failed.code, &*failed.stderr), (Some(1), expected), "{program}");
    }
    let place = store();
    let failed = run(&place, "docker", FULL, "copy docker:x:1 oci:new");
    assert_eq!(failed.stderr, "error: docker save x:1: found exit status: 1: no space left on device\n");
    assert!(!place.join("new").exists());
    // It says that all is well, and has written nothing.
    let failed = run(&place, "docker", EARLY, "copy docker:x:1 oci:new");
    assert!(failed.code == Some(1) && failed.stderr.contains("saved.tar"), "{}", failed.stderr);
    assert!(!place.join("new").exists());
    place.check_no_leftovers();
}
