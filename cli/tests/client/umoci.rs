//! Unpacked by umoci, store paths are what they are in the store, and so are their NAR hashes.

use super::{demo, image, small};
use crate::support::lab::Lab;
use crate::support::{Place, digest, output, output_json, require_root, require_tool};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Nobody's user and group id: the one of Debian, and what the kernel shows for an id that has no name in a namespace.
const NOBODY: u32 = 65534;

/// What a file is, as far as an image keeps it: mode, owner, modification time, and contents or target.
type Tree = BTreeMap<PathBuf, (String, u32, u32, i64, String)>;

#[test]
fn the_demo_unpacks() {
    if !ready() {
        return;
    }
    let place = Place::new();
    let image = demo(&place);
    let rootfs = unpack(&place, &image.file, None);
    let links = ["bin/hello", "share/greeting"].map(|name| fs::read_link(rootfs.join(name)).unwrap());
    let target = |link: &Path| fs::read(rootfs.join(link.strip_prefix("/").unwrap())).unwrap();
    assert!(target(&links[0]).starts_with(b"\x7fELF"));
    assert!(target(&links[1]).starts_with(b"Hello from layerstone"));
}

#[test]
fn store_paths_are_what_they_are_in_the_store() {
    let (true, Some(lab)) = (ready(), small()) else { return };
    let place = Place::new();
    let rootfs = unpack(&place, &image(&lab, &place).file, None);
    check_store(&lab, &rootfs, (0, 0));
    check_merged(&lab, &rootfs);
}

/// Without root nothing can be given away, and directories that the owner may not write to are filled all the same.
#[test]
fn anybody_unpacks_them() {
    let (true, Some(lab)) = (ready(), small()) else { return };
    let place = Place::new();
    let rootfs = unpack(&place, &image(&lab, &place).file, Some(NOBODY));
    check_store(&lab, &rootfs, (NOBODY, NOBODY));
}

#[track_caller]
fn ready() -> bool {
    ["skopeo", "umoci", "nix-hash"].into_iter().all(require_tool) && require_root()
}

/// Unpacks an archive by way of an OCI layout, as another user if one is given; the image's root.
#[track_caller]
fn unpack(place: &Place, archive: &Path, user: Option<u32>) -> PathBuf {
    let archive = format!("docker-archive:{}", archive.display());
    output(
        Command::new("skopeo").args(["--insecure-policy", "copy", &archive, "oci:oci:image"]).current_dir(place.path()),
    );
    let mut umoci = Command::new("umoci");
    umoci.args(["unpack", "--image", "oci:image", "bundle"]).current_dir(place.path());
    if let Some(user) = user {
        chown(place.path(), Some(user), Some(user)).unwrap();
        umoci.arg("--rootless").uid(user).gid(user);
    }
    output(&mut umoci);
    place.join("bundle/rootfs")
}

/// All paths of the closure, and nothing else: every file, and the NAR as Nix itself hashes it.
#[track_caller]
fn check_store(lab: &Lab, rootfs: &Path, owner: (u32, u32)) {
    let graph = output_json(Command::new("cat").arg(lab.graph()));
    let graph = graph["graph"].as_array().unwrap();
    assert_eq!(fs::read_dir(rootfs.join("nix/store")).unwrap().count(), graph.len());
    for info in graph {
        let path = Path::new(info["path"].as_str().unwrap());
        let unpacked = rootfs.join(path.strip_prefix("/").unwrap());
        let mut expected = tree(path);
        expected.values_mut().for_each(|(_, uid, gid, ..)| (*uid, *gid) = owner);
        assert_eq!(tree(&unpacked), expected, "{}", path.display());
        let hash = output(Command::new("nix-hash").args(["--type", "sha256", "--base32"]).arg(&unpacked));
        assert_eq!(format!("sha256:{}", hash.trim()), info["narHash"], "{}", path.display());
    }
}

/// The image's root is the closure's: directories as directories, files as links to them, links as they were.
#[track_caller]
fn check_merged(lab: &Lab, rootfs: &Path) {
    let env = Path::new(&lab.env);
    for (name, (_, _, _, mtime, contents)) in tree(env) {
        let (merged, original) = (rootfs.join(&name), env.join(&name));
        let found = merged.symlink_metadata().unwrap();
        assert_eq!((found.uid(), found.gid(), found.mtime()), (0, 0, mtime), "{}", name.display());
        match original.symlink_metadata().unwrap().file_type() {
            kind if kind.is_dir() => assert!(found.is_dir(), "{}", name.display()),
            kind if kind.is_symlink() => assert_eq!(fs::read_link(&merged).unwrap().to_str(), Some(&*contents)),
            _ => assert_eq!(fs::read_link(&merged).unwrap(), original),
        }
    }
}

fn tree(top: &Path) -> Tree {
    let mut found = Tree::new();
    visit(top, Path::new(""), &mut found);
    found
}

fn visit(top: &Path, name: &Path, found: &mut Tree) {
    let path = if name.as_os_str().is_empty() { top.to_owned() } else { top.join(name) };
    let meta = path.symlink_metadata().unwrap();
    let contents = if meta.is_symlink() {
        String::from_utf8_lossy(fs::read_link(&path).unwrap().as_os_str().as_bytes()).into_owned()
    } else if meta.is_dir() {
        for entry in fs::read_dir(&path).unwrap() {
            visit(top, &name.join(entry.unwrap().file_name()), found);
        }
        String::new()
    } else {
        digest(&fs::read(&path).unwrap())
    };
    found.insert(name.to_owned(), (format!("{:o}", meta.mode()), meta.uid(), meta.gid(), meta.mtime(), contents));
}
