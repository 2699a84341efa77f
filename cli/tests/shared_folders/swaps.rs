//! Names that another user exchanges for links, directories and pipes while commands use them: nothing behind a link changes,
//! no command waits, and each ends well or with an error.

use super::{OTHER, USER, place, run};
use crate::support::{Place, require_root, require_tool};
use rustix::fs::{CWD, FileType, Mode, RenameFlags, mknodat, renameat_with};
use rustix::process::Uid;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::panic::{catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How often names are exchanged at least.
const ROUNDS: u32 = 1000;
/// How long commands of a user run, each at least once.
const TIME: Duration = Duration::from_secs(5);

/// What commands use in a directory that everybody can write to, and what takes its place.
const EXCHANGED: &[(&str, &str)] = &[
    ("blobs", "blobs.link"),
    ("blobs", "blobs.other"),
    ("index.json", "index.json.link"),
    ("index.json", "index.json.pipe"),
    ("oci-layout", "oci-layout.link"),
    ("oci-layout", "oci-layout.pipe"),
    ("layers", "layers.link"),
    ("indexes", "indexes.link"),
    ("CACHEDIR.TAG", "CACHEDIR.TAG.link"),
    ("000.layer.json", "000.layer.json.link"),
    ("000.layer.json", "000.layer.json.pipe"),
    ("000.tar", "000.tar.link"),
    ("000.tar", "000.tar.pipe"),
    (".layerstone-outputs", ".layerstone-outputs.link"),
    ("image.layers.json", "image.layers.json.link"),
    ("tree", "tree.link"),
];

/// Commands that write into such a directory, or look for files in it.
const LINES: &[&str] = &[
    "build x.json --root root --no-cache -o shared/x.tar",
    "build x.json --root root --no-cache -o oci:shared/layout",
    "build x.json --root root --no-cache -o oci:shared/open",
    "copy x.tar oci:shared/open",
    "copy oci:shared/open own/copied.tar",
    "layer x.layers.json --root root --no-cache --all --blobs -o shared/open",
    "layer x.layers.json --root root --no-cache --all -o shared/out",
    "layer x.layers.json --root root --no-cache --known shared/open --all -o own/layers",
    "build x.json --root root --cache shared/open --cache-blobs -o own/cached.tar.gz",
    "build x.json --root root --no-cache --state shared/open -o oci-archive:own/stated.tar",
    "merge-trees trees -o shared/open/tree",
];

/// The file that marks a cache.
const TAG: &str = "Signature: 8a477f597d28d172789f06886806bc55\n# A cache of layerstone: what it learned about layers. It may be deleted at any time.\n";

/// A directory that everybody can write to, made anew in place of what it was: of this user, what else is in it of another.
fn renew(place: &Place, user: u32, number: u32) {
    let made = place.join(format!("made-{number}"));
    let victim = place.join("victim");
    fs::create_dir_all(made.join("blobs/sha256")).unwrap();
    fs::create_dir_all(made.join("blobs.other")).unwrap();
    ["layers", "indexes"].iter().for_each(|name| fs::create_dir(made.join(name)).unwrap());
    symlink(&victim, made.join("blobs.other/sha256")).unwrap();
    fs::write(made.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    fs::copy(place.join("layout/index.json"), made.join("index.json")).unwrap();
    for blob in fs::read_dir(place.join("layout/blobs/sha256")).unwrap().map(|blob| blob.unwrap()) {
        fs::copy(blob.path(), made.join("blobs/sha256").join(blob.file_name())).unwrap();
    }
    fs::write(made.join("CACHEDIR.TAG"), TAG).unwrap();
    for name in ["000.layer.json", "000.tar", ".layerstone-outputs"] {
        fs::copy(place.join("layers").join(name), made.join(name)).unwrap();
    }
    for (name, other) in EXCHANGED {
        let path = made.join(other);
        match other.rsplit('.').next() {
            Some("link") => symlink(victim.join(name), &path).unwrap(),
            Some("pipe") => mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o666), 0).unwrap(),
            _ => lchown(path.join("sha256"), Some(OTHER), Some(OTHER)).unwrap(),
        }
        lchown(path, Some(OTHER), Some(OTHER)).unwrap();
    }
    for name in ["", "blobs", "blobs/sha256", "layers", "indexes"] {
        fs::set_permissions(made.join(name), Permissions::from_mode(0o777)).unwrap();
    }
    for name in ["", "blobs", "blobs/sha256", "layers", "indexes", "oci-layout", "index.json", "CACHEDIR.TAG"] {
        chown(made.join(name), Some(user), Some(user)).unwrap();
    }
    for name in ["000.layer.json", "000.tar", ".layerstone-outputs"] {
        chown(made.join(name), Some(user), Some(user)).unwrap();
    }
    let open = place.join("shared/open");
    let _ = fs::rename(&open, place.join(format!("old-{number}")));
    fs::rename(made, open).unwrap();
}

/// Inode, mode, size, modification time and link target of files.
type Known = BTreeMap<PathBuf, (u64, u32, u64, (i64, i64), Option<PathBuf>)>;

/// Everything below a directory, and what is known of it.
fn known(directory: &Path) -> Known {
    let mut found = Known::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let it = path.symlink_metadata().unwrap();
        if it.is_dir() {
            found.append(&mut known(&path));
        }
        let modified = (it.mtime(), it.mtime_nsec());
        found.insert(path.clone(), (it.ino(), it.mode(), it.size(), modified, fs::read_link(&path).ok()));
    }
    found
}

/// Exchanges names as another user until it is over.
fn exchange(shared: &Path, victim: &Path, is_over: &AtomicBool, rounds: &AtomicU32) {
    let other = Uid::from_raw(OTHER);
    // Of this thread alone.
    rustix::thread::set_thread_res_uid(other, other, other).unwrap();
    let exchange = |a: &Path, b: &Path| {
        if renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE).is_ok() {
            rounds.fetch_add(1, Ordering::Relaxed);
        }
    };
    let open = shared.join("open");
    while !is_over.load(Ordering::Relaxed) {
        for name in ["out", "layout", "x.tar"] {
            exchange(&shared.join(name), &shared.join(format!("{name}.link")));
        }
        for (name, other) in EXCHANGED {
            exchange(&open.join(name), &open.join(other));
            // Where it is most of the time.
            thread::yield_now();
            exchange(&open.join(name), &open.join(other));
        }
        let names = fs::read_dir(&open).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.file_name()));
        let is_temporary = |name: &OsString| name.as_encoded_bytes().starts_with(b".layerstone-tmp-");
        for name in names.filter(is_temporary).collect::<Vec<_>>() {
            let _ = symlink(victim, open.join("temporary.link"));
            exchange(&open.join(name), &open.join("temporary.link"));
        }
    }
}

/// What must not change, and what commands of this user read and write, and another user exchanges.
fn prepare(place: &Place, user: u32) {
    let (shared, victim) = (place.join("shared"), place.join("victim"));
    for (name, _) in EXCHANGED {
        match name.contains('.') || name.contains('-') {
            true => drop(place.write(&format!("victim/{name}"), "dear")),
            false => fs::create_dir_all(victim.join(name).join("sha256")).unwrap(),
        }
    }
    fs::create_dir(place.join("own")).unwrap();
    let all = known(&victim).into_keys().chain(["own", "victim"].map(|name| place.join(name)));
    all.for_each(|path| chown(path, Some(user), Some(user)).unwrap());
    place.write("trees/a/file", "x");
    place.ok("closure --graph graph --root root --sizes -o x.closure.json");
    place.ok("layers x.closure.json --max-layers 5 -o x.layers.json");
    place.ok("build x.json --root root --no-cache -o x.tar");
    place.ok("build x.json --root root --no-cache -o oci:layout");
    place.ok("layer x.layers.json --root root --no-cache --all --blobs -o layers");
    for (name, target) in [("out", "tree"), ("layout", "tree"), ("x.tar", "file")] {
        let (path, link) = (shared.join(name), shared.join(format!("{name}.link")));
        if name == "x.tar" { fs::write(&path, "") } else { fs::create_dir(&path) }.unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o777)).unwrap();
        symlink(victim.join(target), &link).unwrap();
        [path, link].iter().for_each(|path| lchown(path, Some(OTHER), Some(OTHER)).unwrap());
    }
}

/// Runs commands as a user, over and over; how often each ended well.
fn run_all(place: &Place, user: u32, rounds: &AtomicU32) -> BTreeMap<&'static str, u32> {
    let (since, mut number, mut good) = (Instant::now(), 0, BTreeMap::new());
    while since.elapsed() < TIME || rounds.load(Ordering::Relaxed) < ROUNDS {
        for line in LINES {
            renew(place, user, number);
            number += 1;
            let output = run(place, user, line);
            let told = String::from_utf8_lossy(&output.stderr);
            let is_clear = match output.status.code() {
                Some(0) => true,
                code => code == Some(1) && told.starts_with("error: ") && !told.contains("panicked"),
            };
            assert!(is_clear, "{user} {line}: {:?} {told}", output.status);
            *good.entry(*line).or_insert(0) += u32::from(output.status.success());
        }
    }
    good
}

#[test]
fn names_that_change_while_commands_use_them() {
    if !require_root() || !["setpriv", "timeout"].into_iter().all(require_tool) {
        return;
    }
    for user in [0, USER] {
        let place = place();
        prepare(&place, user);
        let (shared, victim) = (place.join("shared"), place.join("victim"));
        let before = known(&victim);
        let (is_over, rounds) = (AtomicBool::new(false), AtomicU32::new(0));
        let good = thread::scope(|scope| {
            scope.spawn(|| exchange(&shared, &victim, &is_over, &rounds));
            let ended = catch_unwind(|| run_all(&place, user, &rounds));
            is_over.store(true, Ordering::Relaxed);
            ended.unwrap_or_else(|panic| resume_unwind(panic))
        });
        assert_eq!(known(&victim), before, "{user}");
        // Some meet nothing amiss.
        assert!(good.values().sum::<u32>() > 0, "{user} {good:?}");
        eprintln!("user {user}: exchanged {} times; ended well: {good:?}", rounds.into_inner());
    }
}
