//! Checks whether layer files make an image: each store path once, all that the customisation layer refers to, in order.

use crate::{BaseImage, Checks, Error, Report, Result};
use layerstone_layer::LayerFile;
use layerstone_spec::Spec;
use layerstone_store::{Store, StorePath};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::path::Path;

/// Refuses layers that are no image of a spec. They are given bottom first.
///
/// # Errors
///
/// A store path or a layer is there twice, or layers of store paths lie over the customisation layer; with strict checks, a
/// store path or the customisation layer is missing.
pub fn check_layers(
    layers: &[(&Path, &LayerFile)],
    spec: &Spec,
    base: Option<&BaseImage>,
    store: &Store,
    (checks, report): (Checks, &dyn Report),
) -> Result<()> {
    check_order(layers)?;
    let held = held(layers, (checks, report))?;
    if wants_root(spec) && !layers.iter().any(|(_, layer)| is_root(layer)) {
        let text = "found no customisation layer, expected the one that `layerstone root` makes of the spec";
        match checks {
            Checks::Strict => return Err(no_image(text)),
            _ => report.warn(text),
        }
    }
    if !spec.include_store_paths {
        return Ok(());
    }
    let of_base: BTreeSet<StorePath> = match base {
        Some(base) => base.store_paths(store.dir())?,
        None => BTreeSet::new(),
    };
    for (path, layer) in layers {
        // A layer file need not list what it holds; then nothing is known to be missing.
        let tells =
            |other: &LayerFile| !is_root(other) || !other.references.is_empty() || other.history.comment.is_some();
        let is_known = layers.iter().all(|(at, other)| at == path || tells(other));
        let missing = layer.references.iter().find(|it| !held.contains_key(*it) && !of_base.contains(*it));
        if let Some(missing) = missing.filter(|_| is_known) {
            let text = format!("{}: it refers to {missing}, which no layer holds", path.display());
            // What files only mention may be left out on purpose.
            match checks {
                Checks::Strict => return Err(no_image(text)),
                _ => report.warn(text),
            }
        }
    }
    Ok(())
}

/// Whether a spec has anything that lies in a customisation layer.
fn wants_root(spec: &Spec) -> bool {
    let scripts = [&spec.script, &spec.fake_root_commands];
    scripts.into_iter().any(Option::is_some)
        || !(spec.contents.is_empty() && spec.copy.is_empty() && spec.helpers.is_empty())
}

/// Whether a layer is no store layer.
fn is_root(layer: &LayerFile) -> bool {
    layer.store_paths.is_empty() && layer.recipe.is_none()
}

/// A layer of files lies over what it refers to, as far as the image has that: then whoever gets the lower layers alone has
/// whole files.
fn check_order(layers: &[(&Path, &LayerFile)]) -> Result<()> {
    let mut below: BTreeSet<&StorePath> = BTreeSet::new();
    for (index, (root, layer)) in layers.iter().enumerate() {
        below.extend(&layer.store_paths);
        let is_wanted = |path: &StorePath| layer.references.contains(path) && !below.contains(path);
        let mut above = layers[index..].iter().filter(|(_, other)| is_root(layer) && !is_root(other)).peekable();
        let Some((first, _)) = above.peek().copied() else { continue };
        if above.any(|(_, other)| other.store_paths.iter().any(is_wanted)) {
            let (first, root) = (first.display(), root.display());
            let expected = "expected store layers below the customisation layer";
            return Err(no_image(format_args!("{first}: found it over {root}, {expected}")));
        }
    }
    Ok(())
}

/// The error for layers that make none.
fn no_image(message: impl Display) -> Error {
    let hint = "bottom first, the customisation layer last: layers/*.layer.json root.layer.json";
    Error::advised(format_args!("no image: {message}"), hint)
}

/// The layer of each store path. Layers that were made apart may hold one twice, which costs its size.
fn held<'a>(
    layers: &[(&'a Path, &'a LayerFile)],
    (checks, report): (Checks, &dyn Report),
) -> Result<BTreeMap<&'a StorePath, &'a Path>> {
    let mut held: BTreeMap<&StorePath, &Path> = BTreeMap::new();
    let mut files = BTreeSet::new();
    let mut is_told = false;
    for (path, layer) in layers {
        if !files.insert(path) {
            return Err(no_image(format_args!("{}: found it twice, expected each layer once", path.display())));
        }
        for store_path in &layer.store_paths {
            if let Some(other) = held.insert(store_path, path) {
                let text = format!("{store_path}: found it in {} and in {}", other.display(), path.display());
                if checks == Checks::Strict {
                    return Err(no_image(text));
                }
                if !is_told {
                    report.warn(format_args!("stored twice: {text}"));
                }
                is_told = true;
            }
        }
    }
    Ok(held)
}
