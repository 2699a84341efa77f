//! Links made anew: relative inside the component, absolute into the store where they lead to another one, and as
//! they were where they lead nowhere.

use super::unpack::Link;
use super::{Prefixes, is_there};
use crate::lab::layout::{canonical, join, relative};
use anyhow::{Context, Result};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// Makes the links whose names are still free.
pub fn make(links: &[Link], prefixes: &Prefixes) -> Result<()> {
    for link in links {
        let place = join(&prefixes.out, &link.path);
        if is_there(&place) {
            continue;
        }
        let folder = place.parent().unwrap_or(&prefixes.out);
        fs::create_dir_all(folder)
            .and_then(|()| symlink(target(link, prefixes), &place))
            .with_context(|| format!("cannot link: {}", place.display()))?;
    }
    Ok(())
}

fn target(link: &Link, prefixes: &Prefixes) -> PathBuf {
    let target = canonical(&link.debian_folder.join(&link.target));
    match prefixes.find(&target) {
        Some(prefix) if prefix == prefixes.out => relative(link.path.parent().unwrap_or(Path::new("")), &target),
        Some(prefix) => join(prefix, &target),
        None => link.target.clone(),
    }
}
