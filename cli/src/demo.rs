//! The store of the demo: three paths that refer to each other, the same on every machine of one architecture.

mod program;

use anyhow::{Context, Result};
use layerstone_store::{Digest, HASH_LEN, Store, StorePath, nix_base32};
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

/// What the image says when it is run.
const GREETING: &str = "Hello from layerstone: three store paths, one image, no daemon.\n";

/// Makes the store; the path whose contents belong in the image's root.
pub fn make(store: &Store) -> Result<StorePath> {
    let greeting = store_path(store, "greeting")?;
    let text = format!("{greeting}/share/greeting");
    write(store, &text, GREETING.as_bytes(), 0o444)?;
    let hello = store_path(store, "hello")?;
    let program = format!("{hello}/bin/hello");
    write(store, &program, &program::printing_file(&text)?, 0o555)?;
    let env = store_path(store, "demo-env")?;
    link(store, &format!("{env}/bin/hello"), &program)?;
    link(store, &format!("{env}/share/greeting"), &text)?;
    Ok(env)
}

/// A store path whose hash part is made from its name, as nothing else decides its contents.
fn store_path(store: &Store, name: &str) -> Result<StorePath> {
    let hash = nix_base32(&Digest::of(format!("layerstone demo: {name}").as_bytes()).as_bytes()[..HASH_LEN * 5 / 8]);
    Ok(store.entry(&format!("{hash}-{name}"))?)
}

fn write(store: &Store, path: &str, bytes: &[u8], mode: u32) -> Result<()> {
    let real = with_parents(store, path)?;
    let context = || format!("cannot write: {}", real.display());
    fs::write(&real, bytes).with_context(context)?;
    fs::set_permissions(&real, Permissions::from_mode(mode)).with_context(context)
}

fn link(store: &Store, path: &str, target: &str) -> Result<()> {
    let real = with_parents(store, path)?;
    symlink(target, &real).with_context(|| format!("cannot write: {}", real.display()))
}

/// Where a path is, all directories above it made with one mode whatever the umask.
fn with_parents(store: &Store, path: &str) -> Result<std::path::PathBuf> {
    let real = store.locate(path);
    let missing: Vec<&Path> = real.ancestors().skip(1).take_while(|directory| !directory.is_dir()).collect();
    for directory in missing.into_iter().rev() {
        let context = || format!("cannot make the directory: {}", directory.display());
        fs::create_dir(directory).with_context(context)?;
        fs::set_permissions(directory, Permissions::from_mode(0o755)).with_context(context)?;
    }
    Ok(real)
}
