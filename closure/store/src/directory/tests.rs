//! Tests of [`Directory`]: what is opened, what is refused, what is removed.

use super::*;
use std::fs;
use std::os::unix::fs::symlink;

fn open() -> (tempfile::TempDir, Directory) {
    let dir = tempfile::tempdir().unwrap();
    let directory = Directory::open(dir.path()).unwrap();
    (dir, directory)
}

#[test]
fn only_single_names_and_no_links() {
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
