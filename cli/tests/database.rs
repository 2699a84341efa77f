//! The database of a store as a source of references: what Nix recorded comes out, whoever else uses the database, and
//! nothing beside it changes.

mod shared;

use crate::support::database::make;
use crate::support::{Place, synth};
use rusqlite::Connection;
use serde_json::json;
use std::fs;
use std::os::unix::fs::symlink;

const NEW: &str = "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-new";

/// A place with the synthetic store's database in its directory `db`, and what keeps it open.
fn place(mode: &str) -> (Place, Connection) {
    let place = Place::new();
    let connection = make(&place.join("db/db.sqlite"), mode, "/nix/store");
    (place, connection)
}

/// The closure of a synthetic path, or of all, as it comes from the graph that Nix would write.
fn expected(root: &str) -> Vec<u8> {
    Place::new().ok(&format!("closure --graph {} {root}", synth().graph.display())).stdout
}

/// The database says what the graph says, and every file is what it was.
#[track_caller]
fn check(place: &Place) {
    let before = place.listing();
    let curl = synth().path("curl-8.0");
    assert!(place.ok(&format!("closure --db db/db.sqlite {curl}")).stdout == expected(curl));
    assert_eq!(place.listing(), before);
}

#[test]
fn the_closure_of_the_graph() {
    for mode in ["delete", "wal"] {
        let (place, connection) = place(mode);
        connection.close().unwrap();
        check(&place);
        assert!(place.ok("closure --db db/db.sqlite").stdout == expected(""));
        place.write("db/schema", "10");
        check(&place);
    }
}

/// Without a flag it is the database of the store, below `--root`; roots may be links and files.
#[test]
fn the_default() {
    let place = Place::new();
    make(&place.join("root/nix/var/nix/db/db.sqlite"), "wal", "/nix/store");
    make(&place.join("root/var/guix/db/db.sqlite"), "delete", "/gnu/store");
    make(&place.join("root/srv/var/nix/db/db.sqlite"), "delete", "/srv/store");
    let curl = synth().path("curl-8.0");
    symlink(format!("{curl}/bin"), place.join("result")).unwrap();
    for root in [curl, "./result", &format!("{curl}/bin/curl")] {
        assert!(place.ok(&format!("closure {root} --root root")).stdout == expected(curl), "{root}");
    }
    for store in ["/gnu/store", "/srv/store"] {
        let root = curl.replace("/nix/store", store);
        let closure = place.ok(&format!("closure {root} --root root --store {store}"));
        assert_eq!(closure.text().replace(store, "/nix/store").into_bytes(), expected(curl));
    }
}

/// Where there is none, `closure` asks for a source, which is a matter of usage.
#[test]
fn no_source() {
    let place = Place::new();
    fs::create_dir(place.join("root")).unwrap();
    let run = place.run(&format!("closure {NEW} --root root -o x"));
    assert_eq!((run.code, run.stdout.len()), (Some(2), 0));
    let place_of_it = "root/nix/var/nix/db/db.sqlite";
    let expected =
        format!("error: no source of references: expected --graph FILE, --db FILE, --scan, or {place_of_it}\n");
    assert!(run.stderr.starts_with(&expected), "{}", run.stderr);
    assert!(!place.join("x").exists());
}

/// The same image, wherever its references come from; a store path in its config is one of the roots.
#[test]
fn images() {
    let place = Place::new();
    fs::create_dir_all(place.join("root/nix")).unwrap();
    symlink(synth().root.join("nix/store"), place.join("root/nix/store")).unwrap();
    let (curl, bash) = (synth().path("curl-8.0"), synth().path("bash-5.2"));
    let spec = |more: serde_json::Value| {
        let mut spec =
            json!({"name": "x", "tag": "y", "contents": curl, "config": {"Cmd": [format!("{bash}/bin/bash")]}});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        place.write("image.json", spec.to_string());
    };
    let build = |flags: &str| {
        place.ok(&format!("build image.json --root root {flags} -o x.tar"));
        place.read("x.tar")
    };
    spec(json!({}));
    let scanned = build("");
    assert!(build(&format!("--graph {}", synth().graph.display())) == scanned);
    let db = "root/nix/var/nix/db/db.sqlite";
    make(&place.join(db), "wal", "/nix/store").close().unwrap();
    assert!(build("") == scanned && build(&format!("--db {db}")) == scanned);
    place.ok("closure --spec image.json --root root -o spec.closure.json");
    place.ok(&format!("closure --db {db} {curl} {bash} -o db.closure.json"));
    assert_eq!(place.json("spec.closure.json"), place.json("db.closure.json"));
    fs::rename(place.join("root/nix/var"), place.join("elsewhere")).unwrap();
    spec(json!({"db": "elsewhere/nix/db/db.sqlite"}));
    assert!(build("") == scanned);
    let inspected = place.ok("inspect image.json");
    assert!(inspected.text().contains("\ndb            elsewhere/nix/db/db.sqlite\n"), "{}", inspected.text());
    fs::write(place.join("elsewhere/nix/db/db.sqlite"), "no longer").unwrap();
    assert!(build("--scan") == scanned);
    let told = place.fail("build image.json --root root -o x.tar");
    let found = "found no SQLite file, expected the db.sqlite of Nix or Guix";
    assert_eq!(told, format!("error: not a store database: elsewhere/nix/db/db.sqlite: {found}\n"));
    spec(json!({"db": "a", "graph": "b"}));
    let told = place.error_of("build image.json --root root -o x.tar");
    assert_eq!(told, "error: malformed layerstone/image: image.json: graph: found db too, expected one of them\n");
}

/// What `closure --db` says of the synthetic store's database after these statements.
#[track_caller]
fn check_error(statements: &str, flags: &str, expected: &str) {
    let (place, connection) = place("delete");
    connection.execute_batch(statements).unwrap();
    connection.close().unwrap();
    place.write("old", "old");
    let told = place.fail(&format!("closure --db db/db.sqlite {flags} -o old"));
    assert!(told.starts_with(&format!("error: {expected}\n")), "{told}");
}

#[test]
fn bad_databases() {
    let ours = "expected the db.sqlite of Nix or Guix";
    check_error("drop table Refs", "", &format!("not a store database: db/db.sqlite: found no table Refs, {ours}"));
    check_error("", "/etc/passwd", "not a store path: \"/etc/passwd\": it is outside the store /nix/store");
    let first = &synth().paths()[0];
    check_error(
        "",
        "--store /gnu/store",
        &format!(
            "database of another store: db/db.sqlite: not a store path: {first:?}: it is outside the store /gnu/store"
        ),
    );
    check_error(
        "",
        NEW,
        &format!(
            "root absent from the store database: db/db.sqlite: {NEW}\n\
             hint: --scan finds references in the files, for paths that no database has"
        ),
    );
    let (place, connection) = place("delete");
    connection.close().unwrap();
    let bytes = place.read("db/db.sqlite");
    for size in [100, 5000, bytes.len() - 1] {
        place.write("db/db.sqlite", &bytes[..size]);
        let expected = format!("damaged store database: db/db.sqlite: found {size} bytes, expected {}", bytes.len());
        assert_eq!(place.error_of("closure --db db/db.sqlite -o old"), format!("error: {expected}\n"));
    }
    place.write("db/db.sqlite", &bytes);
    place.write("db/schema", "11");
    let schema = place.join("db/schema").canonicalize().unwrap();
    assert_eq!(
        place.fail("closure --db db/db.sqlite -o old"),
        format!(
            "error: unknown schema of a store database: db/db.sqlite: found version \"11\" in {}, expected 6 to 10\n",
            schema.display()
        )
    );
    assert_eq!(
        place.error_of("closure --db absent -o old"),
        "error: cannot read: absent: No such file or directory (os error 2)\n"
    );
}
