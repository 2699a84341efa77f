//! Directories that everybody can write to: nothing that another user puts there stops us, and nothing of others is touched.

mod swaps;

use crate::support::caller::open_folder;
use crate::support::{Place, require_root, require_tool};
use rustix::fs::{CWD, FileType, Mode, RenameFlags, mknodat, renameat_with};
use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// The user who runs the commands, if that is not root.
const USER: u32 = 65534;
/// The user who put things there.
const OTHER: u32 = 65533;
/// Seconds after which a command counts as stopped.
const BOUND: &str = "60";
/// How often a directory is swept while somebody replaces what is in it.
const ROUNDS: u32 = 200;

/// A place within a directory that everybody can enter, whose directory `shared` is as /tmp.
fn place() -> Place {
    let place = Place::within(open_folder());
    for folder in [place.join("shared"), place.temporary().to_owned()] {
        fs::create_dir_all(&folder).unwrap();
        fs::set_permissions(folder, Permissions::from_mode(0o1777)).unwrap();
    }
    place.write("root/nix/store/00000000000000000000000000000000-x/bin/x", "x");
    place
        .write("x.json", r#"{"name": "x", "tag": "1", "contents": ["/nix/store/00000000000000000000000000000000-x"]}"#);
    place.write("graph", "/nix/store/00000000000000000000000000000000-x\n\n0\n");
    fs::create_dir_all(place.join("victim/folder")).unwrap();
    place.write("victim/file", "dear");
    for (path, mode) in [("victim/folder", 0o755), ("victim/file", 0o644), ("victim", 0o755)] {
        fs::set_permissions(place.join(path), Permissions::from_mode(mode)).unwrap();
    }
    place
}

/// Runs the binary as a user; it must end soon.
#[track_caller]
fn run(place: &Place, user: u32, line: &str) -> Output {
    let mut command = Command::new("timeout");
    command.arg(BOUND).arg("setpriv").args([format!("--reuid={user}"), format!("--regid={user}")]);
    command.arg("--clear-groups").arg(open_folder().join("layerstone")).args(line.split_whitespace());
    command.current_dir(place.path()).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    let output = command.env("TMPDIR", place.temporary()).stdin(Stdio::null()).output().unwrap();
    assert_ne!(output.status.code(), Some(124), "{line}: it does not end");
    output
}

/// Puts one of each kind of file that a user can make into a directory, named as our temporary files are.
fn plant(place: &Place, folder: &Path) {
    let name = |name: &str| folder.join(format!(".layerstone-tmp-1-{name}"));
    for (kind, label) in [(FileType::Fifo, "pipe"), (FileType::Socket, "node")] {
        mknodat(CWD, name(label), kind, Mode::from_raw_mode(0o666), 0).unwrap();
    }
    // A socket that somebody listens at is the same file.
    drop(UnixListener::bind(name("socket")).unwrap());
    symlink(place.join("victim/file"), name("file-link")).unwrap();
    symlink(place.join("victim"), name("folder-link")).unwrap();
    fs::write(name("file"), "another's").unwrap();
    fs::create_dir_all(name("folder/inner/deep")).unwrap();
    symlink(place.join("victim"), name("folder/swapped")).unwrap();
    fs::set_permissions(name("folder/inner"), Permissions::from_mode(0o0)).unwrap();
    let all = ["pipe", "node", "socket", "file", "folder", "folder/inner", "file-link", "folder-link"];
    for path in all.map(name) {
        std::os::unix::fs::lchown(path, Some(OTHER), Some(OTHER)).unwrap();
    }
}

/// What a dead process of a user left.
fn leave(folder: &Path, user: u32) -> [PathBuf; 2] {
    let [file, tree] = ["left", "left-folder"].map(|name| folder.join(format!(".layerstone-tmp-1-{name}")));
    fs::write(&file, "").unwrap();
    fs::create_dir_all(tree.join("a/b")).unwrap();
    for path in [&file, &tree, &tree.join("a"), &tree.join("a/b")] {
        chown(path, Some(user), Some(user)).unwrap();
    }
    fs::set_permissions(tree.join("a"), Permissions::from_mode(0o500)).unwrap();
    [file, tree]
}

/// Everything below a directory that is not of the user who runs the commands, and what is known of it.
fn of_others(folder: &Path, found: &mut BTreeMap<PathBuf, (u64, u32, u32, Option<PathBuf>)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let metadata = path.symlink_metadata().unwrap();
        if metadata.uid() == OTHER || path.components().any(|component| component.as_os_str() == "victim") {
            let what = (metadata.ino(), metadata.mode(), metadata.uid(), fs::read_link(&path).ok());
            found.insert(path.clone(), what);
        }
        if metadata.is_dir() {
            of_others(&path, found);
        }
    }
}

#[test]
fn what_others_put_there_stays_and_stops_nothing() {
    if !require_root() || !["setpriv", "timeout"].into_iter().all(require_tool) {
        return;
    }
    for user in [0, USER] {
        let place = place();
        let shared = place.join("shared");
        for folder in [&shared, place.temporary()] {
            plant(&place, folder);
        }
        let snapshot = || {
            let mut found = BTreeMap::new();
            for folder in [&shared, place.temporary(), &place.join("victim")] {
                of_others(folder, &mut found);
            }
            found
        };
        let before = snapshot();
        assert_eq!(before.len(), 18, "{before:?}");
        for line in [
            "closure --graph graph --root root --sizes -o shared/x.closure.json",
            "layers shared/x.closure.json --max-layers 5 -o shared/x.layers.json",
            "layer shared/x.layers.json --root root --all --blobs --no-cache -o shared/layers",
            "root --spec x.json --root root -o shared/root.layer.json --blob shared/root.tar",
            "build x.json --root root --no-cache -o shared/x.tar",
            "build x.json --root root --cache shared/cache --cache-blobs -o oci:shared/x",
            "ninja x.json --root root --folder shared/stages -o shared/build.ninja",
            "copy shared/x.tar oci:shared/copied",
            "copy oci:shared/x shared/copied.tar.gz",
            "inspect shared/x.tar",
            "merge shared/x.tar -o shared/merged.tar",
            "overlay export shared/x.tar -o shared/flat.tar",
            "helper tmp shared/helper",
            "demo -o shared/demo.tar",
        ] {
            let left = [&shared, place.temporary()].map(|folder| leave(folder, user));
            let output = run(&place, user, line);
            assert!(output.status.success(), "{user} {line}: {}", String::from_utf8_lossy(&output.stderr));
            // Looked through are the directories of outputs and, by commands that need one, that of work directories.
            let [in_shared, in_temporary] = left;
            let is_swept = |paths: &[PathBuf]| paths.iter().all(|path| path.symlink_metadata().is_err());
            let is_swept_any = is_swept(&in_shared) || is_swept(&in_temporary);
            let needs_neither =
                ["inspect ", "layer ", "copy shared/x.tar "].iter().any(|command| line.starts_with(command));
            assert!(is_swept_any || needs_neither, "{user} {line}");
            for path in in_shared.iter().chain(&in_temporary) {
                let _ = fs::remove_file(path).or_else(|_| fs::remove_dir_all(path));
            }
            assert_eq!(snapshot(), before, "{user} {line}");
        }
    }
}

/// A destination that is another's link, pipe or socket is refused; one's own is used as ever.
#[test]
fn planted_destinations() {
    if !require_root() || !["setpriv", "timeout"].into_iter().all(require_tool) {
        return;
    }
    for user in [0, USER] {
        let place = place();
        let at = |name: &str| place.join("shared").join(name);
        symlink(place.join("victim/file"), at("link.tar")).unwrap();
        symlink("own-target.tar", at("own.tar")).unwrap();
        mknodat(CWD, at("pipe.tar"), FileType::Fifo, Mode::from_raw_mode(0o666), 0).unwrap();
        drop(UnixListener::bind(at("socket.tar")).unwrap());
        for (name, owner) in [("link.tar", OTHER), ("pipe.tar", OTHER), ("socket.tar", OTHER), ("own.tar", user)] {
            std::os::unix::fs::lchown(at(name), Some(owner), Some(owner)).unwrap();
        }
        for (name, kind) in [("link", "symbolic link"), ("pipe", "named pipe"), ("socket", "socket")] {
            let output = run(&place, user, &format!("build x.json --root root --no-cache -o shared/{name}.tar"));
            let told = String::from_utf8(output.stderr).unwrap();
            let expected = format!(
                "error: cannot write: shared/{name}.tar: found a {kind} of another user in a directory that everybody can \
                 write to, expected one of your own or nothing\n"
            );
            assert_eq!((output.status.code(), told), (Some(1), expected), "{user}");
        }
        place.write("victim/folder/000.tar", "dear");
        symlink(place.join("victim/folder"), at("folder")).unwrap();
        std::os::unix::fs::lchown(at("folder"), Some(OTHER), Some(OTHER)).unwrap();
        place.ok("closure --graph graph --root root --sizes -o x.closure.json");
        place.ok("layers x.closure.json --max-layers 5 -o x.layers.json");
        for line in [
            "layer x.layers.json --root root --no-cache --all -o shared/folder",
            "build x.json --root root --no-cache -o oci:shared/folder",
            "build x.json --root root --no-cache --state shared/folder -o oci:shared/x",
        ] {
            let output = run(&place, user, line);
            let told = String::from_utf8(output.stderr).unwrap();
            let expected = "error: cannot write: shared/folder: found a symbolic link of another user in a directory";
            assert!(output.status.code() == Some(1) && told.starts_with(expected), "{user} {line}: {told}");
        }
        assert_eq!(fs::read_dir(place.join("victim/folder")).unwrap().count(), 1);
        assert_eq!(place.read("victim/file"), b"dear");
        let output = run(&place, user, "build x.json --root root --no-cache -o shared/own.tar");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(at("own.tar").is_symlink() && at("own-target.tar").is_file());
    }
}

/// While a work directory that a dead process left is removed, somebody exchanges a directory in it for a link that leads
/// elsewhere, over and over: what lies there keeps its files and modes.
#[test]
fn a_folder_that_becomes_a_link_while_it_is_removed() {
    if !require_root() {
        return;
    }
    let place = place();
    let victim = place.join("victim/folder");
    fs::set_permissions(&victim, Permissions::from_mode(0o550)).unwrap();
    for file in 0..10 {
        place.write(&format!("victim/folder/{file}"), "dear");
    }
    let left = place.join("shared/.layerstone-tmp-1-left");
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                let _ = renameat_with(CWD, left.join("folder"), CWD, left.join("link"), RenameFlags::EXCHANGE);
            }
        });
        for round in 0..ROUNDS {
            // Complete before it comes there.
            let made = place.join(format!("made-{round}"));
            for file in 0..5 {
                place.write(&format!("made-{round}/folder/inner/{file}"), "x");
                place.write(&format!("made-{round}/folder/{file}"), "x");
            }
            fs::set_permissions(made.join("folder"), Permissions::from_mode(0o0)).unwrap();
            symlink(if round % 2 == 0 { &victim } else { victim.parent().unwrap() }, made.join("link")).unwrap();
            fs::rename(made, &left).unwrap();
            let run = place.run("closure --graph graph -o shared/x.closure.json");
            assert_eq!(run.code, Some(0), "{}", run.stderr);
            if left.exists() {
                fs::rename(&left, place.join(format!("swept-{round}"))).unwrap();
            }
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert_eq!(victim.metadata().unwrap().mode() & 0o7777, 0o550);
    assert_eq!(fs::read_dir(&victim).unwrap().count(), 10);
    assert_eq!(place.read("victim/file"), b"dear");
}
