//! The flags that say where the store is.

use anyhow::{Context, Result};
use clap::Args;
use layerstone_pipeline::Error;
use layerstone_store::Store;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Where the store is.
#[derive(Args, Clone)]
#[command(next_help_heading = "Store")]
pub struct StoreArgs {
    /// Directory below which the store is read; no output names it
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    /// The store directory, by its path in the image; a relative path is one of this machine
    #[arg(long, value_name = "DIR", default_value = "/nix/store")]
    store: String,
}

impl StoreArgs {
    pub fn store(&self) -> Result<Store> {
        Ok(Store::new(&self.directory()?, &self.root)?)
    }

    /// The store directory, absolute: a relative one is below the root, as it is called there.
    fn directory(&self) -> Result<String> {
        if self.store.starts_with('/') {
            return Ok(self.store.clone());
        }
        let canonical = |path: &Path| path.canonicalize().with_context(|| format!("cannot find: {}", path.display()));
        let (root, store) = (canonical(&self.root)?, canonical(Path::new(&self.store))?);
        let Ok(below) = store.strip_prefix(&root) else {
            let (found, root) = (store.display(), self.root.display());
            let message = format!("--store {}: found {found}, expected a directory below --root {root}", self.store);
            return Err(Error::advised(message, "without --root a store may be any directory").into());
        };
        let text = below.to_str().with_context(|| format!("--store {}: found a name that is not UTF-8", self.store))?;
        Ok(format!("/{text}"))
    }

    /// The flags again, where they say anything.
    pub fn words(&self) -> Vec<OsString> {
        let mut words = Vec::new();
        if self.root != Path::new("/") {
            words.push(joined("--root=", self.root.as_os_str()));
        }
        if self.store != "/nix/store" {
            words.push(joined("--store=", OsStr::new(&self.store)));
        }
        words
    }
}

/// A flag and its value in one word.
fn joined(flag: &str, value: &OsStr) -> OsString {
    let mut word = OsString::from(flag);
    word.push(value);
    word
}
