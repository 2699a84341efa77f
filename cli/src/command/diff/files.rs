//! Which files of two images differ. Those of a store path that both have are the same; those of one that was changed are
//! compared with the files of the one that it replaces.

use crate::command::inspect::files::{Chosen, files, short};
use crate::screen::color::Paint;
use crate::screen::fit::clean_path;
use crate::screen::table::size;
use anyhow::Result;
use layerstone_closure::PathDiff;
use layerstone_image::StoredImage;
use layerstone_layer::DigestWriter;
use layerstone_store::Digest;
use layerstone_tar::{Kind, Node, Tree};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::io::sink;

/// A file that differs.
#[derive(Serialize)]
pub struct ChangedFile {
    /// Its path in the new image, or in the old one if it is gone.
    pub path: String,
    pub change: Change,
    /// Bytes that it had.
    #[serde(skip_serializing_if = "Option::is_none", rename = "oldSize")]
    pub old_size: Option<u64>,
    /// Bytes that it has.
    #[serde(skip_serializing_if = "Option::is_none", rename = "newSize")]
    pub new_size: Option<u64>,
    /// The uppermost directory above it that only one of the images has.
    #[serde(skip)]
    within: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    Added,
    Removed,
    Changed,
}

/// All files of two images, whose layers are plain, that differ.
pub fn differences(old: &StoredImage, new: &StoredImage, paths: &PathDiff) -> Result<Vec<ChangedFile>> {
    let (old_tree, new_tree) = (old.tree()?, new.tree()?);
    let renamed: BTreeMap<&str, &str> =
        paths.changed.iter().map(|it| (it.old.path.as_str(), it.new.path.as_str())).collect();
    let old_files = by_path(&old_tree, |path| renamed_path(path, &renamed))?;
    let new_files = by_path(&new_tree, |path| path)?;
    let (old_directories, new_directories) = (directories(&old_files), directories(&new_files));
    let mut found = Vec::new();
    for (path, node) in &new_files {
        let (change, before) = match old_files.get(path) {
            None => (Change::Added, None),
            Some(before) if is_same((old, before), (new, node))? => continue,
            Some(before) => (Change::Changed, Some(before)),
        };
        let old_size = before.and_then(|before| bytes(before));
        let within = uppermost(path, &old_directories).filter(|_| change == Change::Added);
        found.push(ChangedFile { path: clean_path(path), change, old_size, new_size: bytes(node), within });
    }
    for (path, node) in old_files.iter().filter(|(path, _)| !new_files.contains_key(*path)) {
        let (within, change) = (uppermost(path, &new_directories), Change::Removed);
        found.push(ChangedFile { path: clean_path(path), change, old_size: bytes(node), new_size: None, within });
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// A line for each, or for a directory that only one of the images has.
pub fn text(found: &[ChangedFile], paint: Paint) -> String {
    let is_together = |a: &ChangedFile, b: &ChangedFile| a.within.is_some() && a.within == b.within;
    found.chunk_by(is_together).map(|files| line(files, paint)).collect()
}

fn line(files: &[ChangedFile], paint: Paint) -> String {
    let sum = |size: &dyn Fn(&ChangedFile) -> Option<u64>| files.iter().filter_map(size).reduce(u64::saturating_add);
    let (old_size, new_size) = (sum(&|file| file.old_size), sum(&|file| file.new_size));
    let bytes = |bytes: Option<u64>| bytes.map(size).unwrap_or_default();
    let ChangedFile { path, change, within, .. } = &files[0];
    let path = match (within, files.len()) {
        (Some(directory), count) if count > 1 => format!("{}/, {count} files", short(directory)),
        _ => short(path),
    };
    match change {
        Change::Added => format!("  {}\n", paint.known(format_args!("+ {:>7}  {path}", bytes(new_size)))),
        Change::Removed => format!("  {}\n", paint.gone(format_args!("- {:>7}  {path}", bytes(old_size)))),
        Change::Changed => {
            let was = if old_size == new_size { String::new() } else { format!(", was {}", bytes(old_size)) };
            format!("  {}\n", paint.sent(format_args!("~ {:>7}  {path}{was}", bytes(new_size))))
        }
    }
}

/// All directories that files are in.
fn directories(files: &BTreeMap<Vec<u8>, &Node>) -> BTreeSet<Vec<u8>> {
    files.keys().flat_map(|path| above(path)).map(<[u8]>::to_vec).collect()
}

/// The directories above a file, the uppermost one first.
fn above(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    path.iter().enumerate().skip(1).filter(|(_, byte)| **byte == b'/').map(|(end, _)| &path[..end])
}

/// The uppermost directory above a file that is none of these.
fn uppermost(path: &[u8], known: &BTreeSet<Vec<u8>>) -> Option<String> {
    above(path).find(|directory| !known.contains(*directory)).map(clean_path)
}
fn by_path(tree: &Tree, path_of: impl Fn(Vec<u8>) -> Vec<u8>) -> Result<BTreeMap<Vec<u8>, &Node>> {
    let all = files(tree, &Chosen::parse(None)?);
    Ok(all.into_iter().filter(|file| !file.node.is_directory()).map(|file| (path_of(file.path), file.node)).collect())
}

/// The path that a file of a store path has that is called otherwise in the new image.
fn renamed_path(path: Vec<u8>, renamed: &BTreeMap<&str, &str>) -> Vec<u8> {
    let store_path =
        std::str::from_utf8(&path).ok().map(|text| text.splitn(5, '/').take(4).collect::<Vec<_>>().join("/"));
    match store_path.and_then(|old| Some((old.len(), *renamed.get(&*old)?))) {
        Some((length, new)) => [new.as_bytes(), &path[length..]].concat(),
        None => path,
    }
}

fn bytes(node: &Node) -> Option<u64> {
    if let Kind::File { size } = node.kind { Some(size) } else { None }
}

fn is_same((old, before): (&StoredImage, &Node), (new, after): (&StoredImage, &Node)) -> Result<bool> {
    if before.kind != after.kind || (before.mode, before.uid, before.gid) != (after.mode, after.uid, after.gid) {
        return Ok(false);
    }
    let place = |image: &StoredImage, node: &Node| {
        node.identity().and_then(|(layer, at)| Some((image.layers.get(layer as usize)?.diff_id, at)))
    };
    if bytes(after).is_none() || (place(old, before).is_some() && place(old, before) == place(new, after)) {
        return Ok(true);
    }
    Ok(digest(old, before)? == digest(new, after)?)
}

fn digest(image: &StoredImage, node: &Node) -> Result<Digest> {
    let mut nowhere = sink();
    let mut out = DigestWriter::new(&mut nowhere);
    image.copy_file(node, &mut out)?;
    Ok(out.finish().0)
}
