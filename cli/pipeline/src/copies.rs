//! Opens what `copy` of a spec names, and says what layers of their own hold.

use crate::Result;
use crate::error::Context;
use layerstone_image::plain;
use layerstone_root::{CopyInput, CopySource, TreeSource};
use layerstone_spec::{CopyEntry, Spec};
use layerstone_store::{Directory, Limits, open_regular};
use std::io::ErrorKind;
use std::path::Path;

/// What the history says of a layer that only holds what is copied.
pub const COMMENT: &str = "copied files";

/// The spec of the layer of this name: nothing but what is copied there.
///
/// # Errors
///
/// No entry names the layer.
pub fn spec_of_copy_layer(spec: &Spec, layer: &str) -> Result<Spec> {
    let copy: Vec<_> = spec.copies_to(Some(layer)).map(|entry| CopyEntry { layer: None, ..entry.clone() }).collect();
    if copy.is_empty() {
        let names = spec.copy_layers().join(", ");
        bail!("no such layer: {layer}: found {} in copy", if names.is_empty() { "none" } else { &names });
    }
    Ok(Spec {
        copy,
        mtime: spec.mtime,
        replace: spec.replace,
        from_image: spec.from_image.clone(),
        architecture: spec.architecture.clone(),
        variant: spec.variant.clone(),
        ..Spec::new(&spec.name)
    })
}

/// Opens what goes into the customisation layer of a spec.
///
/// # Errors
///
/// A source cannot be read, or is of a kind that cannot be copied.
pub fn open_copies(spec: &Spec, limits: Limits) -> Result<Vec<CopyInput>> {
    let open = |entry: &CopyEntry| Ok(CopyInput { entry: entry.clone(), source: open_copy(entry, limits)? });
    spec.copies_to(None).map(open).collect()
}

fn open_copy(entry: &CopyEntry, limits: Limits) -> Result<CopySource> {
    match open_tree(&entry.from, limits, entry.unpacks())? {
        Some(TreeSource::Directory(from)) if entry.unpack == Some(true) => {
            bail!("cannot copy: {}: found a folder, expected a tar, as unpack is true", from.display())
        }
        Some(tree) => Ok(CopySource::Tree(tree)),
        None => Ok(CopySource::File(entry.from.clone())),
    }
}

/// Opens a directory, or a tar that may be compressed; none for a regular file that is not to be read as a tar.
///
/// # Errors
///
/// It cannot be read, or is something else.
pub fn open_tree(path: &Path, limits: Limits, is_tar: bool) -> Result<Option<TreeSource>> {
    let context = || format!("cannot read: {}", path.display());
    if Directory::open(path).is_ok() {
        return Ok(Some(TreeSource::Directory(path.to_owned())));
    }
    let file = match open_regular(path) {
        Err(error) if error.kind() == ErrorKind::InvalidInput => {
            let expected = if is_tar { "a folder or a tar" } else { "a folder or a regular file" };
            bail!("cannot merge: {}: expected {expected}", path.display())
        }
        opened => opened.with_context(context)?,
    };
    if !is_tar {
        return Ok(None);
    }
    let max_holes = limits.unpacked(Some(file.metadata().with_context(context)?.len()));
    Ok(Some(TreeSource::Tar { name: path.to_owned(), file: plain(file, path, limits)?, max_holes }))
}
