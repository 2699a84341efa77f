//! Stores and layer files that are not what they should be: vanished, changed, with sockets, with other bytes.

use crate::support::{Place, digest};
use serde_json::json;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Child, Stdio};

const A: &str = "/nix/store/0123456789abcdfghijklmnpqrsvwxyz-a";
const B: &str = "/nix/store/1123456789abcdfghijklmnpqrsvwxyz-b";

/// A place with a store of two paths, a plan, a graph and a spec for them, and outputs of old.
fn place() -> Place {
    let place = Place::new();
    place.write(&format!("root{A}/first"), "contents of a");
    place.write(&format!("root{B}/file"), "contents of b");
    place.write("plan", json!([[A], [B]]).to_string());
    place.write("graph", json!([{"path": A, "references": []}, {"path": B, "references": []}]).to_string());
    place.write("s.json", json!({"name": "x", "contents": [A, B], "graph": "graph"}).to_string());
    for name in ["old.tar", "old.json", "layers/000.layer.json", "layers/007.layer.json"] {
        place.write(name, "old");
    }
    place
}

/// All commands that read the store.
const READERS: [&str; 5] = [
    "layer plan --root root --index 1 --blob old.tar -o old.json",
    "layer plan --root root --all -o layers",
    "layer plan --root root --all --blobs -o layers",
    "build s.json --root root -o old.tar",
    "closure --scan --root root /nix/store/1123456789abcdfghijklmnpqrsvwxyz-b -o old.json",
];

#[test]
fn vanished_path() {
    let place = place();
    std::fs::remove_dir_all(place.join(format!("root{B}"))).unwrap();
    for line in READERS {
        let told = place.error_of(line);
        assert_eq!(told, format!("error: cannot read: root{B}: No such file or directory (os error 2)\n"), "{line}");
    }
    // A directory that was made for the layers goes again.
    place.error_of("layer plan --root root --all -o new");
}

#[test]
fn socket() {
    let place = place();
    // A socket's path may only have 108 bytes, so it is made elsewhere and moved.
    let short = tempfile::tempdir().unwrap();
    let _listener = UnixListener::bind(short.path().join("s")).unwrap();
    let socket = place.join(format!("root{B}/socket"));
    if std::fs::rename(short.path().join("s"), &socket).is_err() {
        return crate::support::skip(
            "bad_store::socket",
            "the build's directory is on another file system than TMPDIR",
        );
    }
    for line in READERS {
        let told = place.error_of(line);
        assert!(told.contains(&format!("{B}/socket: found a socket, expected ")), "{line}: {told}");
    }
}

/// A file that cannot be read, for all but root.
#[test]
fn unreadable_file() {
    let place = place();
    let file = place.join(format!("root{B}/file"));
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o000)).unwrap();
    if std::fs::read(&file).is_ok() {
        // Root reads everything.
        return;
    }
    for line in READERS {
        assert!(place.fail(line).contains(&format!("{B}/file: Permission denied")), "{line}");
    }
}

/// A layer file whose recipe gives other bytes than it did.
#[test]
fn recipe_with_other_bytes() {
    let place = place();
    place.ok("layer plan --root root --all -o made");
    let expected = place.json("made/001.layer.json")["diffId"].as_str().unwrap().to_owned();
    place.write(&format!("root{B}/file"), "CONTENTS OF B");
    place.ok("layer plan --root root --index 1 -o other.layer.json");
    let found = place.json("other.layer.json")["diffId"].as_str().unwrap().to_owned();
    for output in ["old.tar", "new.tar", "new.tar.gz", "new.tar.zst"] {
        let told = place.error_of(&format!(
            "image -q --spec s.json --root root made/000.layer.json made/001.layer.json -o {output}"
        ));
        assert_eq!(told, format!("error: wrong digest: made/001.layer.json: found {found}, expected {expected}\n"));
    }
    let run = place.run("image --spec s.json --root root made/001.layer.json -o -");
    assert_eq!((run.code, run.stderr.contains("wrong digest: made/001.layer.json")), (Some(1), true));
    place.write(&format!("root{B}/more"), "");
    let told = place.error_of("image -q --spec s.json --root root made/001.layer.json -o old.tar");
    assert!(told.starts_with("error: wrong "), "{told}");
}

/// A layer file whose blob is not the one that it was made with.
#[test]
fn blob_with_other_bytes() {
    let place = place();
    place.ok("layer plan --root root --all --blobs -o made");
    let mut tar = place.read("made/000.tar");
    let expected = digest(&tar);
    tar[600] ^= 1;
    place.write("made/000.tar", &tar);
    let line = "image -q --spec s.json made/000.layer.json made/001.layer.json -o old.tar";
    let found = digest(&tar);
    let told = place.error_of(line);
    assert_eq!(
        told,
        format!("error: wrong digest: made/000.layer.json: found sha256:{found}, expected sha256:{expected}\n")
    );
    tar.push(0);
    place.write("made/000.tar", &tar);
    let (found, size) = (tar.len(), tar.len() - 1);
    let told = place.error_of(line);
    let expected = format!("error: wrong size: made/000.layer.json: found a layer of {found} bytes, expected {size}\n");
    assert_eq!(told, expected);
    std::fs::remove_file(place.join("made/000.tar")).unwrap();
    let told = place.error_of(line);
    assert_eq!(told, "error: cannot read: made/000.tar: No such file or directory (os error 2)\n");
    let neither = json!({"format": "layerstone/layer", "version": 1});
    place.write("made/000.layer.json", neither.to_string());
    let told = place.error_of(line);
    assert_eq!(told, "error: malformed layerstone/layer: made/000.layer.json: missing field `diffId`\n");
}

/// Bytes of a file that nobody has read to its end when its first byte comes out of a pipe, which holds 64 KiB.
const LARGE: u64 = 128 << 20;

/// A place whose second path holds such a file and a small one behind it, and where the large one is.
fn place_with_large() -> (Place, PathBuf) {
    let place = place();
    place.write(&format!("root{B}/later"), "small");
    let path = place.write(&format!("root{B}/large"), "");
    // Sparse, so that it takes no room on the disk.
    std::fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(LARGE).unwrap();
    (place, path)
}

/// Starts a build into a pipe and returns once its first byte is there.
fn start(place: &Place) -> Child {
    let mut child = place.command("build s.json --root root -o -").stderr(Stdio::piped()).spawn().unwrap();
    child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    child
}

/// Reads the rest and returns what was said.
#[track_caller]
fn finish(place: &Place, mut child: Child) -> String {
    std::io::copy(&mut child.stdout.take().unwrap(), &mut std::io::sink()).unwrap();
    let mut told = String::new();
    child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{told}");
    place.check_no_leftovers();
    told
}

/// Gives a file another last byte.
fn overwrite(path: &PathBuf) {
    let mut file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::End(-1)).unwrap();
    file.write_all(b"x").unwrap();
}

/// A store path that shrinks, grows, vanishes or gets other bytes of the same length between two looks at it; in the
/// last case only its digest can tell.
#[test]
fn changes_while_it_is_read() {
    type Change<'a> = &'a dyn Fn(&PathBuf);
    let changed = format!("changed while it was read: root{B}/large: ");
    let vanished = format!("cannot read: root{B}/later: ");
    let changes: [(&str, Change); 5] = [
        (&changed, &|path| {
            std::fs::OpenOptions::new().write(true).open(path).unwrap().set_len(LARGE - 600).unwrap();
        }),
        (&changed, &|path| {
            std::fs::OpenOptions::new().append(true).open(path).unwrap().write_all(b"more").unwrap();
        }),
        // The large one may be open already, and then its bytes are still there.
        (&vanished, &|path| std::fs::remove_file(path.with_file_name("later")).unwrap()),
        (&changed, &overwrite),
        ("wrong digest: layer 0: found sha256:", &|path| {
            let modified = path.metadata().unwrap().modified().unwrap();
            overwrite(path);
            std::fs::OpenOptions::new().write(true).open(path).unwrap().set_modified(modified).unwrap();
        }),
    ];
    for (expected, change) in changes {
        let (place, large) = place_with_large();
        let child = start(&place);
        change(&large);
        let told = finish(&place, child);
        assert!(told.starts_with(&format!("error: {expected}")), "{told}");
    }
}

/// The same for an output that is a file: the change comes when reading has begun.
#[test]
fn changes_under_a_file_output() {
    let (place, large) = place_with_large();
    let first = place.join(format!("root{A}/sparse"));
    std::fs::File::create(&first).unwrap().set_len(512 << 20).unwrap();
    for line in [
        "layer plan --root root -j 1 --all -o layers",
        "layer plan --root root -j 1 --all --blobs -o layers",
        "build s.json --root root -j 1 -o old.tar",
    ] {
        std::fs::File::create(&large).unwrap().set_len(LARGE).unwrap();
        let before = place.listing_of(&["old.tar", "layers"]);
        let mut child = place.command(line).spawn().unwrap();
        while !has_open(&child, &first) {
            assert!(child.try_wait().unwrap().is_none(), "{line}: ended before it was seen to read");
            crate::support::process::pause();
        }
        std::fs::write(&large, "short").unwrap();
        let told = finish(&place, child);
        let expected = format!("error: changed while it was read: root{B}/large: ");
        assert!(told.starts_with(&expected), "{line}: {told}");
        assert_eq!(place.listing_of(&["old.tar", "layers"]), before, "{line}");
    }
}

/// Whether a process has a file open.
fn has_open(child: &Child, path: &PathBuf) -> bool {
    let Ok(entries) = std::fs::read_dir(format!("/proc/{}/fd", child.id())) else { return false };
    entries.flatten().any(|entry| std::fs::read_link(entry.path()).is_ok_and(|target| target == *path))
}
