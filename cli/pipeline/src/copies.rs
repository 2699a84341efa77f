//! Opens what `copy` of a spec names, and says what layers of their own hold.

use crate::error::Context;
use crate::{BaseImage, Report, Result};
use layerstone_image::plain;
use layerstone_oci::host_architecture;
use layerstone_root::{CopyInput, CopySource, Libraries, Library, Surroundings, TreeSource, find_libraries};
use layerstone_spec::{CopyEntry, Spec};
use layerstone_store::{Directory, Limits, Store, open_regular};
use layerstone_tar::Tree;
use serde_json::Value;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// What the history says of a layer of copied files that is called so.
pub fn comment(name: &str) -> String {
    format!("copied files: {name}")
}

/// The spec of the layer of this name: nothing but what is copied there.
///
/// # Errors
///
/// No entry names the layer.
pub fn spec_of_copy_layer(spec: &Spec, layer: &str) -> Result<Spec> {
    let copy: Vec<_> = spec.copies_to(Some(layer)).map(|entry| CopyEntry { layer: None, ..entry }).collect();
    if copy.is_empty() && spec.layer_of_libraries() != Some(Some(layer)) {
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
    spec.copies_to(None).map(|entry| open_input(&entry, limits)).collect()
}

fn open_input(entry: &CopyEntry, limits: Limits) -> Result<CopyInput> {
    Ok(CopyInput { entry: entry.clone(), source: open_copy(entry, limits)? })
}

/// What an image builds on, as far as its programs look at it.
#[derive(Clone, Copy)]
pub struct Below<'a> {
    /// The base image.
    pub base: Option<&'a BaseImage>,
    /// Its files, and those of other layers below.
    pub tree: Option<&'a Tree>,
}

/// The libraries that a layer of the image holds for what is copied: the one of this name, or without one the customisation
/// layer. All but that of libraries have none.
///
/// # Errors
///
/// A source cannot be read.
pub fn libraries(
    spec: &Spec,
    layer: Option<&str>,
    below: Below<'_>,
    store: &Store,
    limits: Limits,
) -> Result<Libraries> {
    if spec.layer_of_libraries() != Some(layer) {
        return Ok(Libraries::default());
    }
    let layers = spec.copy_layers();
    let layers = layers.iter().map(|name| Some(&**name)).chain([None]);
    let entries = layers.flat_map(|layer| spec.copies_to(layer));
    let copies = entries.map(|entry| open_input(&entry, limits)).collect::<Result<Vec<_>>>()?;
    let of_base = below.base.and_then(|base| base.config.get("architecture")?.as_str());
    let architecture = spec.architecture.as_deref().or(of_base).unwrap_or_else(|| host_architecture());
    let library_path = library_path(spec);
    let surroundings = Surroundings { below: below.tree, architecture, search_path: &library_path, store };
    Ok(find_libraries(&copies, surroundings)?)
}

/// The same, and reports what they are.
///
/// # Errors
///
/// A source cannot be read, or something that a program needs is not there.
pub fn report_libraries(libraries: Libraries, report: &dyn Report) -> Result<Vec<Library>> {
    if !libraries.missing.is_empty() {
        return Err(layerstone_root::Error::Libraries { missing: libraries.missing }.into());
    }
    if !libraries.files.is_empty() {
        let names: Vec<String> = libraries.files.iter().map(|file| file.to.display().to_string()).collect();
        report.notice(&format!("libraries copied too: {}", names.join(", ")));
    }
    Ok(libraries.files)
}

/// LD_LIBRARY_PATH of the config.
fn library_path(spec: &Spec) -> Vec<PathBuf> {
    let variables = spec.config.get("Env").and_then(Value::as_array);
    let variables = variables.into_iter().flatten().filter_map(Value::as_str);
    let path = variables.filter_map(|text| text.strip_prefix("LD_LIBRARY_PATH=")).next_back().unwrap_or_default();
    path.split(':').filter(|part| part.starts_with('/')).map(PathBuf::from).collect()
}

fn open_copy(entry: &CopyEntry, limits: Limits) -> Result<CopySource> {
    match open_tree(&entry.from, limits, entry.unpacks())? {
        Some(TreeSource::Directory(from)) if entry.unpack == Some(true) => {
            bail!("cannot copy: {}: found a directory, expected a tar, as unpack is true", from.display())
        }
        Some(tree) => Ok(CopySource::Tree(tree)),
        None if entry.divide.is_some() => {
            bail!("cannot divide: {}: found a regular file, expected a directory", entry.from.display())
        }
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
            let expected = if is_tar { "a directory or a tar" } else { "a directory or a regular file" };
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
