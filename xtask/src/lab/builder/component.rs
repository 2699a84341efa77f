//! One component: its packages unpacked into one prefix, links and programs made to find each other in the store.

use super::{Prefixes, link, patch, unpack};
use crate::lab::layout::DEPENDENCIES;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// Builds the component of these packages, each `FILE=SHA256`, at `out`.
pub fn build(out: &Path, debs: &[String], depends: &[PathBuf]) -> Result<()> {
    // The hash is only there to be an input of the derivation.
    let files = debs.iter().map(|deb| Path::new(deb.rsplit_once('=').map_or(deb.as_str(), |(file, _)| file)));
    let files: Vec<&Path> = files.collect();
    let unpacked = unpack::unpack(out, &files)?;
    let own_links = unpacked.links.iter().map(|link| link.path.clone()).collect();
    let prefixes = Prefixes::new(out, depends, own_links)?;
    link::make(&unpacked.links, &prefixes)?;
    let patched = patch::patch(&unpacked, &prefixes)?;
    if !depends.is_empty() {
        name_dependencies(out, depends)?;
    }
    eprintln!("{} files, {} links, {patched} patched", unpacked.files.len(), unpacked.links.len());
    Ok(())
}

/// Names every dependency in a file, so that Nix's scanner finds a reference also where nothing else refers to it.
fn name_dependencies(out: &Path, depends: &[PathBuf]) -> Result<()> {
    let file = out.join(DEPENDENCIES);
    let mut names: Vec<String> = depends.iter().map(|path| path.display().to_string()).collect();
    names.sort();
    fs::create_dir_all(file.parent().unwrap_or(out))
        .and_then(|()| fs::write(&file, names.join(" ") + "\n"))
        .with_context(|| format!("cannot write: {}", file.display()))
}
