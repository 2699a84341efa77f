//! Parses a store path, and writes its name to a file atomically.

use layerstone_store::{Scratch, StorePath, write_whole};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = StorePath::parse("/nix/store/516z65g5d2g7yfc9yv6n2g1q21jqv0m1-openssl-3.0.11-bin")?;
    println!("{} is {}, of the package {}", path, path.name(), path.package());

    let temporary = Scratch::create(&std::env::temp_dir())?;
    let file = temporary.path().join("name");
    write_whole(&file, path.name().as_bytes())?;
    println!("{} bytes in {}", std::fs::read(&file)?.len(), file.display());
    Ok(())
}
