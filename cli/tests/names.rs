//! Names that no one expects: spaces, newlines, bytes that are no UTF-8, paths of 300 bytes.

use crate::support::archive::{Member, members};
use crate::support::{Place, require_tool};
use serde_json::json;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

const PATH: &str = "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-odd";

/// A store path with a file and a link of each of the names.
fn place(names: &[&[u8]]) -> Place {
    let place = Place::new();
    let folder = place.join(format!("root{PATH}/share"));
    fs::create_dir_all(&folder).unwrap();
    for (index, name) in names.iter().enumerate() {
        let file = folder.join(OsStr::from_bytes(name));
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, name).unwrap();
        symlink(OsStr::from_bytes(name), folder.join(format!("link-{index}"))).unwrap();
    }
    place.write("s.json", json!({"name": "x", "contents": [PATH]}).to_string());
    place.write("plan", json!([[PATH]]).to_string());
    place
}

/// All names come through every command and every reader of tars: ours, the tar crate and GNU tar.
#[track_caller]
fn check(names: &[&[u8]]) {
    let place = place(names);
    place.ok("build s.json --root root -o x.tar");
    place.ok("closure --scan --root root --spec s.json --nar-hash -o x.closure.json");
    place.ok("layer plan --root root --index 0 --tarsum --blob layer.tar -o x.layer.json");
    place.ok("root --spec s.json --root root --blob root.tar -o root.layer.json");
    place.ok("image --spec s.json x.layer.json root.layer.json -o staged.tar");
    assert!(place.read("staged.tar") == place.read("x.tar"));
    let text = place.json("x.layer.json")["tarsum"].as_str().unwrap().to_owned();
    assert_eq!(place.ok("tarsum layer.tar").text().trim_end(), text);
    let layer = members(&place.read("layer.tar"));
    for (index, name) in names.iter().enumerate() {
        let full = [PATH.as_bytes(), b"/share/", name].concat();
        assert_eq!(find(&layer, &full).contents, *name);
        let link = format!("{PATH}/share/link-{index}");
        assert_eq!(find(&layer, link.as_bytes()).link, *name);
    }
    let root = members(&place.read("root.tar"));
    for name in names {
        let target = [PATH.as_bytes(), b"/share/", name].concat();
        assert_eq!(find(&root, &[b"./share/", *name].concat()).link, target);
    }
    if require_tool("tar") {
        check_unpacked(&place, names);
    }
}

#[track_caller]
fn find<'a>(members: &'a [Member], name: &[u8]) -> &'a Member {
    let found = members.iter().find(|member| member.name == name);
    found.unwrap_or_else(|| panic!("no {:?}", String::from_utf8_lossy(name)))
}

/// GNU tar makes the same tree of the layer.
#[track_caller]
fn check_unpacked(place: &Place, names: &[&[u8]]) {
    let folder = place.join("unpacked");
    fs::create_dir(&folder).unwrap();
    let mut tar = Command::new("tar");
    let output = tar.arg("-xf").arg(place.join("layer.tar")).arg("-C").arg(&folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let share = folder.join(&PATH[1..]).join("share");
    for (index, name) in names.iter().enumerate() {
        assert_eq!(fs::read(share.join(OsStr::from_bytes(name))).unwrap(), *name);
        assert_eq!(fs::read_link(share.join(format!("link-{index}"))).unwrap(), Path::new(OsStr::from_bytes(name)));
    }
}

#[test]
fn spaces_newlines_and_quotes() {
    check(&[b"a b", b" ", b"new\nline", b"\n", b"tab\t", b"back\\slash", b"quote'\"", b"-rf", b"*", b"$HOME", b"{}"]);
}

#[test]
fn bytes_that_are_no_utf8() {
    check(&[
        b"latin1-\xe9",
        b"\xff\xfe",
        b"\x80",
        b"\x01\x1f\x7f",
        "h\u{e9}llo-\u{4f60}\u{597d}".as_bytes(),
        "e\u{301}".as_bytes(),
    ]);
}

#[test]
fn long_paths() {
    let part = |length| vec![b'n'; length];
    let deep = [part(120), part(120), part(57)].join(&b'/');
    let deeper = [part(250), part(250), part(250), part(250)].join(&b'/');
    let long_latin1 = [part(150), vec![0xe9; 50]].concat();
    let exact: Vec<Vec<u8>> = (40..=60).map(part).collect();
    let mut names: Vec<&[u8]> = vec![&deep, &deeper, &long_latin1];
    names.extend(exact.iter().map(Vec::as_slice));
    assert_eq!(deep.len(), 299);
    check(&names);
}

/// The place where we work may have an odd name too, and be far down.
#[test]
fn odd_working_folder() {
    let place = place(&[b"file"]);
    let folder = place.join(OsStr::from_bytes(b"odd \xff\n folder")).join("n".repeat(250)).join("n".repeat(250));
    fs::create_dir_all(&folder).unwrap();
    for (line, output) in [
        ("build s.json --root root -o", "x.tar"),
        ("build s.json --root root -o", "x.tar.gz"),
        ("closure --scan --spec s.json --root root -o", "x.closure.json"),
        ("layer plan --index 0 --root root -o", "x.layer.json"),
        ("layer plan --all --blobs --root root -o", "layers"),
    ] {
        let mut command = place.command(line);
        let run = command.arg(folder.join(output)).output().unwrap();
        assert!(run.status.success(), "{line}: {}", String::from_utf8_lossy(&run.stderr));
        place.ok(&format!("{line} {output}"));
    }
    for output in ["x.tar", "x.tar.gz", "x.closure.json", "x.layer.json", "layers/000.tar", "layers/000.layer.json"] {
        assert_eq!(fs::read(folder.join(output)).unwrap(), place.read(output), "{output}");
    }
}
