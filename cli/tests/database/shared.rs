//! A database that others write to, have left in the middle of something, or do not let us write beside.

use super::{NEW, check, expected, place};
use crate::support::database::add;
use crate::support::{Place, require_root, require_tool, skip, synth, test_name};
use rusqlite::Connection;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[test]
fn a_writer_at_work() {
    let (place, connection) = place("wal");
    connection.execute_batch("pragma wal_autocheckpoint = 0").unwrap();
    check(&place);
    add(&connection, NEW, &format!("sha256:{}", "0".repeat(64)), 7);
    connection.execute_batch("begin immediate; delete from Refs").unwrap();
    check(&place);
    let new = place.ok(&format!("closure --db db/db.sqlite {NEW}"));
    assert!(new.text().contains("\"narSize\": 7"), "{}", new.text());
    connection.execute_batch("commit").unwrap();
    let curl = synth().path("curl-8.0");
    let told = place.ok(&format!("closure --db db/db.sqlite {curl}"));
    assert!(told.text().contains("\"references\": []"), "{}", told.text());
}

/// A writer comes, changes every row in one transaction and goes, again and again: what is read is always one of the
/// states that were committed, never a part of two.
#[test]
fn a_writer_that_comes_and_goes() {
    for mode in ["delete", "wal"] {
        let (place, connection) = place(mode);
        connection.execute_batch("begin").unwrap();
        for index in 0..5000 {
            let path = format!("/nix/store/{index:032}-{}", "x".repeat(100));
            add(&connection, &path, &format!("sha256:{index:064}"), 1);
        }
        connection.execute_batch("update ValidPaths set narSize = 1; commit").unwrap();
        connection.close().unwrap();
        let (file, done) = (place.join("db/db.sqlite"), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for size in (2..).take_while(|_| !done.load(Ordering::Relaxed)) {
                    let connection = Connection::open(&file).unwrap();
                    connection.busy_timeout(Duration::from_secs(60)).unwrap();
                    connection.execute("update ValidPaths set narSize = ?", [size]).unwrap();
                    connection.close().unwrap();
                }
            });
            let closures: Vec<_> = (0..20).map(|_| place.run("closure --db db/db.sqlite")).collect();
            done.store(true, Ordering::Relaxed);
            for run in closures {
                assert_eq!(run.code, Some(0), "{mode}: {}", run.stderr);
                let closure: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
                let graph = closure["graph"].as_array().unwrap();
                assert!(
                    graph.len() > 5000 && graph.iter().all(|info| info["narSize"] == graph[0]["narSize"]),
                    "{mode}"
                );
            }
        });
    }
}

/// Somebody else has all of it: we wait for a while and say so.
#[test]
fn locked() {
    let lock = |mode: &str| {
        let (place, connection) = place(mode);
        connection.execute_batch("pragma locking_mode = exclusive; begin exclusive; delete from Refs").unwrap();
        (place, connection)
    };
    let (journal, log) = (lock("delete"), lock("wal"));
    let [first, second] = [&journal.0, &log.0].map(|place| place.command("closure --db db/db.sqlite").spawn().unwrap());
    for child in [first, second] {
        let output = child.wait_with_output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            (output.status.code(), &*told),
            (Some(1), "error: store database in use: db/db.sqlite: another program locks it, waited in vain\n")
        );
    }
}

/// What a dead writer left: a log with its index or without, an empty one, a journal.
#[test]
fn left_behind() {
    let (place, connection) = place("wal");
    connection.execute_batch("pragma wal_checkpoint; pragma wal_autocheckpoint = 0").unwrap();
    add(&connection, NEW, &format!("sha256:{}", "0".repeat(64)), 7);
    let copy = |suffixes: &[&str]| {
        let other = Place::new();
        for suffix in suffixes {
            let bytes = place.read(&format!("db/db.sqlite{suffix}"));
            other.write(&format!("db/db.sqlite{suffix}"), bytes);
        }
        other
    };
    for suffixes in [&["", "-wal"][..], &["", "-wal", "-shm"]] {
        let left = copy(suffixes);
        check(&left);
        assert!(left.ok("closure --db db/db.sqlite").text().contains(NEW));
    }
    let left = copy(&[""]);
    check(&left);
    left.write("db/db.sqlite-wal", "");
    check(&left);
    assert!(!left.ok("closure --db db/db.sqlite").text().contains(NEW));
}

/// As another user, who may not write to the directory, nor to the files.
#[test]
fn read_only_folder() {
    if !require_root() || !require_tool("setpriv") {
        return;
    }
    let open = open_folder();
    check_read_only(&|place| as_nobody(&open, place), &|| Place::within(open.path()));
}

/// As another user, who may not read what belongs to the database: nothing of it is left out.
#[test]
fn unreadable() {
    if !require_root() || !require_tool("setpriv") {
        return;
    }
    let open = open_folder();
    let (from, connection) = place("wal");
    connection.execute_batch("pragma wal_autocheckpoint = 0; vacuum").unwrap();
    for (suffixes, secret) in [
        (&["", "-wal", "-shm"][..], "db.sqlite-wal"),
        (&["", "-wal", "-shm"], "db.sqlite-shm"),
        (&["", "-wal"], "db.sqlite-wal"),
    ] {
        let place = Place::within(open.path());
        for suffix in suffixes {
            place.write(&format!("db/db.sqlite{suffix}"), from.read(&format!("db/db.sqlite{suffix}")));
        }
        let secret = place.join("db").join(secret);
        fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
        let output = as_nobody(&open, &place);
        let refused = format!("error: cannot read: {}: Permission denied (os error 13)\n", secret.display());
        let expected = format!("{refused}hint: this user may not read it; `ls -l` shows who may\n");
        assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap()), (Some(1), expected));
    }
}

/// A directory that everybody can go to, with the binary.
fn open_folder() -> tempfile::TempDir {
    let open = tempfile::tempdir().unwrap();
    fs::set_permissions(open.path(), Permissions::from_mode(0o755)).unwrap();
    fs::copy(env!("CARGO_BIN_EXE_layerstone"), open.path().join("layerstone")).unwrap();
    open
}

fn as_nobody(open: &tempfile::TempDir, place: &Place) -> Output {
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(open.path().join("layerstone"));
    command.args(["closure", "--db", "db/db.sqlite"]).current_dir(place.path());
    command.env("TMPDIR", place.temporary()).output().unwrap()
}

/// On a file system that is mounted read-only.
#[test]
fn read_only_file_system() {
    if !require_tool("unshare") {
        return;
    }
    let mount = "mount --bind db db && mount -o remount,bind,ro db db";
    let probe = Place::new();
    fs::create_dir(probe.join("db")).unwrap();
    let mut unshare = Command::new("unshare");
    let probed = unshare.args(["-rm", "bash", "-c", mount]).current_dir(probe.path()).stderr(Stdio::null());
    if !probed.status().unwrap().success() {
        return skip(&test_name(), "no mount namespaces here");
    }
    let run = |place: &Place| {
        let script = format!("{mount} && ! touch db/x 2>/dev/null && exec \"$0\" closure --db db/db.sqlite");
        let mut command = Command::new("unshare");
        command.args(["-rm", "bash", "-c", &script, env!("CARGO_BIN_EXE_layerstone")]).current_dir(place.path());
        command.env("TMPDIR", place.temporary()).output().unwrap()
    };
    check_read_only(&run, &Place::new);
}

/// Without the right to write beside it, whatever is there.
#[track_caller]
fn check_read_only(run: &dyn Fn(&Place) -> Output, new: &dyn Fn() -> Place) {
    for (mode, keep_open, without) in
        [("delete", false, None), ("wal", false, None), ("wal", true, None), ("wal", true, Some("db/db.sqlite-shm"))]
    {
        let (from, connection) = place(mode);
        if keep_open {
            connection.execute_batch("pragma wal_autocheckpoint = 0; vacuum").unwrap();
        } else {
            drop(connection);
        }
        let place = new();
        for path in from.listing().into_keys().filter(|path| path.is_file()) {
            let name = path.strip_prefix(from.path()).unwrap().to_str().unwrap();
            if Some(name) != without {
                place.write(name, from.read(name));
                fs::set_permissions(place.join(name), Permissions::from_mode(0o444)).unwrap();
            }
        }
        fs::set_permissions(place.join("db"), Permissions::from_mode(0o555)).unwrap();
        fs::set_permissions(place.temporary(), Permissions::from_mode(0o777)).unwrap();
        let before = place.listing();
        let output = run(&place);
        let what = format!("{mode} {keep_open} {without:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success() && output.stdout == expected(""), "{what}");
        assert_eq!(place.listing(), before, "{what}");
        place.check_no_leftovers();
        fs::set_permissions(place.join("db"), Permissions::from_mode(0o755)).unwrap();
    }
}
