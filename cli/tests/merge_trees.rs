//! Directories and tars merged into one tree: as cp and tar do it where they are right, and what they pass over told.

use crate::support::archive::members;
use crate::support::pieces::{Entry, bzip2, gzip, tar, xz, zstd};
use crate::support::{Place, digest, output, require_tool};
use std::collections::BTreeMap;
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

/// Two directories that agree: a mode of its own, a link, a hidden file, a file that both have.
fn folders(place: &Place) {
    place.write("a/bin/x", "x");
    place.write("a/share/both", "both");
    place.write("b/bin/y", "y");
    place.write("b/share/both", "both");
    place.write("b/.hidden", "h");
    std::fs::set_permissions(place.join("a/bin/x"), Permissions::from_mode(0o4711)).unwrap();
    symlink("../bin/x", place.join("b/share/link")).unwrap();
    std::fs::set_permissions(place.join("b/share"), Permissions::from_mode(0o755)).unwrap();
}

/// Name, kind, mode, link and contents of all below a directory.
fn listing(folder: &Path) -> BTreeMap<String, String> {
    let (mut found, mut left) = (BTreeMap::new(), vec![folder.to_owned()]);
    while let Some(path) = left.pop() {
        for entry in path.read_dir().unwrap() {
            let path = entry.unwrap().path();
            let metadata = path.symlink_metadata().unwrap();
            let what = if metadata.is_dir() {
                left.push(path.clone());
                "folder".to_owned()
            } else if metadata.is_symlink() {
                path.read_link().unwrap().display().to_string()
            } else {
                std::fs::read_to_string(&path).unwrap()
            };
            let name = path.strip_prefix(folder).unwrap().display().to_string();
            found.insert(name, format!("{:o} {what}", metadata.permissions().mode()));
        }
    }
    found
}

/// cp's tree, and the tar of it.
#[test]
fn as_cp_and_tar_do() {
    let place = Place::new();
    folders(&place);
    assert_eq!(place.ok("merge-trees a b -o ours").stderr, "");
    assert_eq!(place.ok("merge-trees a b -o ours.tar").stderr, "");
    let theirs = "mkdir theirs; for from in a b; do cp -drf --preserve=mode -f $from/* theirs/; done; cp -d b/.hidden theirs
        chmod 755 theirs
        tar --sort=name --hard-dereference --owner=0 --group=0 --numeric-owner --mtime=@1 --format=gnu -cf theirs.tar -C theirs .";
    output(Command::new("bash").args(["-ec", theirs]).current_dir(place.path()));
    assert_eq!(listing(&place.join("ours")), listing(&place.join("theirs")));
    assert_eq!(listing(&place.join("ours")).len(), 7);
    if require_tool("tar") {
        assert_eq!(digest(&place.read("ours.tar")), digest(&place.read("theirs.tar")));
    }
}

/// A tar is as good as the directory that it was made of, however it is compressed, and whoever reads it.
#[test]
fn tars_are_folders() {
    if !require_tool("tar") {
        return;
    }
    let place = Place::new();
    folders(&place);
    std::fs::hard_link(place.join("a/bin/x"), place.join("a/bin/z")).unwrap();
    place.ok("merge-trees a b -o expected.tar");
    for folder in ["a", "b"] {
        output(
            Command::new("tar").args(["-cf", &format!("{folder}.tar"), "-C", folder, "."]).current_dir(place.path()),
        );
    }
    let plain = place.read("b.tar");
    for (name, packed) in [("gz", gzip(&plain)), ("zst", zstd(&plain)), ("xz", xz(&plain)), ("bz2", bzip2(&plain))] {
        place.write(&format!("b.tar.{name}"), packed);
        place.ok(&format!("merge-trees a.tar b.tar.{name} -o {name}.tar"));
        assert_eq!(digest(&place.read(&format!("{name}.tar"))), digest(&place.read("expected.tar")), "{name}");
    }
    place.ok("merge-trees a b.tar -o mixed.tar");
    assert_eq!(digest(&place.read("mixed.tar")), digest(&place.read("expected.tar")));
    // A merged tree merged again is itself.
    place.ok("merge-trees expected.tar -o again");
    place.ok("merge-trees again -o again.tar");
    assert_eq!(digest(&place.read("again.tar")), digest(&place.read("expected.tar")));
}

#[test]
fn conflicts_are_told() {
    let place = Place::new();
    for (name, text) in [("a/x", "1"), ("b/x", "2"), ("a/same", "s"), ("b/same", "s"), ("a/d/e", ""), ("b/d/f", "")] {
        place.write(name, text);
    }
    std::fs::set_permissions(place.join("b/same"), Permissions::from_mode(0o755)).unwrap();
    std::fs::set_permissions(place.join("b/d"), Permissions::from_mode(0o700)).unwrap();
    symlink("1", place.join("a/l")).unwrap();
    symlink("2", place.join("b/l")).unwrap();
    let expected = [
        "d: mode 700 of b/d kept, 755 of a/d ignored",
        "l: b/l kept, a/l ignored",
        "same: mode 755 of b/same kept, 644 of a/same ignored",
        "x: b/x kept, a/x ignored",
    ];
    let told = place.ok("merge-trees a b -o out").stderr;
    assert_eq!(told, expected.map(|line| format!("warning: contents conflict: {line}\n")).concat());
    let kept = listing(&place.join("out"));
    assert_eq!(
        (&*kept["x"], &*kept["same"], &*kept["l"], &*kept["d"]),
        ("100644 2", "100755 s", "120777 2", "40700 folder")
    );
    let told = place.fail("merge-trees a b -o strict --strict");
    assert_eq!(told, format!("error: contents conflict: {}\n", expected.join("; ")));
    assert_eq!(place.ok("merge-trees a b -o quiet.tar --quiet").stderr, "");
    std::fs::create_dir(place.join("c")).unwrap();
    symlink("elsewhere", place.join("c/d")).unwrap();
    let told = place.fail("merge-trees a c -o out2");
    assert_eq!(told, "error: contents disagree: d: a/d is a directory, c/d a symbolic link\n");
}

#[test]
fn only_deps() {
    let place = Place::new();
    place.ok("merge-trees /nix/store/a /nix/store/b --only-deps -o deps");
    assert_eq!(place.read("deps"), b"/nix/store/a /nix/store/b\n");
}

/// Nothing is written outside of the output, whatever a tar says; and nothing is left of what goes wrong.
#[test]
fn bad_sources() {
    let place = Place::new();
    let entry = |name: &str, entry: Entry| (name.to_owned(), entry);
    let file = || Entry::File(b"x".to_vec());
    let outside = place.temporary().join("outside");
    let bad = [
        (vec![entry("../x", file())], "out of the image"),
        (vec![entry("a/../../x", file())], "out of the image"),
        (
            vec![entry("l", Entry::Symlink(place.temporary().display().to_string())), entry("l/outside", file())],
            "l/outside: l is a symbolic link, expected a directory",
        ),
        (vec![entry("h", Entry::HardLink("absent".to_owned()))], "hard link h: found no file absent"),
        (vec![entry("d", Entry::Folder), entry("h", Entry::HardLink("d".to_owned()))], "hard link h: found no file d"),
        (vec![entry("x", file()), entry("x/y", file())], "x/y: x is a regular file, expected a directory"),
        (vec![entry("d/y", file()), entry("d", file())], "d: found a directory and something else of this name"),
        (vec![entry("d", file()), entry("d", Entry::Folder)], "d: found a directory and something else of this name"),
        (vec![entry(&"d/".repeat(100_000), Entry::Folder)], "expected at most 4096"),
        (vec![entry(".", file())], "found a name of 0 bytes"),
    ];
    for (files, cause) in bad {
        place.write("bad.tar", tar(&files));
        for out in ["out", "out.tar"] {
            let told = place.fail(&format!("merge-trees bad.tar -o {out}"));
            assert!(told.starts_with("error: cannot merge: bad.tar: ") && told.contains(cause), "{told}");
        }
        assert!(!outside.exists());
    }
    let good = tar(&vec![entry("x", file())]);
    place.write("cut.tar", &good[..512]);
    place.write("damaged.tar.gz", &gzip(&good)[..40]);
    place.write("text", "no tar at all, but a text that is long enough to be a block of one".repeat(20));
    place.write("good/x", "x");
    std::fs::create_dir(place.join("there")).unwrap();
    std::os::unix::net::UnixListener::bind(place.join("good/socket")).unwrap();
    for (line, cause) in [
        ("cut.tar -o out", "not a whole tar"),
        ("damaged.tar.gz -o out", "cannot unpack: damaged.tar.gz: "),
        ("text -o out", "not a good tar"),
        ("absent -o out", "cannot read: absent: No such file or directory"),
        ("good -o out", "found a socket"),
        ("/dev/null -o out", "cannot merge: /dev/null: expected a directory or a tar"),
        (
            "there -o out.tar.gz",
            "cannot write: out.tar.gz: found the ending of a tar in gzip, expected that of a plain tar",
        ),
    ] {
        let told = place.fail(&format!("merge-trees {line}"));
        assert!(told.contains(cause), "{line}: {told}");
    }
    std::fs::remove_file(place.join("good/socket")).unwrap();
    let told = place.fail("merge-trees good -o there");
    assert!(told.contains("cannot make: there: "), "{told}");
    let told = place.fail("merge-trees good -o absent/out");
    assert!(told.contains("absent"), "{told}");
    place.ok("merge-trees there -o empty");
    assert!(listing(&place.join("empty")).is_empty());
}

/// A file that comes twice in a tar is the last one; directories need no header; whiteouts are files.
#[test]
fn doubtful_tars() {
    let place = Place::new();
    let entry = |name: &str, text: &str| (name.to_owned(), Entry::File(text.as_bytes().to_vec()));
    place.write(
        "x.tar",
        tar(&vec![entry("a/b/c", "1"), entry("a/b/c", "2"), entry("a/.wh.gone", ""), entry("/abs", "3")]),
    );
    place.ok("merge-trees x.tar -o out.tar");
    let found: Vec<_> =
        members(&place.read("out.tar")).into_iter().map(|m| (String::from_utf8(m.name).unwrap(), m.contents)).collect();
    place.write("closed/a/own", "");
    std::fs::set_permissions(place.join("closed/a"), Permissions::from_mode(0o700)).unwrap();
    // The tar says nothing of the mode of `a`.
    assert_eq!(place.ok("merge-trees closed x.tar -o both --strict").stderr, "");
    assert_eq!(listing(&place.join("both"))["a"], "40700 folder");
    let expected = [(".", ""), ("./a", ""), ("./a/.wh.gone", ""), ("./a/b", ""), ("./a/b/c", "2"), ("./abs", "3")];
    assert_eq!(found, expected.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec())));
}
