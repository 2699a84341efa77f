//! Modes and owners of outputs that replace others: nobody may do more with the new file than with the old one.

use crate::bad_output::{place, writers};
use crate::support::caller::open_folder;
use crate::support::{Place, require_root, require_tool, synth};
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::Command;

/// The user of some outputs, and a group.
const USER: u32 = 65534;
const GROUP: u32 = 65533;

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Who a file belongs to, and its mode.
fn status(path: &Path) -> (u32, u32, u32) {
    let metadata = path.metadata().unwrap();
    (metadata.uid(), metadata.gid(), metadata.mode() & 0o7777)
}

/// Every command's outputs keep the mode that they have: archives, stage files, files of layouts and of build tools.
#[test]
fn modes_stay() {
    let place = place();
    let root = format!("--root {}", synth().root.display());
    let mut lines: Vec<(String, Vec<&str>)> =
        writers().into_iter().map(|(line, name)| (format!("{line}{name}"), vec![name])).collect();
    lines.extend([
        (format!("build s.json {root} -o oci:layout"), vec!["layout/index.json"]),
        (format!("build s.json {root} -o oci-archive:x.oci"), vec!["x.oci"]),
        (
            format!("layer x.layers.json {root} --all --blobs -o layers"),
            vec!["layers/000.layer.json", "layers/000.tar"],
        ),
        (
            "layers x.closure.json --max-layers 5 --depfile x.d -o x.layers.json".to_owned(),
            vec!["x.layers.json", "x.d"],
        ),
        ("layers x.closure.json --restat --max-layers 7 -o x.layers.json".to_owned(), vec!["x.layers.json"]),
        (format!("ninja s.json {root} --image image.tar --folder stages -o build.ninja"), vec!["build.ninja"]),
        (format!("make s.json {root} --image image.tar --folder stages -o Makefile"), vec!["Makefile"]),
        ("overlay export x.oci -o flat.tar".to_owned(), vec!["flat.tar"]),
        ("merge x.oci -o merged.tar".to_owned(), vec!["merged.tar"]),
        ("copy x.oci copied.tar.gz".to_owned(), vec!["copied.tar.gz"]),
    ]);
    for (line, names) in &lines {
        place.ok(line);
        for (before, after) in [(0o600, 0o600), (0o640, 0o640), (0o444, 0o444), (0o777, 0o777), (0o6755, 0o755)] {
            for name in names {
                set_mode(&place.join(name), before);
            }
            place.ok(line);
            // What would get the same bytes is left alone.
            let is_left_alone = line.contains("--restat") || line.starts_with("ninja") || line.ends_with("oci:layout");
            let after = if is_left_alone { before } else { after };
            for name in names {
                let mode = status(&place.join(name)).2;
                assert_eq!(mode, after, "{line}: {name} of mode {before:o}: {mode:o}");
            }
        }
        names.iter().for_each(|name| set_mode(&place.join(name), 0o644));
    }
    // A layout gets another image.
    let index = place.join("layout/index.json");
    for (number, (before, after)) in [(0o640, 0o640), (0o6755, 0o755)].into_iter().enumerate() {
        set_mode(&index, before);
        place.ok(&format!("build s.json {root} -t other:{number} -o oci:layout"));
        assert_eq!(status(&index).2, after);
    }
}

/// Root replaces a user's file.
#[test]
fn owners_stay_where_only_the_owner_writes() {
    if !require_root() {
        return;
    }
    let place = place();
    let line = format!("build s.json --root {} -o out/x.tar", synth().root.display());
    let check = |folder: (u32, u32), before: (u32, u32, u32), after: (u32, u32, u32)| {
        let (out, file) = (place.join("out"), place.write("out/x.tar", "old"));
        chown(&out, Some(folder.0), None).unwrap();
        set_mode(&out, folder.1);
        chown(&file, Some(before.0), Some(before.1)).unwrap();
        set_mode(&file, before.2);
        place.ok(&line);
        assert_eq!(status(&file), after, "{folder:?} {before:?}");
        fs::remove_dir_all(out).unwrap();
    };
    check((USER, 0o755), (USER, GROUP, 0o640), (USER, GROUP, 0o640));
    check((0, 0o755), (0, GROUP, 0o660), (0, GROUP, 0o660));
    // Whoever put it there need not be the one who wants it so.
    check((0, 0o1777), (USER, GROUP, 0o666), (0, 0, 0o644));
    check((0, 0o1777), (USER, GROUP, 0o600), (0, 0, 0o600));
    check((0, 0o777), (USER, GROUP, 0o4777), (0, 0, 0o644));
    check((0, 0o1777), (0, GROUP, 0o620), (0, GROUP, 0o620));
}

/// A user replaces a file of a group that he is not in.
#[test]
fn a_group_that_cannot_be_kept_gets_nothing() {
    if !require_root() || !require_tool("setpriv") {
        return;
    }
    for (mode, expected) in [(0o640, 0o600), (0o660, 0o600), (0o664, 0o644)] {
        let place = Place::within(open_folder());
        place.write("x.json", r#"{"name": "x", "tag": "1"}"#);
        let file = place.write("x.tar", "old");
        for path in [place.path(), place.temporary(), &file] {
            chown(path, Some(USER), Some(if path == file { GROUP } else { USER })).unwrap();
        }
        set_mode(&file, mode);
        let output = crate::support::caller::Caller::Nobody.command(&place, "build x.json -o x.tar").output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(status(&file), (USER, USER, expected));
    }
}

/// The mode's group bits are the mask of an access control list (acl(5)), which stays.
#[test]
fn access_control_lists_stay() {
    if !require_tool("python3") {
        return;
    }
    let place = place();
    let line = format!("build s.json --root {} -o x.tar", synth().root.display());
    let python = |script: &str| {
        let output = Command::new("python3").args(["-c", script]).current_dir(place.path()).output().unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    // user::rw-, user:65534:rw-, group::---, mask::rw-, other::---
    let set = "import os, struct; e = lambda t, p, i=0xffffffff: struct.pack('<HHI', t, p, i)
os.setxattr('x.tar', 'system.posix_acl_access', struct.pack('<I', 2) + e(1, 6) + e(2, 6, 65534) + e(4, 0) + e(16, 6) + e(32, 0))";
    let get = "import os; print(os.getxattr('x.tar', 'system.posix_acl_access').hex())";
    place.write("x.tar", "old");
    if !python(set).0 {
        return crate::support::skip("modes::access_control_lists_stay", "no access control lists here");
    }
    let before = python(get);
    place.ok(&line);
    assert_eq!((python(get), status(&place.join("x.tar")).2), (before, 0o660));
}
