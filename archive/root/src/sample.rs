//! For tests: stores made from a few lines.

use layerstone_stage::{Store, StorePath};
use std::fs::{create_dir_all, write};
use std::os::unix::fs::symlink;

/// Makes items of a store below a root from lines `ITEM/PATH` (a folder if it ends in a slash) and `ITEM/PATH -> TEXT`.
pub fn store(lines: &[&str]) -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    for line in lines {
        let (path, text) = line.split_once(" -> ").map_or((*line, None), |(path, text)| (path, Some(text)));
        let real = dir.path().join("nix/store").join(path);
        create_dir_all(real.parent().unwrap()).unwrap();
        match text {
            Some(text) => symlink(text, &real).unwrap(),
            None if path.ends_with('/') => create_dir_all(&real).unwrap(),
            None => write(&real, "").unwrap(),
        }
    }
    let store = Store::new("/nix/store", dir.path()).unwrap();
    (dir, store)
}

/// Entries of the store.
pub fn paths(store: &Store, items: &[&str]) -> Vec<StorePath> {
    items.iter().map(|base| store.entry(base).unwrap()).collect()
}
