//! What many tests need, made once: by the first process that asks for it, in the build directory, where it stays.
//!
//! nextest runs each test in a process of its own, `cargo test` all of them in one, so what is made once is found by name
//! and by what made it: the test binary, the program, and what else the maker says. Nobody may change what is found.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The directory of this name that `make` has filled, from these files and whatever else is told of it.
///
/// It is there as long as this process: what other files made is removed by whoever makes its successor, unless it is in
/// use.
#[track_caller]
pub fn shared(name: &str, from: &[&Path], more: &str, make: impl FnOnce(&Path)) -> PathBuf {
    let all = Path::new(env!("CARGO_TARGET_TMPDIR")).join("shared");
    fs::create_dir_all(&all).unwrap();
    let stamp = stamp(from, more);
    let folder = all.join(format!("{name}-{}", &super::digest(stamp.as_bytes())[..16]));
    let place = folder.with_extension("stamp");
    let is_made = || fs::read_to_string(&place).is_ok_and(|found| found == stamp);
    let lock = lock_file(&folder.with_extension("lock"));
    lock.lock_shared().unwrap();
    if !is_made() {
        lock.unlock().unwrap();
        lock.lock().unwrap();
        // Meanwhile another process may have made it.
        if !is_made() {
            super::skip::remove(&folder);
            fs::create_dir(&folder).unwrap();
            make(&folder);
            fs::write(&place, stamp).unwrap();
            remove_predecessors(&all, name, &folder);
        }
        lock.lock_shared().unwrap();
        assert!(place.exists(), "removed while a lock was changed: {}", place.display());
    }
    // Held until the process ends.
    std::mem::forget(lock);
    folder
}

/// A turn that one process, and one thread of it, has at a time; it ends when dropped.
#[track_caller]
pub fn turn(name: &str) -> File {
    let file = lock_file(&Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.lock")));
    file.lock().unwrap();
    file
}

#[track_caller]
fn lock_file(path: &Path) -> File {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What makes it: the user, and each file by its name, size and time.
#[track_caller]
fn stamp(from: &[&Path], more: &str) -> String {
    let test = std::env::current_exe().unwrap();
    let always = [&*test, Path::new(env!("CARGO_BIN_EXE_layerstone"))];
    let of_file = |path: &&Path| {
        let metadata = path.metadata().unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let (size, seconds, nanoseconds) = (metadata.size(), metadata.mtime(), metadata.mtime_nsec());
        format!("{} {size} {seconds}.{nanoseconds:09}\n", path.display())
    };
    let files: String = always.iter().chain(from).map(of_file).collect();
    format!("user {}\n{files}{more}", rustix::process::geteuid().as_raw())
}

/// Removes what was made under this name otherwise, and is in nobody's use. The locks stay, as somebody may wait for one.
fn remove_predecessors(all: &Path, name: &str, except: &Path) {
    for entry in fs::read_dir(all).unwrap().flatten() {
        let folder = entry.path();
        let hash = entry.file_name().to_str().and_then(|it| it.strip_prefix(name)?.strip_prefix('-').map(str::len));
        if hash != Some(16) || folder == except || !folder.is_dir() {
            continue;
        }
        let lock = lock_file(&folder.with_extension("lock"));
        if lock.try_lock().is_ok() {
            let _ = fs::remove_file(folder.with_extension("stamp"));
            super::skip::remove(&folder);
        }
    }
}

/// It is made once for one stamp, and again for another, which removes the first where nobody uses it.
#[test]
fn made_once() {
    let name = format!("made-once-{}", std::process::id());
    let make = |more: &str| shared(&name, &[], more, |folder| fs::write(folder.join("made"), more).unwrap());
    let first = make("a");
    assert_eq!(shared(&name, &[], "a", |_| panic!("made twice")), first);
    let second = make("b");
    assert_ne!(first, second);
    // Both are in use.
    assert_eq!(fs::read_to_string(first.join("made")).unwrap(), "a");
    assert_eq!(fs::read_to_string(second.join("made")).unwrap(), "b");
    for folder in [first, second] {
        for ending in ["stamp", "lock"] {
            fs::remove_file(folder.with_extension(ending)).unwrap();
        }
        fs::remove_dir_all(folder).unwrap();
    }
}
