//! Streams the tar of a layer of store paths, and prints its diff ID.

use layerstone_layer::{Progress, write_layer};
use layerstone_pipeline::{BuildCache, layouts, recipes};
use layerstone_store::{Store, StorePath};
use layerstone_tar::Owner;
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir()?;
    let path = StorePath::parse("/nix/store/xr2yc61k4shzhlyhz13n4pgbqyy4wvxr-hello")?;
    std::fs::create_dir_all(directory.path().join("nix/store"))?;
    std::fs::write(directory.path().join(&path.as_str()[1..]), "hello")?;

    let store = Store::new("/nix/store", directory.path())?;
    let recipes = recipes(&[vec![path]], &store, 1, &Owner::root(), false)?;
    let layers = layouts(&recipes, &BuildCache::default(), &store)?;
    let mut tar = Vec::new();
    let diff_id = write_layer(&layers[0], &mut tar, Path::new("tar"), &Progress::default())?;
    println!("{diff_id} {} bytes", tar.len());
    Ok(())
}
