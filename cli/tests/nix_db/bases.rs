//! Bases that bring a database along, ours or Nix's: what it has stays, and what cannot be read is told.

use super::{build, check_store, closure, database, has_nix, nix, nix_command, root, rows, spec, unpack};
use crate::support::{Place, synth};
use rusqlite::Connection;
use serde_json::json;
use std::fs;
use std::process::Command;

/// All store paths of both are registered, and Nix takes the whole for its own.
#[test]
fn a_base_of_ours() {
    if !has_nix() {
        return;
    }
    for kind in ["layered", "single"] {
        let place = Place::new();
        build(&place, &spec(&["perl-5.38"], json!({"name": "base"})), "base.tar");
        let keys = json!({"fromImage": "base.tar", "kind": kind});
        let folder = unpack(&place, &build(&place, &spec(&["curl-8.0"], keys), "image.tar"));
        check_store(&place, &folder, "curl-8.0", &closure(&place, &["perl-5.38", "curl-8.0"]));
    }
}

/// A base without a database: its own store paths are not registered, as nobody knows their references.
#[test]
fn a_base_without_one() {
    if !has_nix() {
        return;
    }
    let place = Place::new();
    build(&place, &spec(&["git-2.39"], json!({"name": "base", "includeNixDB": false})), "base.tar");
    let keys = json!({"fromImage": "base.tar"});
    let folder = unpack(&place, &build(&place, &spec(&["curl-8.0"], keys), "image.tar"));
    assert_eq!(rows(&database(&folder), "select path from ValidPaths"), closure(&place, &["curl-8.0"]));
    nix(&folder, &["--verify", "--check-contents"]);
}

/// A base whose database Nix made and a killed program left in the middle: the log counts, and is hidden with all else
/// that was beside the database.
#[test]
fn a_base_of_nixs_own() {
    if !has_nix() {
        return;
    }
    let place = Place::new();
    let theirs = place.path().canonicalize().unwrap().join("theirs");
    fs::create_dir(&theirs).unwrap();
    nix(&theirs, &["--init"]);
    let libc = synth().path("libc-2.36");
    let mut copy = Command::new("cp");
    assert!(copy.arg("-a").arg(synth().locate(libc)).arg(theirs.join("nix/store")).status().unwrap().success());
    place.write("registration", registration(libc));
    let load = nix_command(&theirs, &["--load-db"]).stdin(fs::File::open(place.join("registration")).unwrap()).status();
    assert!(load.unwrap().success());
    let writer = Connection::open(database(&theirs)).unwrap();
    writer.pragma_update(None, "journal_mode", "wal").unwrap();
    writer.execute_batch("update ValidPaths set sigs = 'of-theirs', registrationTime = 77").unwrap();
    let script = format!("cp -r {}/nix .; chmod -R u+w nix; rm -f nix/var/nix/db/reserved", theirs.display());
    let plain = json!({"name": "base", "includeNixDB": false, "extraCommands": script, "contents": []});
    let base = build(&place, &spec(&[], plain), "base.tar");
    drop(writer);
    assert!(String::from_utf8_lossy(&base.concat()).contains("db.sqlite-wal"));
    for kind in ["layered", "single"] {
        let keys = json!({"fromImage": "base.tar", "kind": kind});
        let layers = build(&place, &spec(&["curl-8.0"], keys), "image.tar");
        let _ = fs::remove_dir_all(place.join("unpacked"));
        let folder = unpack(&place, &layers);
        assert!(!folder.join("nix/var/nix/db/db.sqlite-wal").exists());
        let row = "select sigs || registrationTime from ValidPaths where sigs is not null";
        assert_eq!(rows(&database(&folder), row), ["of-theirs77"]);
        check_store(&place, &folder, "curl-8.0", &closure(&place, &["curl-8.0"]));
    }
}

/// What the registration text says of a path: the path, hash, size, deriver, number of references, references.
fn registration(path: &str) -> String {
    let text = fs::read_to_string(&synth().registration).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    // Where it is a reference, no hash follows.
    let at = lines.windows(2).position(|pair| pair[0] == path && !pair[1].contains('/')).unwrap();
    let references: usize = lines[at + 4].parse().unwrap();
    lines[at..at + 5 + references].join("\n") + "\n"
}

/// What a base has in the place of a database.
#[test]
fn bad_databases() {
    let place = Place::new();
    let whole = {
        let layers = build(&place, &spec(&["zlib-1.3"], json!({})), "image.tar");
        crate::support::archive::member(layers.last().unwrap(), "./nix/var/nix/db/db.sqlite")
    };
    let file = place.write("other.sqlite", &whole);
    let connection = Connection::open(&file).unwrap();
    connection.execute_batch(&format!("update ValidPaths set hash = 'sha256:{}'", "1".repeat(64))).unwrap();
    connection.close().unwrap();
    place.write("none.sqlite", "x".repeat(5000));
    place.write("cut.sqlite", &whole[..whole.len() - 5000]);
    let copy =
        |name: &str| format!("mkdir -p nix/var/nix/db; cp {} nix/var/nix/db/db.sqlite", place.join(name).display());
    let database = "base.tar: /nix/var/nix/db/db.sqlite";
    for (script, expected) in [
        (copy("none.sqlite"), format!("error: damaged store database: {database}: file is not a database\n")),
        (copy("cut.sqlite"), format!("error: damaged store database: {database}: ")),
        (copy("other.sqlite"), "error: registered with another hash: /nix/store/".to_owned()),
        (
            format!("{}; echo 11 > nix/var/nix/db/schema", copy("cut.sqlite")),
            format!(
                "error: unknown schema of a store database: {database}: found version \"11\" in base.tar: \
                /nix/var/nix/db/schema, expected 6 to 10\n"
            ),
        ),
        (
            "mkdir -p nix/var/nix/db; ln -s /x nix/var/nix/db/db.sqlite".to_owned(),
            "error: cannot put the Nix database over base.tar: /nix/var/nix/db/db.sqlite: found a link to /x, \
                expected none, or what Nix has there\n"
                .to_owned(),
        ),
        (
            "mkdir -p nix; echo x > nix/var".to_owned(),
            "error: cannot put the Nix database over base.tar: /nix/var: found a file, expected a directory\n"
                .to_owned(),
        ),
    ] {
        let base = json!({"includeNixDB": false, "extraCommands": script, "contents": []});
        build(&place, &spec(&[], base), "base.tar");
        for kind in ["layered", "single"] {
            let keys = json!({"fromImage": "base.tar", "kind": kind});
            place.write("image.json", spec(&["zlib-1.3"], keys).to_string());
            let error = place.fail(&format!("build image.json --root {} -o x.tar", root()));
            assert!(error.starts_with(&expected), "{script}: {error}");
        }
    }
}
