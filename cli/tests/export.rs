//! The files of an image as one flat tar: what GNU tar unpacks of the layers one after the other, and docker shows.

use crate::support::archive::members;
use crate::support::docker::{Docker, client};
use crate::support::pieces::{Entry, Pieces, gzip, plain_docker, tar};
use crate::support::{Place, digest, output, require_tool};
use std::collections::BTreeMap;
use std::process::Command;

fn file(text: &str) -> Entry {
    Entry::File(text.as_bytes().to_vec())
}

/// Two layers: the upper one hides, replaces, opens anew.
fn pieces() -> Pieces {
    let entry = |name: &str, entry: Entry| (name.to_owned(), entry);
    let lower = tar(&vec![
        entry("etc", Entry::Folder),
        entry("etc/gone", file("gone")),
        entry("etc/kept", file("kept")),
        entry("etc/link", Entry::Symlink("kept".to_owned())),
        entry("etc/same", Entry::HardLink("etc/kept".to_owned())),
        entry("opt", Entry::Folder),
        entry("opt/old", file("old")),
    ]);
    let upper = tar(&vec![
        entry("etc/.wh.gone", file("")),
        entry("opt", Entry::Folder),
        entry("opt/new", file("new")),
        entry("opt/.wh..wh..opq", file("")),
        entry("bin", Entry::Folder),
        entry("bin/x", file("x")),
    ]);
    Pieces::new(&[lower, upper])
}

fn archive(pieces: &Pieces) -> Vec<u8> {
    tar(&plain_docker(std::slice::from_ref(pieces)))
}

fn names(tar: &[u8]) -> Vec<String> {
    members(tar).into_iter().map(|member| String::from_utf8(member.name).unwrap()).collect()
}

#[test]
fn whiteouts_are_applied() {
    let place = Place::new();
    place.write("image.tar", archive(&pieces()));
    place.write("image.tar.gz", gzip(&archive(&pieces())));
    place.ok("overlay export image.tar -o flat.tar");
    let flat = place.read("flat.tar");
    let expected = [".", "./bin", "./bin/x", "./etc", "./etc/kept", "./etc/link", "./etc/same", "./opt", "./opt/new"];
    assert_eq!(names(&flat), expected);
    place.ok("overlay export image.tar.gz -o packed.tar");
    assert_eq!(place.read("packed.tar"), flat);
    assert_eq!(digest(&place.ok("overlay export image.tar#base:1 -o -").stdout), digest(&flat));
}

/// The same files, with modes and times, as unpacking the layers one by one with GNU tar.
#[test]
fn as_gnu_tar_unpacks_the_layers() {
    if !require_tool("tar") || !require_tool("find") {
        return;
    }
    let place = Place::new();
    let root = crate::support::synth().root.display();
    let spec = serde_json::json!({"name": "x", "contents": crate::support::synth().path("root-env"), "uid": 7});
    place.write("x.json", spec.to_string());
    place.ok(&format!("build x.json --root {root} --max-layers 5 -o x.tar"));
    place.ok("overlay export x.tar -o flat.tar");
    let unpack = |tar: &str, folder: &str| {
        std::fs::create_dir_all(place.join(folder)).unwrap();
        output(Command::new("tar").args(["--no-same-owner", "-xpf", tar, "-C", folder]).current_dir(place.path()));
    };
    let image = Pieces::of(&place.read("x.tar"));
    for layer in &image.layers {
        place.write("layer.tar", layer);
        unpack("layer.tar", "layers");
    }
    unpack("flat.tar", "flat");
    let listing = |folder: &str| -> Vec<String> {
        let print = ["-mindepth", "1", "-printf", "%P %y %m %l %T@ %s\\n"];
        let found = Command::new("find").arg(folder).args(print).current_dir(place.path()).output().unwrap();
        assert!(found.status.success());
        let mut lines: Vec<String> =
            found.stdout.split(|&byte| byte == b'\n').map(|line| line.escape_ascii().to_string()).collect();
        lines.sort();
        lines
    };
    // Directories that every layer brings along have the time of the layer that came last, or of what was put in them.
    let files =
        |folder: &str| -> Vec<String> { listing(folder).into_iter().filter(|line| !line.contains(" d ")).collect() };
    assert!(files("flat").len() > 20);
    assert_eq!(files("flat"), files("layers"));
}

/// What a damaged, absent or endless image gives; the output is as it was.
#[test]
fn bad_images_and_outputs() {
    let place = Place::new();
    let good = archive(&pieces());
    let mut damaged = good.clone();
    let at = damaged.windows(4).position(|bytes| bytes == b"kept").unwrap();
    damaged[at + 512..][..3].copy_from_slice(b"Kep");
    place.write("damaged.tar", damaged);
    place.write("good.tar", good);
    place.write("old.tar", "old");
    let told = place.fail("overlay export damaged.tar -o old.tar");
    assert!(told.starts_with("error: wrong digest: ") || told.contains("not a good tar"), "{told}");
    let told = place.error_of("overlay export absent.tar -o old.tar");
    assert_eq!(told, "error: cannot read: absent.tar: No such file or directory (os error 2)\n");
    assert!(place.fail("overlay export good.tar#x:1 -o old.tar").contains("base:1"));
    assert!(place.fail("overlay export good.tar -o absent/x.tar").contains("absent/x.tar"));
    assert_eq!(place.read("old.tar"), b"old");
}

/// docker's own export has the same files, but for those that it mounts.
#[test]
fn as_docker_exports() {
    let Some(docker) = Docker::find() else { return };
    let place = Place::new();
    let pieces = pieces().called(&["export:1"]);
    place.write("image.tar", archive(&pieces));
    place.ok("overlay export image.tar -o flat.tar");
    let turn = docker.turn();
    let _image = turn.load(&place.join("image.tar"), "export:1");
    let container = output(&mut client("create --network none export:1 /bin/x"));
    let exported = client(&format!("export {}", container.trim())).output().unwrap();
    output(&mut client(&format!("rm {}", container.trim())));
    assert!(exported.status.success());
    let shown = |tar: &[u8]| -> BTreeMap<String, (Vec<u8>, u32)> {
        let found = members(tar).into_iter().filter(|member| matches!(member.kind, '0' | '2'));
        let name = |name: Vec<u8>| String::from_utf8(name).unwrap().trim_start_matches("./").to_owned();
        found.map(|member| (name(member.name), ([member.contents, member.link].concat(), member.mode))).collect()
    };
    let mut theirs = shown(&exported.stdout);
    theirs.retain(|name, _| {
        let of_docker =
            ["dev/", "proc/", "sys/", ".dockerenv", "etc/hostname", "etc/hosts", "etc/mtab", "etc/resolv.conf"];
        !of_docker.iter().any(|of_docker| name.starts_with(of_docker))
    });
    let mut ours = shown(&place.read("flat.tar"));
    // One of a file's names has its contents, and docker begins with another one.
    for name in ["etc/kept", "etc/same"] {
        theirs.remove(name);
        ours.remove(name);
    }
    assert_eq!(ours, theirs);
}
