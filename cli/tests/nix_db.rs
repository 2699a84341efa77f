//! Nix's database in an image: Nix itself takes the unpacked image for its own store, whatever the image is made of.

mod bases;
mod bytes;

use crate::support::archive::{manifest, member};
use crate::support::{Place, require_root, require_tool, synth};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The spec of an image with a database, of the synthetic store.
fn spec(contents: &[&str], keys: Value) -> Value {
    let contents: Vec<&str> = contents.iter().map(|name| synth().path(name)).collect();
    let mut spec =
        json!({"name": "db", "tag": "1", "contents": contents, "graph": synth().graph, "includeNixDB": true});
    spec.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    spec
}

fn root() -> String {
    synth().root.display().to_string()
}

/// Builds an image; its layers, bottom first.
#[track_caller]
fn build(place: &Place, spec: &Value, output: &str) -> Vec<Vec<u8>> {
    place.write("image.json", spec.to_string());
    place.ok(&format!("build image.json --root {} -o {output}", root()));
    layers(&place.read(output))
}

fn layers(image: &[u8]) -> Vec<Vec<u8>> {
    let manifest = manifest(image);
    let names = manifest["Layers"].as_array().unwrap().iter();
    names.map(|name| member(image, name.as_str().unwrap())).collect()
}

/// Unpacks layers over each other, with whiteouts, into a directory without links on the way, which Nix would refuse.
fn unpack(place: &Place, layers: &[Vec<u8>]) -> PathBuf {
    let folder = place.path().canonicalize().unwrap().join("unpacked");
    fs::create_dir(&folder).unwrap();
    for layer in layers {
        let tar = place.write("layer.tar", layer);
        let mut command = Command::new("tar");
        command.args(["-xpf".as_ref(), tar.as_os_str(), "-C".as_ref(), folder.as_os_str()]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        apply_whiteouts(&folder.join("nix/var/nix/db"));
    }
    folder
}

fn apply_whiteouts(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for name in entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()) {
        if let Some(hidden) = name.strip_prefix(".wh.") {
            fs::remove_file(folder.join(&name)).unwrap();
            fs::remove_file(folder.join(hidden)).unwrap();
        }
    }
}

/// A command of Nix on a store in a directory.
fn nix_command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new("nix-store");
    command.arg("--store").arg(format!("local?root={}", folder.display())).args(arguments).stdin(Stdio::null());
    command.env("NIX_CONFIG", "sandbox = false\nsubstitute = false\nbuild-users-group =").env("HOME", "/nowhere");
    command.env("NIX_CONF_DIR", "/nowhere").env_remove("NIX_REMOTE");
    command
}

/// The lines that it prints, sorted.
#[track_caller]
fn nix(folder: &Path, arguments: &[&str]) -> Vec<String> {
    let output = nix_command(folder, arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    let mut lines: Vec<String> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

fn has_nix() -> bool {
    require_tool("nix-store") && require_tool("tar") && require_root()
}

fn database(folder: &Path) -> PathBuf {
    folder.join("nix/var/nix/db/db.sqlite")
}

/// What a query on a database gives, a text a row.
fn rows(file: &Path, query: &str) -> Vec<String> {
    let connection = rusqlite::Connection::open_with_flags(file, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut statement = connection.prepare(query).unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

/// The closure of some roots, as our own stage has it.
fn closure(place: &Place, roots: &[&str]) -> Vec<String> {
    let roots: Vec<&str> = roots.iter().map(|name| synth().path(name)).collect();
    let line = format!("closure --graph {} {} -o expected.closure.json", synth().graph.display(), roots.join(" "));
    place.ok(&line);
    let graph = place.json("expected.closure.json")["graph"].as_array().unwrap().clone();
    graph.iter().map(|info| info["path"].as_str().unwrap().to_owned()).collect()
}

/// Nix takes what is there for its own: all is as registered, what is asked is answered, and it goes on from there.
#[track_caller]
fn check_store(place: &Place, folder: &Path, contents: &str, registered: &[String]) {
    assert_eq!(rows(&database(folder), "pragma integrity_check"), ["ok"]);
    nix(folder, &["--verify", "--check-contents"]);
    let path = synth().path(contents);
    assert_eq!(nix(folder, &["-qR", path]), closure(place, &[contents]));
    assert_eq!(rows(&database(folder), "select path from ValidPaths order by path"), registered);
    let file = place.write("added", "a file of its own");
    let added = nix(folder, &["--add", file.to_str().unwrap()]).remove(0);
    assert_eq!(nix(folder, &["--gc", "--print-dead"]), [added.as_str()]);
    nix(folder, &["--gc"]);
    assert!(!folder.join(&added[1..]).exists());
    let refused = nix_command(folder, &["--delete", path]).output().unwrap();
    assert!(String::from_utf8_lossy(&refused.stderr).contains("still alive"), "{refused:?}");
    fs::remove_file(folder.join("nix/var/nix/gcroots/docker").join(path.rsplit('/').next().unwrap())).unwrap();
    nix(folder, &["--delete", path]);
    assert!(!folder.join(&path[1..]).exists());
}

#[test]
fn nix_takes_it_for_its_own() {
    if !has_nix() {
        return;
    }
    for keys in [json!({}), json!({"maxLayers": 3}), json!({"kind": "single"}), json!({"nixUid": 1000, "nixGid": 100})]
    {
        let place = Place::new();
        let folder = unpack(&place, &build(&place, &spec(&["curl-8.0"], keys), "image.tar"));
        let registered = closure(&place, &["curl-8.0"]);
        check_store(&place, &folder, "curl-8.0", &registered);
    }
}

/// Whoever owns the database runs Nix without being root.
#[test]
fn a_single_user_store() {
    if !has_nix() {
        return;
    }
    for kind in ["layered", "single"] {
        // Not below the build directory, which may be closed to others.
        let place = Place::within(&std::env::temp_dir().canonicalize().unwrap());
        let keys = json!({"nixUid": 12345, "nixGid": 100, "kind": kind});
        let folder = unpack(&place, &build(&place, &spec(&["curl-8.0"], keys), "image.tar"));
        let file = place.write("added", "a file of its own");
        for arguments in [&["-qR", synth().path("curl-8.0")][..], &["--add", file.to_str().unwrap()], &["--gc"]] {
            let output = nix_command(&folder, arguments).uid(12345).gid(100).env("USER", "someone").output().unwrap();
            assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        nix(&folder, &["--verify", "--check-contents"]);
    }
}

/// What Nix wrote about a store is the same as what we wrote, in text and numbers but for the time.
#[test]
fn same_rows_as_nix() {
    if !has_nix() {
        return;
    }
    let place = Place::new();
    let folder = unpack(&place, &build(&place, &spec(&["git-2.39", "corners"], json!({})), "image.tar"));
    let theirs = place.path().canonicalize().unwrap().join("theirs");
    fs::create_dir(&theirs).unwrap();
    nix(&theirs, &["--init"]);
    let files = Command::new("cp").arg("-a").arg(folder.join("nix/store")).arg(theirs.join("nix")).status().unwrap();
    assert!(files.success());
    let dump = nix_command(&folder, &["--dump-db"]).output().unwrap().stdout;
    place.write("dump", &dump);
    let load = nix_command(&theirs, &["--load-db"]).stdin(fs::File::open(place.join("dump")).unwrap()).status();
    assert!(load.unwrap().success());
    for query in [
        "select path || ' ' || hash || ' ' || narSize || coalesce(deriver, '-') || coalesce(ultimate, '-') ||
            coalesce(sigs, '-') || coalesce(ca, '-') from ValidPaths order by path",
        "select a.path || ' ' || b.path from Refs join ValidPaths a on a.id = referrer
            join ValidPaths b on b.id = reference order by a.path, b.path",
        "select drv || id || path from DerivationOutputs",
    ] {
        assert_eq!(rows(&database(&folder), query), rows(&database(&theirs), query));
    }
}

/// Tables, indices, triggers by name, and their texts but for comments and spaces; files and modes.
#[test]
fn same_schema_and_files_as_nix() {
    if !has_nix() {
        return;
    }
    let place = Place::new();
    let ours = unpack(
        &place,
        &build(
            &place,
            &spec(
                &["data.txt"],
                json!({"rootMode": "copy", "config": {"Cmd":
        [synth().path("data.txt")]}, "contents": []}),
            ),
            "image.tar",
        ),
    );
    let theirs = place.path().canonicalize().unwrap().join("theirs");
    fs::create_dir(&theirs).unwrap();
    let schema = |folder: &Path| -> Vec<String> {
        let query = "select type || ' ' || name || ' ' || tbl_name || ' ' || coalesce(sql, '') from sqlite_master";
        let plain = |text: &String| {
            let lines = text.lines().map(|line| line.split("--").next().unwrap().to_lowercase());
            let text = lines.collect::<Vec<_>>().join(" ");
            text.replace(['(', ')', ','], " $0 ").split_whitespace().collect::<Vec<_>>().join(" ")
        };
        let mut rows: Vec<String> = rows(&database(folder), query).iter().map(plain).collect();
        rows.sort();
        rows
    };
    let mine = schema(&ours);
    let output = nix_command(&theirs, &["--init"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(mine, schema(&theirs));
    for name in [
        "var",
        "var/nix",
        "var/nix/db",
        "var/nix/db/db.sqlite",
        "var/nix/db/schema",
        "var/nix/db/big-lock",
        "var/nix/gcroots",
        "var/nix/gcroots/per-user",
        "var/nix/profiles",
        "var/nix/profiles/per-user",
        "store",
        "var/nix/temproots",
    ] {
        let mode = |folder: &Path| folder.join("nix").join(name).metadata().unwrap().mode();
        assert_eq!(format!("{:o}", mode(&ours)), format!("{:o}", mode(&theirs)), "{name}");
    }
    let text = |folder: &Path| fs::read(folder.join("nix/var/nix/db/schema")).unwrap();
    assert_eq!(text(&ours), text(&theirs));
    let profiles = fs::read_link(ours.join("nix/var/nix/gcroots/profiles")).unwrap();
    assert_eq!(profiles, Path::new("/nix/var/nix/profiles"));
}
