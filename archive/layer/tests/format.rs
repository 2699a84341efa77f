//! The worked example of FORMAT.md: the store that it shows gives the layer file that it shows.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use layerstone_layer::{
    LAYER_FORMAT, LAYER_FORMAT_VERSION, LayerFile, Progress, Recipe, Source, digest_all, store_layout,
};
use layerstone_store::{Store, to_text};
use layerstone_tar::{Owner, tarsum};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

const PAGE: &str = include_str!("../FORMAT.md");

#[track_caller]
fn block(language: &str) -> &'static str {
    let blocks = PAGE.split("```").skip(1).step_by(2);
    blocks.filter_map(|block| block.strip_prefix(language)?.strip_prefix('\n')).next().unwrap()
}

/// Makes the files of a listing below a root.
fn make(listing: &str, root: &Path) {
    let mut modes = Vec::new();
    for line in listing.lines() {
        let (letters, rest) = line.split_once(' ').unwrap();
        let (name, target) = rest.split_once(" -> ").map_or((rest, None), |(name, target)| (name, Some(target)));
        let path = root.join(name.trim_matches('/'));
        match target {
            Some(target) => symlink(target, &path).unwrap(),
            None if name.ends_with('/') => fs::create_dir_all(&path).unwrap(),
            None => fs::write(&path, "hello\n").unwrap(),
        }
        if target.is_none() {
            let mode = letters[1..].chars().fold(0, |mode, letter| mode << 1 | u32::from(letter != '-'));
            modes.push((path, mode));
        }
    }
    // Last, since nothing can be made in a directory that is read-only.
    for (path, mode) in modes {
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }
}

#[test]
fn the_store_gives_the_layer_file() {
    let root = tempfile::tempdir().unwrap();
    make(block("text"), root.path());
    let store = Store::new("/nix/store", root.path()).unwrap();
    let path = store.parse(block("text").split(' ').nth(1).unwrap().lines().next().unwrap().trim_end_matches('/'));
    let paths = vec![path.unwrap()];
    let recipe =
        Recipe { store: "/nix/store".to_owned(), paths: paths.clone(), mtime: 1, owner: Owner::root(), xattrs: false };
    let source = Source::from(store_layout(&store, &recipe).unwrap());
    let diff_ids = digest_all(&[&source], &|_, _, _| Ok(()), &Progress::default()).unwrap();
    let sum = tarsum(source.reader().unwrap()).unwrap();
    let layer = LayerFile {
        recipe: Some(recipe),
        store_paths: paths,
        tarsum: Some(sum),
        ..LayerFile::new(diff_ids[0], source.size())
    };
    assert_eq!(to_text(LAYER_FORMAT, LAYER_FORMAT_VERSION, &layer), block("json"));

    let file = root.path().join("x.layer.json");
    fs::write(&file, block("json")).unwrap();
    assert_eq!(LayerFile::read(&file).unwrap(), layer);
}
