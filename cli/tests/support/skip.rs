//! Tests that cannot run on this machine, told in a way that nobody overlooks.

use std::fs::Permissions;
use std::io::{Write, stderr};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Mutex, Once};

static SKIPS: Mutex<Vec<String>> = Mutex::new(Vec::new());
static LAST_DEEDS: Mutex<Vec<Box<dyn FnOnce() + Send>>> = Mutex::new(Vec::new());

/// Tells that a test, or a part of one, does not run and why. The caller returns.
///
/// Under `LAYERSTONE_REQUIRE_ALL=1` it fails instead.
#[track_caller]
#[expect(clippy::explicit_write, reason = "libtest captures eprintln!")]
pub fn skip(name: &str, reason: &str) {
    let line = format!("SKIP {name}: {reason}");
    assert!(std::env::var_os("LAYERSTONE_REQUIRE_ALL").is_none_or(|value| value != "1"), "{line}");
    let mut skips = SKIPS.lock().unwrap();
    if skips.contains(&line) {
        return;
    }
    writeln!(stderr(), "{line}").unwrap();
    skips.push(line);
    register();
}

/// Whether a program is in PATH; if not, the running test is skipped.
#[track_caller]
pub fn require_tool(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|folder| folder.join(tool).is_file());
    if !found {
        skip(&test_name(), &format!("no {tool} in PATH"));
    }
    found
}

/// Whether we are root; if not, the running test is skipped.
#[track_caller]
pub fn require_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        skip(&test_name(), "not root");
    }
    root
}

/// Does something when the process ends, since statics are never dropped.
pub fn do_at_exit(deed: impl FnOnce() + Send + 'static) {
    LAST_DEEDS.lock().unwrap().push(Box::new(deed));
    register();
}

/// Removes a directory when the process ends.
pub fn remove_at_exit(folder: &Path) {
    let folder = folder.to_owned();
    do_at_exit(move || remove(&folder));
}

/// libtest calls a test's thread by the test's name.
pub fn test_name() -> String {
    std::thread::current().name().unwrap_or("a test").to_owned()
}

fn register() {
    static ONCE: Once = Once::new();
    // SAFETY: atexit(3) takes any function that does not unwind; `at_exit` ignores every error.
    ONCE.call_once(|| assert_eq!(unsafe { libc::atexit(at_exit) }, 0));
}

extern "C" fn at_exit() {
    if let Ok(mut deeds) = LAST_DEEDS.lock() {
        deeds.drain(..).for_each(|deed| deed());
    }
    let Ok(mut skips) = SKIPS.lock() else { return };
    skips.sort();
    if !skips.is_empty() {
        let _ = writeln!(stderr(), "\nskipped, {} in all:\n  {}", skips.len(), skips.join("\n  "));
    }
}

/// Removes a tree although the directories of a store cannot be written.
pub fn remove(folder: &Path) {
    let _ = std::fs::set_permissions(folder, Permissions::from_mode(0o700));
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove(&entry.path());
        } else {
            let _ = std::fs::remove_file(entry.path());
        }
    }
    let _ = std::fs::remove_dir(folder);
}
