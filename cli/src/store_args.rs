//! The flags that say where the store is.

use anyhow::Result;
use clap::Args;
use layerstone_store::Store;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

/// Where the store is.
#[derive(Args, Clone)]
#[command(next_help_heading = "Store")]
pub struct StoreArgs {
    /// Folder below which the store is read; no output names it
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    /// The store directory, as it is called in the image
    #[arg(long, value_name = "DIR", default_value = "/nix/store")]
    store: String,
}

impl StoreArgs {
    pub fn store(&self) -> Result<Store> {
        Ok(Store::new(&self.store, &self.root)?)
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
