//! Layers as EROFS file systems by diff ID: the kernel shows the files of the tar, and of all layers those of the image; what is
//! there stays; what cannot be.

use crate::support::caller::Caller;
use crate::support::pieces::{Pieces, plain_docker, tar};
use crate::support::registry::Registry;
use crate::support::{Place, Run, digest, output, require_root, require_tool, skip, synth, test_name};
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use tar::EntryType;

/// A name as long as one may be.
fn long_name() -> String {
    "n".repeat(255)
}

/// A layer with these members: name, kind, mode, contents or target.
fn layer(members: &[(&str, EntryType, u32, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, kind, mode, text) in members {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(*mode);
        header.set_uid(70_000);
        header.set_gid(5);
        header.set_mtime(1_577_836_800);
        if *kind == EntryType::Char {
            header.set_device_major(7).unwrap();
            header.set_device_minor(300).unwrap();
        }
        header.set_size(0);
        match kind {
            EntryType::Symlink | EntryType::Link => builder.append_link(&mut header, name, text).unwrap(),
            EntryType::Regular => {
                header.set_size(text.len() as u64);
                if *mode == 0o4755 {
                    builder.append_pax_extensions([("SCHILY.xattr.user.x", &b"value"[..])]).unwrap();
                }
                builder.append_data(&mut header, name, text.as_bytes()).unwrap();
            }
            _ => builder.append_data(&mut header, name, &b""[..]).unwrap(),
        }
    }
    builder.into_inner().unwrap()
}

/// Two layers with all that a layer may have; the upper one hides, replaces and opens anew.
fn layers() -> [Vec<u8>; 2] {
    use EntryType::{Char, Directory, Fifo, Link, Regular, Symlink};
    let long = long_name();
    let lower = layer(&[
        ("./", Directory, 0o755, ""),
        ("a/", Directory, 0o700, ""),
        ("a/gone", Regular, 0o644, "gone"),
        ("a/kept", Regular, 0o4755, "kept"),
        ("a/same", Link, 0o4755, "a/kept"),
        ("a/large", Regular, 0o600, &"large ".repeat(3000)),
        (&format!("a/{long}"), Regular, 0o644, ""),
        ("b/", Directory, 0o1777, ""),
        ("b/old", Regular, 0o644, "old"),
        ("c/", Directory, 0o755, ""),
        ("c/in", Regular, 0o644, "in"),
        ("link", Symlink, 0o777, "a/kept"),
        ("pipe", Fifo, 0o640, ""),
        ("device", Char, 0o660, ""),
    ]);
    let upper = layer(&[
        ("./", Directory, 0o750, ""),
        ("a/", Directory, 0o711, ""),
        ("a/.wh.gone", Regular, 0o644, ""),
        ("b/", Directory, 0o755, ""),
        ("b/.wh..wh..opq", Regular, 0o644, ""),
        ("b/new", Regular, 0o644, "new"),
        // In a directory that no lower layer has.
        ("d/", Directory, 0o755, ""),
        ("d/.wh.nothing", Regular, 0o644, ""),
        (".wh.c", Regular, 0o644, ""),
        ("c", Regular, 0o644, "a file"),
    ]);
    [lower, upper]
}

/// Where the file system of a layer is.
fn blob(cache: &str, diff_id: &str) -> String {
    let hex = diff_id.trim_start_matches("sha256:");
    format!("{cache}/sha256/{}/{hex}.erofs", &hex[..2])
}

/// A place with `base.tar`, an image of these layers; where their file systems are in `cache`.
fn base(layers: &[Vec<u8>]) -> (Place, Vec<String>) {
    let (place, pieces) = (Place::new(), Pieces::new(layers));
    place.write("base.tar", tar(&plain_docker(std::slice::from_ref(&pieces))));
    let blobs = pieces.diff_ids().iter().map(|diff_id| blob("cache", diff_id)).collect();
    (place, blobs)
}

/// Something that is mounted until dropped.
struct Mounted(PathBuf);

impl Mounted {
    /// Mounts something on a new directory; none, and the test is skipped, if this machine cannot.
    #[track_caller]
    fn new(place: &Place, name: &str, words: &[&str]) -> Option<Mounted> {
        if !require_root() || !require_tool("mount") {
            return None;
        }
        let point = place.join(name);
        fs::create_dir(&point).unwrap();
        let run = Command::new("mount").args(words).arg(&point).current_dir(place.path()).output().unwrap();
        if !run.status.success() {
            skip(&test_name(), &format!("cannot mount: {}", String::from_utf8_lossy(&run.stderr)));
        }
        run.status.success().then_some(Mounted(point))
    }

    #[track_caller]
    fn erofs(place: &Place, name: &str, blob: &str) -> Option<Mounted> {
        Mounted::new(place, name, &["-t", "erofs", "-o", "ro,loop", blob])
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(&self.0).status().is_ok_and(|status| status.success());
        assert!(unmounted || std::thread::panicking(), "{}", self.0.display());
    }
}

/// All that GNU tar sees of a directory: names, kinds, modes, owners, times, links, attributes of users, contents.
#[track_caller]
fn seen(directory: &Path) -> Vec<u8> {
    let words = ["--sort=name", "--numeric-owner", "--xattrs", "--xattrs-include=user.*", "--format=pax"];
    let options = "--pax-option=exthdr.name=%d/%f,delete=atime,delete=ctime";
    output(Command::new("tar").args(words).args([options, "-cf", "-", "."]).current_dir(directory)).into_bytes()
}

/// Unpacks a tar with GNU tar.
#[track_caller]
fn unpacked(place: &Place, tar: &str, name: &str) -> PathBuf {
    let directory = place.join(name);
    fs::create_dir(&directory).unwrap();
    let words = ["--numeric-owner", "--xattrs", "--xattrs-include=*", "-xpf", tar, "-C", name];
    output(Command::new("tar").args(words).current_dir(place.path()));
    directory
}

#[track_caller]
fn check_fsck(place: &Place, blob: &str) {
    if require_tool("fsck.erofs") {
        let run = Command::new("fsck.erofs").args(["--extract", "-d3"]).arg(place.join(blob)).output().unwrap();
        let said = String::from_utf8_lossy(&run.stdout).into_owned() + &String::from_utf8_lossy(&run.stderr);
        assert!(run.status.success() && said.contains("No errors found"), "{said}");
    }
}

/// Each layer for itself, and all of them as an overlay.
#[test]
fn the_kernel_shows_the_files_of_the_tar() {
    let layers = layers();
    let (place, blobs) = base(&layers);
    place.write("lower.tar", &layers[0]);
    place.ok("copy base.tar oci:copied --erofs-cache cache");
    blobs.iter().for_each(|blob| check_fsck(&place, blob));
    let Some(lower) = Mounted::erofs(&place, "lower", &blobs[0]) else { return };
    assert!(seen(&lower.0) == seen(&unpacked(&place, "lower.tar", "unpacked")), "the lower layer");
    let Some(upper) = Mounted::erofs(&place, "upper", &blobs[1]) else { return };
    let whiteout = |name: &str| {
        let file = upper.0.join(name).symlink_metadata().unwrap();
        (file.file_type().is_char_device(), file.rdev())
    };
    assert_eq!([whiteout("a/gone"), whiteout("d/nothing")], [(true, 0); 2]);
    assert!(upper.0.join("c").is_file() && !upper.0.join("b/.wh..wh..opq").exists());
    let overlay = ["-t", "overlay", "-o", "ro,lowerdir=upper:lower", "overlay"];
    let Some(overlay) = Mounted::new(&place, "overlay", &overlay) else { return };
    place.ok("overlay export base.tar -o flat.tar");
    assert!(seen(&overlay.0) == seen(&unpacked(&place, "flat.tar", "flat")), "both layers");
}

/// The layers of the store, of the root, and of the base: as many files as layers, each by its diff ID; the same bytes with one
/// thread and with eight, from a copy and stage by stage. The image is what it is without.
#[test]
fn all_layers_of_a_build() {
    let (place, _) = base(&layers());
    let synth = synth();
    let spec = serde_json::json!({
        "name": "x", "contents": synth.path("curl-8.0"), "fromImage": "base.tar", "maxLayers": 9, "graph": synth.graph,
    });
    place.write("x.json", spec.to_string());
    let root = format!("--root {}", synth.root.display());
    let build = |threads: u32, cache: &str| {
        let line = format!("build x.json {root} -o {cache}.tar --erofs-cache {cache} --no-check");
        let run = place.command(&line).env("RAYON_NUM_THREADS", threads.to_string()).output().unwrap();
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    };
    build(1, "cache");
    build(8, "other");
    place.ok(&format!("build x.json {root} -o plain.tar --no-check"));
    assert!(place.read("plain.tar") == place.read("cache.tar"), "the image");
    let pieces = Pieces::of(&place.read("cache.tar"));
    let mut expected: Vec<String> = pieces.diff_ids().iter().map(|diff_id| blob("cache", diff_id)).collect();
    expected.sort();
    let found = |cache: &str| -> Vec<String> {
        let files = place.listing_of(&[cache]).into_iter().filter(|(_, what)| what != "folder");
        files.map(|(path, _)| path.strip_prefix(place.path()).unwrap().display().to_string()).collect()
    };
    assert_eq!(found("cache"), expected);
    expected.iter().for_each(|blob| check_fsck(&place, blob));
    let bytes = |cache: &str| -> Vec<String> { place.listing_of(&[cache]).into_values().collect() };
    assert_eq!(bytes("other"), bytes("cache"));
    place.ok("copy cache.tar oci:copied");
    place.ok("copy oci:copied again.tar --erofs-cache copied.cache");
    assert_eq!(bytes("copied.cache"), bytes("cache"));
    // Stage by stage.
    place.ok(&format!(
        "layer --tar {} -o one.layer.json --erofs-cache staged",
        place.write("one.tar", &pieces.layers[0]).display()
    ));
    let plan = serde_json::json!([[synth.path("zlib-1.3")], [synth.path("bash-5.2")]]);
    place.write("plan.json", plan.to_string());
    place.ok(&format!("layer plan.json --all -o made --root {} --erofs-cache staged", synth.root.display()));
    place.ok("layer --tar one.tar -o root.layer.json --blob root.tar");
    place.ok(&format!("layer plan.json --behind root.layer.json --blob single.tar -o single.layer.json --root {} --erofs-cache staged", synth.root.display()));
    let made = ["one.layer.json", "made/000.layer.json", "made/001.layer.json", "single.layer.json"];
    let mut expected: Vec<String> =
        made.iter().map(|file| blob("staged", place.json(file)["diffId"].as_str().unwrap())).collect();
    expected.sort();
    assert_eq!(found("staged"), expected);
}

/// What is there is neither read nor written again, whoever wrote it; what is not whole is, and says so.
#[test]
fn what_is_there_stays() {
    let (place, blobs) = base(&layers());
    place.ok("copy base.tar oci:copied --erofs-cache cache");
    let written = place.read(&blobs[0]);
    let inode = |blob: &str| place.join(blob).metadata().unwrap().ino();
    let inodes = [inode(&blobs[0]), inode(&blobs[1])];
    // Of another program: other bytes, and a hash tree behind them.
    let mut other = written.clone();
    other.extend([1; 4096]);
    fs::write(place.join(&blobs[0]), &other).unwrap();
    let run = place.ok("copy base.tar oci:copied --erofs-cache cache");
    assert!(!run.stderr.contains("written again"), "{}", run.stderr);
    assert_eq!([inode(&blobs[0]), inode(&blobs[1])], inodes);
    assert!(place.read(&blobs[0]) == other);
    for damaged in [&b""[..], &written[..2000], &written[..written.len() - 1], &vec![0; written.len()]] {
        fs::write(place.join(&blobs[0]), damaged).unwrap();
        let run = place.ok("copy base.tar oci:copied --erofs-cache cache");
        let expected = format!("warning: written again: {}: found no whole EROFS file system\n", blobs[0]);
        assert!(run.stderr.contains(&expected), "{}", run.stderr);
        assert!(place.read(&blobs[0]) == written);
    }
}

/// Several at once, of which each finds or writes all of it.
#[test]
fn several_processes() {
    let (place, blobs) = base(&layers());
    let spawn =
        |number: u32| place.command(&format!("copy base.tar oci:{number} --erofs-cache cache")).spawn().unwrap();
    let children: Vec<_> = (0..6).map(spawn).collect();
    for child in children {
        assert!(child.wait_with_output().unwrap().status.success());
    }
    let first = place.listing_of(&["cache"]);
    fs::remove_dir_all(place.join("cache")).unwrap();
    place.ok("copy base.tar oci:again --erofs-cache cache");
    assert_eq!(place.listing_of(&["cache"]), first);
    assert_eq!(first.values().filter(|what| *what != "folder").count(), blobs.len());
}

/// A layer that needs files of others has no file system of its own; all others have.
#[test]
fn hard_links_to_lower_layers() {
    let [lower, _] = layers();
    let upper = layer(&[("new", EntryType::Link, 0o644, "a/kept")]);
    let (place, blobs) = base(&[lower, upper]);
    let run = place.ok("copy base.tar oci:copied --erofs-cache cache");
    assert!(
        run.stderr.contains("which containerd makes itself then: cannot link: new: found the target a/kept"),
        "{}",
        run.stderr
    );
    assert!(place.join(&blobs[0]).exists() && !place.join(&blobs[1]).exists());
}

/// From a registry blobs go as they are: only layers that are missing are fetched twice, and an empty one is a file system too.
#[test]
fn from_a_registry() {
    let Some(registry) = Registry::start() else { return };
    let (place, blobs) = base(&[layers()[0].clone(), vec![0; 1024]]);
    place.ok(&format!("push base.tar {}/x:1", registry.host()));
    place.ok(&format!("copy registry:{}/x:1 oci:copied --erofs-cache cache", registry.host()));
    blobs.iter().for_each(|blob| check_fsck(&place, blob));
    let expected = place.listing_of(&["cache"]);
    fs::remove_dir_all(place.join("cache")).unwrap();
    place.ok("copy base.tar other.tar --erofs-cache cache");
    assert_eq!(place.listing_of(&["cache"]), expected);
}

/// A layer that is not what the image says has no file system, and the image no copy.
#[test]
fn damaged_layers() {
    let place = Place::new();
    let mut pieces = Pieces::new(&layers());
    let wrong = format!("sha256:{}", digest(b"another"));
    pieces.config["rootfs"]["diff_ids"][1] = wrong.clone().into();
    place.write("base.tar", tar(&plain_docker(&[pieces])));
    let run = place.run("copy base.tar oci:copied --erofs-cache cache");
    assert_eq!(run.code, Some(1), "{}", run.stderr);
    assert!(run.stderr.contains(&format!("expected {wrong}")), "{}", run.stderr);
    assert!(!place.join(blob("cache", &wrong)).exists() && !place.join("copied/index.json").exists());
}

#[test]
fn places_that_are_none() {
    let (place, _) = base(&layers());
    place.write("file", "");
    place.write("half/sha256", "");
    let error = |line: &str| place.fail(&format!("copy base.tar out.tar --erofs-cache {line}"));
    assert_eq!(error("file"), "error: not a directory: file\nhint: choose another name for the directory\n");
    assert!(error("half").starts_with("error: cannot make the directory: half/sha256: "), "{}", error("half"));
    assert!(error("no/cache").starts_with("error: cannot make the directory: no/cache: "), "{}", error("no/cache"));
    let run = place.run("copy base.tar oci:out --all --erofs-cache cache");
    assert_eq!(run.code, Some(2), "{}", run.stderr);
    let caller = Caller::Nobody;
    if !require_root() || !require_tool("setpriv") {
        return;
    }
    let place = caller.place();
    place.write("base.tar", tar(&plain_docker(&[Pieces::new(&layers())])));
    fs::create_dir(place.join("locked")).unwrap();
    fs::set_permissions(place.join("locked"), fs::Permissions::from_mode(0o555)).unwrap();
    let run: Run = caller.command(&place, "copy base.tar out.tar --erofs-cache locked").output().unwrap().into();
    assert_eq!(run.code, Some(1));
    assert!(
        run.stderr.starts_with("error: cannot make the directory: locked/sha256: Permission denied"),
        "{}",
        run.stderr
    );
}
