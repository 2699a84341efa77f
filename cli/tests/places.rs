//! Places, by every command that writes an image or a tar: kinds, endings of names, what is refused; and that nothing
//! is left of what fails.

use crate::cache::{path, store};
use crate::support::{Place, golden, synth};
use serde_json::json;
use std::fs;

/// A place in which every command could run.
fn place() -> Place {
    let place = store();
    place.write(
        "b.json",
        json!({"name": "b", "tag": "1", "contents": [path("libc")], "graph": "graph.json"}).to_string(),
    );
    place.write("script.sh", "true\n");
    place.write("tree/file", "x");
    place.ok("build b.json --root root --no-cache -o base.tar");
    place.ok("layer x.layers.json --root root --no-cache --all -o layers");
    place
}

/// Commands that write an image anywhere.
const ANYWHERE: [&str; 4] = [
    "build x.json --root root --no-cache -o ",
    "image --spec x.json --root root --no-cache layers -o ",
    "copy base.tar ",
    "pull 127.0.0.1:1/x:1 --retries 0 -o ",
];

/// Commands that write a docker archive to a file.
fn archives() -> Vec<String> {
    let stream = format!("stream {} --root {} -o ", golden("conf-5.json").display(), synth().root.display());
    vec!["merge base.tar -o ".to_owned(), stream]
}

/// Commands that write another tar to a file.
const TARS: [&str; 6] = [
    "overlay export base.tar -o ",
    "merge-trees tree -o ",
    "root --extra-commands script.sh -o y.json --blob ",
    "layer x.layers.json --root root --no-cache --index 0 -o y.json --blob ",
    "nix-db x.closure.json --root root -o y.json --blob ",
    "overlay run --script script.sh -o y.json --blob ",
];

/// What is no place, and what is told of it.
const NOWHERE: [(&str, &str); 14] = [
    ("dokcer:", "hint: write docker:; ./dokcer: is a file of this name"),
    ("myname:2", "hint: ./myname:2 is a file of this name"),
    ("dir:zz", "hint: write oci:DIR; "),
    ("OCI:zz", "hint: write oci:; "),
    ("https://127.0.0.1:1/x:1", "hint: write registry:HOST/NAME:TAG; "),
    ("x.xz", "found the ending of another format"),
    ("x.tar.xz", "found the ending of another format"),
    ("x.txz", "found the ending of another format"),
    ("x.bz2", "found the ending of another format"),
    ("x.ZIP", "found the ending of another format"),
    ("x.img", "found the ending of another format"),
    ("x.7z", "found the ending of another format"),
    ("x.lz4", "found the ending of another format"),
    ("x.iso", "found the ending of another format"),
];

#[test]
fn what_is_no_place() {
    let place = place();
    let lines = ANYWHERE.iter().chain(&TARS).chain(&["demo -o "]).map(|line| (*line).to_owned()).chain(archives());
    for line in lines.chain(["ninja x.json --root root --image ".to_owned()]) {
        for (name, expected) in NOWHERE {
            let told = place.fail(&format!("{line}{name}"));
            assert!(told.contains(name) && told.contains(expected), "{line}{name}: {told}");
            let lists = told.contains("expected FILE, docker-archive:FILE, oci:DIR, oci-archive:FILE, registry:")
                || name.starts_with("dir:");
            assert!(lists || told.contains("the ending of"), "{line}{name}: {told}");
        }
    }
    // What is read is looked at as well, unless there is a file of that name.
    assert!(
        place.fail("copy localhost:1/x:1 y.tar").contains("unknown kind of place: localhost:1/x:1: found localhost:")
    );
    fs::copy(place.join("base.tar"), place.join("a:b")).unwrap();
    place.ok("copy a:b y.tar");
    assert!(place.fail("push base.tar https://127.0.0.1:1/x:1").contains("hint: write registry:HOST/NAME:TAG"));
    assert!(place.fail("push base.tar oci:x").contains("found the place oci:x, expected HOST/NAME:TAG"));
}

#[test]
fn files_alone() {
    let place = place();
    for (lines, expected) in [
        (archives(), "expected FILE, docker-archive:FILE"),
        (TARS.map(str::to_owned).to_vec(), "expected the file of a tar"),
    ] {
        for line in lines {
            let engines = ["podman:", "docker:"].into_iter().filter(|_| !line.starts_with("merge "));
            for other in engines.chain(["oci:both", "oci-archive:x.tar", "registry:127.0.0.1:1/x:1"]) {
                let told = place.fail(&format!("{line}{other}"));
                assert!(told.starts_with(&format!("error: cannot write: {other}: ")), "{line}{other}: {told}");
                assert!(told.contains(expected), "{line}{other}: {told}");
            }
        }
    }
}

/// A name that says nothing is that of a plain tar, and `docker-archive:` takes every name.
#[test]
fn any_other_name() {
    let place = place();
    let lines = ANYWHERE[..3].iter().chain(&["demo -o "]).map(|line| (*line).to_owned()).chain(archives());
    for line in lines {
        place.ok(&format!("{line}plain.tar"));
        for name in ["some.name", "x.json2", "./dokcer:", "docker-archive:x.zip", "docker-archive:x.tar.gz"] {
            place.ok(&format!("{line}{name}"));
            let file = name.trim_start_matches("docker-archive:");
            assert!(place.read(file) == place.read("plain.tar"), "{line}{name}");
        }
    }
    for line in &ANYWHERE[..3] {
        place.ok(&format!("{line}x.tar.gz"));
        place.ok(&format!("{line}docker-archive:x.zip --compression gzip"));
        place.ok(&format!("{line}x --compression gzip"));
        assert!(place.read("x.zip") == place.read("x.tar.gz") && place.read("x") == place.read("x.tar.gz"), "{line}");
    }
    for line in TARS.iter().filter(|line| !line.starts_with("overlay run") && !line.starts_with("merge-trees")) {
        place.ok(&format!("{line}plain.tar"));
        place.ok(&format!("{line}some.name"));
        assert!(place.read("some.name") == place.read("plain.tar"), "{line}");
    }
}

/// What the name says and what the flag says must be one.
#[test]
fn names_that_contradict_flags() {
    let place = place();
    let mut lines = Vec::new();
    for line in ANYWHERE {
        for (name, flag) in [
            ("x.tar.zst", "gzip"),
            ("x.tar", "zstd"),
            ("x.tar.gz", "none"),
            ("x.tgz", "zstd"),
            ("oci-archive:x.tgz", "gzip"),
        ] {
            lines.push(format!("{line}{name} --compression {flag}"));
        }
    }
    lines.extend(TARS.map(|line| format!("{line}x.tar.gz")));
    lines.extend(TARS.map(|line| format!("{line}x.tar.zst")));
    lines.push(format!("{}x.tar --compression gzip", TARS[3]));
    lines.push(format!("{}x.tar.gz --compression zstd", TARS[3]));
    for line in lines {
        let told = place.fail(&line);
        assert!(told.contains(": found the ending of a ") && told.contains(", expected that of a "), "{line}: {told}");
    }
}

/// A layout is made whole or not at all, and one that is there stays as it was.
#[test]
fn what_fails_leaves_nothing() {
    let place = place();
    place.ok("build x.json --root root --no-cache -o oci:x");
    place.ok("build b.json --root root --no-cache -o oci:there");
    place.ok("build x.json --root root --no-cache -o oci:damaged");
    let blobs = place.listing_of(&["damaged/blobs/sha256"]).into_keys().filter(|path| path.is_file());
    let mut blobs: Vec<_> = blobs.collect();
    blobs.sort_by_key(|path| path.metadata().unwrap().len());
    // The last layer but one: others are whole, and are put first.
    let mut bytes = fs::read(&blobs[2]).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&blobs[2], bytes).unwrap();
    place.write(
        "bad.json",
        json!({"name": "x", "contents": [path("app")], "graph": "graph.json", "extraCommands": "false"}).to_string(),
    );
    place.write(
        "tagless.json",
        json!({"name": "b", "tag": "1", "contents": [path("app")], "graph": "graph.json"}).to_string(),
    );
    place.ok("build tagless.json --root root --no-cache -o other.tar");
    for to in ["new", "there"] {
        for line in [
            format!("index base.tar x.json --root root --no-cache -o oci:{to}"),
            format!("index base.tar oci:damaged -o oci:{to}"),
            format!("copy oci:damaged oci:{to}"),
            format!("copy oci:damaged oci:{to} --all"),
            format!("copy oci:damaged oci:{to} --compression zstd"),
            format!("build bad.json --root root --no-cache -o oci:{to}"),
            format!("build bad.json --root root --no-cache -o oci:{to} --state state"),
            format!("image --spec x.json --root nowhere --no-cache layers -o oci:{to}"),
        ] {
            place.fail(&line);
        }
    }
    for line in [
        "merge base.tar other.tar -o merged.tar",
        "index base.tar base.tar -o oci-archive:x.tar",
        "copy oci:damaged oci-archive:y.tar",
        "copy oci:damaged y.tar",
        "layers x.closure.json bare.json --max-layers 0 -o plans",
    ] {
        place.fail(line);
    }
    // A layer that is not what it was is found out when others are there already.
    place.ok("layer x.layers.json --root root --cache cache --all -o layers");
    place.write(&format!("root{}/bin/lib", path("lib")), "LIBRARY");
    for to in ["new", "there"] {
        place.fail(&format!("image --spec x.json --root root --no-cache layers -o oci:{to}"));
    }
}
