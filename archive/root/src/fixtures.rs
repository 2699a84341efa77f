//! Makes stores and base images from a few lines, for tests.

use layerstone_layer::{Layout, Source};
use layerstone_store::{Store, StorePath};
use layerstone_tar::{Allowance, Entry, LayerTree, Owner, Placed, Tree};
use std::fs::{create_dir_all, write};
use std::os::unix::fs::symlink;

/// Makes items of a store below a root from lines `ITEM/PATH` (a directory if it ends in a slash) and `ITEM/PATH -> TEXT`.
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

/// A base image from lines as those of a store, a mode and perhaps an owner in front: `1777: tmp/`, `700,5,6: home/`.
pub fn base(lines: &[&str]) -> Tree {
    let members = lines.iter().map(|line| Placed::bare(base_entry(line))).collect();
    let source = Source::from(Layout::gnu(members, 1, &Owner::root()));
    let mut tree = Tree::default();
    tree.put(LayerTree::read_stream(source.reader().unwrap(), &Allowance::default()).unwrap()).unwrap();
    tree
}

fn base_entry(line: &str) -> Entry {
    let (rights, line) = line.split_once(": ").unwrap_or(("755", line));
    let mut rights = rights.split(',');
    let mode = u32::from_str_radix(rights.next().unwrap(), 8).unwrap();
    let [uid, gid] = [rights.next(), rights.next()].map(|id| id.map_or(0, |id| id.parse().unwrap()));
    let mut entry = match (line.split_once(" -> "), line.strip_suffix('/')) {
        (Some((name, text)), _) => Entry::symlink(name.as_bytes(), text.as_bytes()),
        (_, Some(name)) => Entry::directory(name.as_bytes(), mode),
        _ => Entry::file(line.as_bytes(), mode, 0),
    };
    entry.owner = Some(Box::new(Owner::numbered(uid, gid)));
    entry
}
