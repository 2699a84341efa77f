//! Looks at the places of images before any work is done for them: whether directories exist, and registries answer.

use crate::error::Context;
use crate::{ImageSource, ImageTarget, Registries, Result};
use layerstone_oci::Place;
use layerstone_store::Output;
use std::fs;
use std::path::Path;

/// Checks where images come from and where they go.
///
/// # Errors
///
/// A file does not exist, nor the directory of the target; a registry does not answer, or that of the target takes no credentials of
/// this user.
pub fn check_places<'a>(
    sources: impl IntoIterator<Item = &'a ImageSource>,
    target: &ImageTarget,
    registries: &Registries,
) -> Result<()> {
    let sources: Vec<&ImageSource> = sources.into_iter().collect();
    for path in sources.iter().filter_map(|source| source.path()).filter(|path| *path != Path::new("-")) {
        fs::metadata(path).with_context(|| format!("cannot read: {}", path.display()))?;
    }
    if let Some(path) = target.path().filter(|_| !target.is_stdout()) {
        Output::check_parent(path)?;
    }
    if let ImageTarget::Registry(reference) = target {
        registries.repository(reference)?.check_push()?;
    }
    check_sources(sources, registries)
}

/// Checks that the registries answer that images come from.
///
/// # Errors
///
/// One does not.
pub fn check_sources<'a>(sources: impl IntoIterator<Item = &'a ImageSource>, registries: &Registries) -> Result<()> {
    for source in sources {
        // Where there is a mirror, it is asked first, and the registry perhaps not at all.
        if let ImageSource::Image(Place::Registry(reference)) = source
            && !registries.has_mirror(reference)
        {
            registries.repository(reference)?;
        }
    }
    Ok(())
}
