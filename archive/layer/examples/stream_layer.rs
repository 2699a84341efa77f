//! Lays out a layer from a temporary store, hashes it, and streams its tar.

use layerstone_layer::{Progress, Recipe, Source, digest_all, store_layout, write_layer};
use layerstone_store::{Store, StorePath};
use layerstone_tar::Owner;
use std::{error::Error, fs, io, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let root = tempfile::tempdir()?;
    let path = "/nix/store/516z65g5d2g7yfc9yv6n2g1q21jqv0m1-hello";
    fs::create_dir_all(root.path().join(&path[1..]))?;
    fs::write(root.path().join(&path[1..]).join("greeting"), "hello\n")?;
    let (store, paths) = (Store::new("/nix/store", root.path())?, vec![StorePath::parse(path)?]);
    let recipe = Recipe { store: store.dir().to_owned(), paths, mtime: 1, owner: Owner::root(), xattrs: false };
    let source = Source::from(store_layout(&store, &recipe)?);
    let diff_ids = digest_all(&[&source], &|_, _, _| Ok(()), &Progress::default())?;
    let streamed = write_layer(&source, &mut io::sink(), Path::new("sink"), &Progress::default())?;
    assert_eq!(diff_ids, [streamed]);
    println!("{} bytes, diff ID {streamed}", source.size());
    Ok(())
}
