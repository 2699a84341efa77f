//! Caches that cannot be used, or are not what they were: work goes on, and nothing wrong comes of it.

use super::{LAYERS, files, path, store};
use crate::support::caller::Caller;
use crate::support::{Place, require_root, require_tool};
use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, SystemTime};

/// A bit flipped anywhere is noticed, what it is in learned anew, and the cache repaired.
#[test]
fn flipped_bits() {
    let place = store();
    place.ok(LAYERS);
    let (layers, cache) = (place.listing_of(&["layers"]), place.listing_of(&["cache"]));
    for number in 0..12 {
        for (index, file) in files(&place.join("cache")).iter().enumerate() {
            let mut bytes = fs::read(file).unwrap();
            let bit = (number * 7919 + index * 31) % (bytes.len() * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            fs::write(file, bytes).unwrap();
        }
        place.ok(LAYERS);
        assert_eq!(place.listing_of(&["layers"]), layers);
        assert_eq!(place.listing_of(&["cache"]), cache);
    }
}

/// What another version has written is not understood, and nothing of it is believed.
#[test]
fn of_another_version() {
    let place = store();
    place.ok(LAYERS);
    let expected = place.listing_of(&["layers"]);
    for file in files(&place.join("cache")) {
        let mut bytes = fs::read(&file).unwrap();
        bytes[..16].copy_from_slice(b"layerstone/CACHE");
        fs::write(&file, bytes).unwrap();
    }
    place.ok(LAYERS);
    assert_eq!(place.listing_of(&["layers"]), expected);
    place.ok("cache verify --cache cache");
}

/// Times of the future and of long ago.
#[test]
fn clock_going_backwards() {
    let place = store();
    place.ok(LAYERS);
    let expected = place.listing_of(&["layers"]);
    for (index, file) in files(&place.join("cache")).iter().enumerate() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(if index % 2 == 0 { 1 } else { 1 << 36 });
        File::options().write(true).open(file).unwrap().set_modified(time).unwrap();
    }
    place.write(&format!("root{}/bin/lib", path("lib")), "LIBRARY");
    place.ok(&format!("{LAYERS} --cache-size 1Mi"));
    assert_eq!(place.listing_of(&["layers"]), expected, "it is believed whatever the clock says");
    place.ok("cache prune --cache-size 400 --cache cache");
    assert!(!files(&place.join("cache")).is_empty());
}

/// A directory that holds other things is refused, and nothing in it touched; so is a file in the place of a directory.
#[test]
fn no_cache_at_all() {
    let place = store();
    place.write("letters/one", "dear");
    let line = |cache: &str| format!("layer x.layers.json --root root --cache {cache} --all -o layers");
    let told = place.error_of(&line("letters"));
    let expected = "error: not a cache: letters: found other files, expected an empty directory or CACHEDIR.TAG of a cache \
                    of layerstone\n";
    assert_eq!(told, expected);
    place.write("file", "x");
    let run = place.ok(&line("file"));
    assert!(
        run.stderr.starts_with("warning: going on without a cache: cannot make the cache: file: "),
        "{}",
        run.stderr
    );
    let run = place.ok(&format!("{} --quiet", line("file")));
    assert_eq!(run.stderr, "");
}

/// A cache that may be read and not written: what is in it is used, and the user is told once what is not remembered.
#[test]
fn that_is_read_only() {
    if !require_root() || !require_tool("setpriv") {
        return;
    }
    let place = Caller::Nobody.place();
    let made = store();
    let status = Command::new("cp").arg("-a").arg(format!("{}/.", made.path().display())).arg(place.path()).status();
    assert!(status.unwrap().success());
    std::os::unix::fs::chown(place.path(), Some(65534), Some(65534)).unwrap();
    let us = |line: &str| Caller::Us.command(&place, line).output().unwrap();
    assert!(us("layer x.layers.json --root root --cache cache --all -o ours").status.success());
    let nobody = |line: &str| Caller::Nobody.command(&place, line).output().unwrap();
    let known = nobody("layer x.layers.json --root root --cache cache --all -o theirs");
    assert!(known.status.success() && known.stderr.is_empty(), "{}", String::from_utf8_lossy(&known.stderr));
    assert_eq!(place.read("ours/001.layer.json"), place.read("theirs/001.layer.json"));
    let new = nobody("layer x.layers.json --root root --cache cache --mtime 7 --all -o theirs");
    let told = String::from_utf8(new.stderr).unwrap();
    assert!(new.status.success() && told.starts_with("warning: going on without the cache: cannot "), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
}

/// A cache on a file system that is full.
#[test]
fn that_is_full() {
    if !require_root() || !require_tool("unshare") {
        return;
    }
    let place = store();
    place.ok("layer x.layers.json --root root --no-cache --all -o expected");
    fs::create_dir(place.join("cache")).unwrap();
    let script = "mount -t tmpfs -o size=4k,mode=755 none cache && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", script, "sh", env!("CARGO_BIN_EXE_layerstone")]).args(LAYERS.split(' '));
    let output = command.current_dir(place.path()).env("TMPDIR", place.temporary()).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && told.contains("No space left on device"), "{told}");
    assert_eq!(told.lines().count(), 1, "{told}");
    assert_eq!(place.read("layers/002.layer.json"), place.read("expected/002.layer.json"));
}

/// A file system that knows no locks, as some that lie in the network: flock(2) fails, and all else works.
#[test]
fn without_locks() {
    if !cfg!(target_arch = "x86_64") || !require_tool("perl") {
        return;
    }
    let place = store();
    // A filter of system calls (seccomp(2)): ENOLCK for flock.
    let filter = r#"
        my $p = pack("SCCL" x 4, 0x20,0,0,0, 0x15,0,1,73, 0x06,0,0,0x00050025, 0x06,0,0,0x7fff0000);
        my $f = pack("S x6 P", 4, $p);
        syscall(157, 38, 1, 0, 0, 0) == 0 or die; syscall(157, 22, 2, $f) == 0 or die "seccomp: $!";
        exec @ARGV;
    "#;
    let run = |line: &str| {
        let mut command = Command::new("perl");
        command.args(["-e", filter, env!("CARGO_BIN_EXE_layerstone")]).args(line.split(' ')).current_dir(place.path());
        let output = command.env("TMPDIR", place.temporary()).output().unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    };
    run(LAYERS);
    let first = place.listing_of(&["layers"]);
    run(LAYERS);
    run("build x.json --root root --cache cache -o x.tar");
    assert_eq!(place.listing_of(&["layers"]), first);
    place.ok("cache verify --cache cache");
}

/// What stands where an output goes: links lead to it, directories are refused, and neither is replaced.
#[test]
fn outputs_that_are_links_or_folders() {
    let place = Place::new();
    place.write("x.json", r#"{"name": "x", "tag": "1"}"#);
    fs::create_dir(place.join("far")).unwrap();
    for (link, target) in [("link.tar", "far/x.tar"), ("again.tar", "link.tar"), ("dangling.tar", "far/new.tar")] {
        std::os::unix::fs::symlink(target, place.join(link)).unwrap();
    }
    for output in ["link.tar", "again.tar", "dangling.tar"] {
        place.ok(&format!("build x.json -o {output}"));
        assert!(place.join(output).is_symlink(), "{output}");
    }
    place.ok("build x.json -o plain.tar");
    assert!(place.read("far/x.tar") == place.read("plain.tar") && place.read("far/new.tar") == place.read("plain.tar"));
    let mut piped = std::process::Command::new("sh");
    let line = format!("{} build x.json -o /dev/stdout | cat > piped.tar", env!("CARGO_BIN_EXE_layerstone"));
    let status =
        piped.args(["-c", &line]).current_dir(place.path()).env_clear().env("PATH", std::env::var_os("PATH").unwrap());
    assert!(status.status().unwrap().success());
    let names = |name: &str| crate::support::archive::members(&place.read(name)).len();
    assert_eq!(names("piped.tar"), names("plain.tar"));
    std::os::unix::fs::symlink("loop.tar", place.join("loop.tar")).unwrap();
    let told = place.fail("build x.json -o loop.tar");
    assert!(told.contains("Too many levels of symbolic links"), "{told}");
    let told = place.fail("build x.json -o far");
    assert!(told.starts_with("error: cannot write: far: "), "{told}");
    let mode = fs::metadata(place.join("far")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o755);
}
