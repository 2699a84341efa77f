//! Tests of [`Directory`]: what is opened, what is refused, what is removed.

use super::*;
use std::cell::Cell;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

thread_local! {
    /// Whether this thread's kernel has no openat2(2).
    pub(super) static IS_OLD_KERNEL: Cell<bool> = const { Cell::new(false) };
}

/// With openat2(2) and without.
fn on_all_kernels(test: impl Fn()) {
    for is_old in [false, true] {
        IS_OLD_KERNEL.set(is_old);
        test();
    }
    IS_OLD_KERNEL.set(false);
}

fn open() -> (tempfile::TempDir, Directory) {
    let dir = tempfile::tempdir().unwrap();
    let directory = Directory::open(dir.path()).unwrap();
    (dir, directory)
}

#[test]
fn only_single_names_and_no_links() {
    on_all_kernels(single_names);
}

fn single_names() {
    let (dir, directory) = open();
    fs::create_dir_all(dir.path().join("a/b")).unwrap();
    fs::write(dir.path().join("file"), "x").unwrap();
    symlink("a", dir.path().join("link")).unwrap();
    symlink("file", dir.path().join("file-link")).unwrap();
    rustix::fs::mkfifoat(&directory, "pipe", Mode::RWXU).unwrap();
    let is_directory = |name: &str| directory.subdirectory(OsStr::new(name)).is_ok();
    assert!(is_directory("a"));
    for name in ["", ".", "..", "a/b", "/", "link", "file", "absent"] {
        assert!(!is_directory(name), "{name}");
    }
    let is_file = |name: &str| directory.open_file(OsStr::new(name), OFlags::RDWR).is_ok();
    assert!(is_file("file"));
    for name in ["a", "link", "file-link", "pipe", "../file"] {
        assert!(!is_file(name), "{name}");
    }
}

/// Deeper than descriptors, paths or the stack allow, with links that lead out and directories that nobody may enter.
#[test]
fn deep_trees_are_removed_and_links_are_not_followed() {
    let (dir, directory) = open();
    let (top, kept) = (dir.path().join("top"), dir.path().join("kept"));
    fs::create_dir(&kept).unwrap();
    fs::write(kept.join("file"), "x").unwrap();
    fs::create_dir(&top).unwrap();
    let mut deep = Directory::open(&top).unwrap();
    for depth in 0..1200 {
        let name = OsStr::new("a-folder-in-a-folder");
        deep.create_directory(name, 0o700).unwrap();
        deep = deep.subdirectory(name).unwrap();
        if depth % 100 == 0 {
            rustix::fs::symlinkat(&kept, &deep, "link").unwrap();
            drop(deep.create_file(OsStr::new("file"), 0).unwrap());
            deep.create_directory(OsStr::new("closed"), 0).unwrap();
        }
    }
    let opened = directory.subdirectory(OsStr::new("top")).unwrap();
    directory.remove_tree(OsStr::new("top"), &opened).unwrap();
    assert!(!top.exists() && kept.join("file").exists());
}

/// What is below a directory is reached through links of the caller, wherever they lead; nothing is waited for.
#[test]
fn paths_below_a_directory() {
    on_all_kernels(|| {
        let (dir, directory) = open();
        let other = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        fs::write(dir.path().join("a/b/file"), "text").unwrap();
        fs::write(other.path().join("far"), "far").unwrap();
        symlink("a", dir.path().join("near")).unwrap();
        symlink(other.path(), dir.path().join("a/out")).unwrap();
        symlink("../a/b/file", dir.path().join("a/up")).unwrap();
        symlink("round", dir.path().join("round")).unwrap();
        rustix::fs::mkfifoat(&directory, "pipe", Mode::RWXU).unwrap();
        let read = |path: &str, most| {
            let read = directory.read_below(Path::new(path), most);
            read.map(|bytes| String::from_utf8(bytes).unwrap()).map_err(|e| e.kind())
        };
        for path in ["a/b/file", "near/b/file", "a/up", "near/up"] {
            assert_eq!(read(path, 4), Ok("text".to_owned()), "{path}");
            assert_eq!(read(path, 3), Err(io::ErrorKind::InvalidData), "{path}");
        }
        assert_eq!(read("near/out/far", 9), Ok("far".to_owned()));
        for path in ["pipe", "a", "", "../x", "/etc/passwd", "a/../a"] {
            assert_eq!(read(path, 9), Err(io::ErrorKind::InvalidInput), "{path}");
        }
        for (path, error) in [("absent", io::ErrorKind::NotFound), ("a/b/file/x", io::ErrorKind::NotADirectory)] {
            assert_eq!(read(path, 9), Err(error), "{path}");
        }
        assert_eq!(read("round", 9), Err(Errno::LOOP.kind()));
        assert!(
            directory.metadata_below(Path::new("near")).unwrap().is_dir() && !directory.has_below(Path::new("x/y"))
        );
        for path in ["a/b/c/d", "near/b/e", "a/out/f", "x"] {
            let made = directory.create_below(Path::new(path)).unwrap();
            drop(made.create_file(OsStr::new("in"), 0o600).unwrap());
            assert!(dir.path().join(path).join("in").exists(), "{path}");
        }
        assert!(directory.create_below(Path::new("a/up")).is_err());
    });
}

/// Links below a directory count if the caller, root or the directory's owner made them, whoever can write there.
#[test]
fn links_of_other_users() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    on_all_kernels(|| {
        let (dir, _) = open();
        let other = tempfile::tempdir().unwrap();
        fs::write(other.path().join("file"), "x").unwrap();
        let link = dir.path().join("top/link");
        fs::create_dir(dir.path().join("top")).unwrap();
        symlink(other.path(), &link).unwrap();
        let own = |path: &Path, uid| std::os::unix::fs::lchown(path, Some(uid), Some(uid)).unwrap();
        let top = || Directory::open_named(&dir.path().join("top"));
        let is_followed = || top().unwrap().read_below(Path::new("link/file"), 9).is_ok();
        // Owners of the directory and of the link, and the mode of what the directory is in.
        for (owner, maker, mode, expected) in [
            (0, 0, 0o755, true),
            (0, 7, 0o755, false),
            (7, 0, 0o755, true),
            (7, 7, 0o755, true),
            (7, 7, 0o1777, false),
            (7, 0, 0o1777, true),
            (7, 8, 0o755, false),
        ] {
            own(&dir.path().join("top"), owner);
            own(&link, maker);
            fs::set_permissions(dir.path(), fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(is_followed(), expected, "{owner} {maker} {mode:o}");
        }
        // A path that the user names is not followed through what was planted.
        own(&link, 7);
        fs::set_permissions(dir.path().join("top"), fs::Permissions::from_mode(0o1777)).unwrap();
        own(&dir.path().join("top"), 0);
        let error = Directory::open_named(&link).unwrap_err();
        assert!(
            is_refused(&error) && error.to_string().starts_with("found a symbolic link of another user"),
            "{error}"
        );
        assert!(is_refused(&Directory::create_named(&link.join("new")).unwrap_err()));
        own(&link, 0);
        assert!(Directory::create_named(&link.join("new/deep")).is_ok() && other.path().join("new/deep").is_dir());
    });
}
