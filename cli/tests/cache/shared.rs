//! A cache that users of a group share, whatever their umasks: each can use, repair and empty it.

use super::store;
use crate::support::caller::open_folder;
use crate::support::{Place, require_root, require_tool};
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Stdio};

/// Two users and the group that they are in.
const USERS: [u32; 2] = [65531, 65532];
const GROUP: u32 = 65530;
/// What makes all layers with the cache.
const LAYERS: &str = "layer x.layers.json --root root --cache cache --all -o";

/// The store of the cache's tests where all users can reach it, with a cache of the group's and a directory of each user's.
fn place() -> Place {
    let (place, made) = (Place::within(open_folder()), store());
    let copied = Command::new("cp").arg("-a").arg(made.path().join(".")).arg(place.path()).status();
    assert!(copied.unwrap().success());
    for (name, user, mode) in [("cache", 0, 0o2775), ("out0", USERS[0], 0o755), ("out1", USERS[1], 0o755)] {
        fs::create_dir(place.join(name)).unwrap();
        chown(place.join(name), Some(user), Some(GROUP)).unwrap();
        fs::set_permissions(place.join(name), Permissions::from_mode(mode)).unwrap();
    }
    fs::set_permissions(place.temporary(), Permissions::from_mode(0o1777)).unwrap();
    place
}

/// What a user says who runs the binary with this umask, on stdout and stderr; its status.
#[track_caller]
fn run(place: &Place, user: usize, umask: &str, line: &str) -> (Option<i32>, String) {
    let id = USERS[user];
    let script = format!("umask {umask}; exec setpriv --reuid={id} --regid={id} --groups={GROUP} \"$@\"");
    let mut command = Command::new("sh");
    command.args(["-c", &script, "sh"]).arg(open_folder().join("layerstone")).args(line.split_whitespace());
    command.current_dir(place.path()).env("TMPDIR", place.temporary()).env_remove("LAYERSTONE_CACHE");
    let output = command.stdin(Stdio::null()).output().unwrap();
    (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

fn is_shared(place: &Place) -> bool {
    require_root() && require_tool("setpriv") && place.join("cache").exists()
}

/// Everything below a directory.
fn entries(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(entries(&path));
        }
        found.push(path);
    }
    found
}

/// What a user with a private umask makes there belongs to the group all the same.
#[test]
fn whatever_the_umask() {
    let place = place();
    if !is_shared(&place) {
        return;
    }
    for (user, umask, more) in [(0, "077", ""), (1, "022", " --mtime 7"), (0, "027", " --mtime 8")] {
        let told = run(&place, user, umask, &format!("{LAYERS} out{user}/layers{more}"));
        assert_eq!(told, (Some(0), String::new()));
    }
    for path in entries(&place.join("cache")) {
        let (metadata, is_folder) = (path.metadata().unwrap(), path.is_dir());
        assert_eq!(metadata.gid(), GROUP, "{path:?}");
        assert_eq!(metadata.mode() & 0o7777, if is_folder { 0o2775 } else { 0o664 }, "{path:?}");
    }
    let stats = run(&place, 1, "077", "cache stats --cache cache");
    assert!(stats.0 == Some(0) && !stats.1.contains("passed over"), "{stats:?}");
    for user in [1, 0] {
        // Each can remove what the other has made.
        let (code, told) = run(&place, user, "077", "cache prune --cache-size 0 --cache cache");
        assert!(code == Some(0) && told.ends_with("kept 0 files of 0 B\n"), "{told}");
        assert_eq!(run(&place, 1 - user, "077", &format!("{LAYERS} out{}/layers", 1 - user)).0, Some(0));
    }
}

/// Directories that are a user's alone are passed over by the other, who still forgets what is wrong elsewhere.
#[test]
fn what_is_private_is_passed_over() {
    let place = place();
    if !is_shared(&place) {
        return;
    }
    assert_eq!(run(&place, 0, "022", &format!("{LAYERS} out0/layers")), (Some(0), String::new()));
    let private =
        (0..=255).map(|byte| place.join(format!("cache/layers/{byte:02x}"))).find(|path| !path.exists()).unwrap();
    fs::create_dir(&private).unwrap();
    fs::write(private.join("x"), "").unwrap();
    chown(&private, Some(USERS[0]), Some(GROUP)).unwrap();
    fs::set_permissions(&private, Permissions::from_mode(0o700)).unwrap();
    for (line, expected) in [
        ("cache stats --cache cache", "\n  passed over 1 without permission\n"),
        ("cache stats --json --cache cache", "\"passedOver\": 1\n}\n"),
        ("cache verify --cache cache", ", all good, passed over 1 without permission\n"),
        ("cache prune --cache cache", ", passed over 1 without permission\n"),
    ] {
        let (code, told) = run(&place, 1, "022", line);
        assert!(code == Some(0) && told.ends_with(expected), "{line}: {told}");
    }
    assert_eq!(run(&place, 1, "022", &format!("{LAYERS} out1/layers")), (Some(0), String::new()));
    let before = place.listing_of(&["out1/layers"]);
    place.write(&format!("root{}/bin/lib", super::path("lib")), "LIBRARY");
    let (code, told) = run(&place, 1, "022", &format!("{LAYERS} out1/layers --verify-cache"));
    assert!(code == Some(1) && told.starts_with("error: not what is remembered: "), "{told}");
    // It is forgotten, so that the next run tells what is there now.
    assert_eq!(run(&place, 1, "022", &format!("{LAYERS} out1/layers")), (Some(0), String::new()));
    assert_ne!(place.listing_of(&["out1/layers"]), before);
    assert!(private.join("x").exists());
}
