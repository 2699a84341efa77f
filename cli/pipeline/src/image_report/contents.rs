//! Reads the layers of an image for what is outside its store paths, and for the store paths that its store paths mention.

use crate::error::Context;
use crate::{Report, Result};
use layerstone_closure::{Candidates, Scanner};
use layerstone_image::{Error as ImageError, PathSizes, StoredImage, StoredLayer};
use layerstone_layer::Progress;
use layerstone_store::{Limits, StorePath};
use layerstone_tar::{Allowance, Kind, Member, Members, Whiteout};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufReader, Write};

/// Bytes read of a layer at a time where contents count.
const READ: usize = 64 << 10;
/// Bytes read where they are passed over.
const PASSED: usize = 16 << 10;
/// Components of a directory's name that are told.
const DEPTH: usize = 2;
/// Bytes of memory that a directory takes besides its name.
const DIRECTORY_BYTES: usize = 200;

/// What the layers of an image hold.
pub struct Contents {
    /// For each layer, bottom first, the directories outside store paths and the bytes of the files in them.
    pub directories: Vec<BTreeMap<Vec<u8>, u64>>,
    /// The other store paths that each store path mentions.
    pub references: BTreeMap<StorePath, BTreeSet<StorePath>>,
}

/// Reads the plain layers of an image, whose store paths are known; contents only if they are to be scanned.
pub fn read_contents(
    image: &StoredImage,
    store_dir: &str,
    store_paths: &[PathSizes],
    scan: bool,
    report: &dyn Report,
) -> Result<Contents> {
    let all = store_paths.iter().flat_map(PathSizes::keys).cloned();
    let candidates = scan.then(|| Candidates::new(&image.name, all.collect::<BTreeSet<_>>()));
    let sizes = image.layers.iter().map(|layer| layer.part.size()).fold(0, u64::saturating_add);
    let allowance = Allowance::new(image.limits());
    let read = |meter: &Progress| -> Result<Vec<LayerContents>> {
        let layers: Vec<(&StoredLayer, &PathSizes)> = image.layers.iter().zip(store_paths).collect();
        let read = |(layer, paths): (&StoredLayer, &PathSizes)| {
            let walk = Walk { store_dir, paths, candidates: candidates.as_ref(), allowance: &allowance, meter };
            walk.layer(layer).with_context(|| format!("cannot read: {}", layer.part.name().display()))
        };
        let found: Result<_> = layers.into_par_iter().map(read).collect();
        // Whatever else it says, work that was cancelled is that.
        meter.count(0)?;
        found
    };
    let layers = report.during("scanning", scan.then_some(sizes), Vec::new(), read)?;
    let mut contents = Contents { directories: Vec::new(), references: BTreeMap::new() };
    for layer in layers {
        contents.directories.push(layer.directories);
        for (path, found) in layer.references {
            contents.references.entry(path).or_default().extend(found);
        }
    }
    Ok(contents)
}

/// What a layer holds.
#[derive(Default)]
struct LayerContents {
    directories: BTreeMap<Vec<u8>, u64>,
    references: BTreeMap<StorePath, BTreeSet<StorePath>>,
}

/// How a layer is read.
struct Walk<'a> {
    store_dir: &'a str,
    /// The layer's store paths.
    paths: &'a PathSizes,
    candidates: Option<&'a Candidates>,
    allowance: &'a Allowance,
    meter: &'a Progress,
}

/// The search in a store path, whose members mostly stand side by side.
struct Search<'a> {
    path: StorePath,
    scanner: Scanner<'a>,
}

impl Walk<'_> {
    fn layer(&self, layer: &StoredLayer) -> Result<LayerContents> {
        let size = if self.candidates.is_some() { READ } else { PASSED };
        let limits = *self.allowance.limits();
        let mut members = Members::new(BufReader::with_capacity(size, layer.part.reader()), limits);
        let mut found = LayerContents::default();
        let (mut search, mut holes): (Option<Search>, u64) = (None, 0);
        while let Some(member) = members.next_member()? {
            let Some((path, below)) = self.store_path(&member.name, search.as_ref()) else {
                self.add_directory(&member, &mut found)?;
                members.pass_contents()?;
                continue;
            };
            let Some(candidates) = self.candidates else {
                members.pass_contents()?;
                continue;
            };
            if search.as_ref().is_none_or(|search| search.path != path) {
                found.finish(search.take());
            }
            let scanner = &mut search.get_or_insert_with(|| Search { path, scanner: Scanner::new(candidates) }).scanner;
            scanner.cut();
            scanner.feed(below);
            scanner.cut();
            if let Kind::Symlink { target } = &member.kind {
                scanner.feed(target);
            }
            holes = holes.saturating_add(members.holes());
            check_holes(holes, &limits, layer)?;
            members.copy_contents(&mut Feed { scanner, meter: self.meter })?;
        }
        found.finish(search);
        Ok(found)
    }

    /// The store path of the layer that a member belongs to, and what of the name is below it.
    fn store_path<'n>(&self, name: &'n [u8], search: Option<&Search>) -> Option<(StorePath, &'n [u8])> {
        let inside = name.strip_prefix(&self.store_dir.as_bytes()[1..])?.strip_prefix(b"/")?;
        let end = inside.iter().position(|&byte| byte == b'/').unwrap_or(inside.len());
        let (base, below) = inside.split_at(end);
        let below = below.strip_prefix(b"/").unwrap_or(below);
        if let Some(search) = search.filter(|search| search.path.base_name().as_bytes() == base) {
            return Some((search.path.clone(), below));
        }
        let path = StorePath::parse(&format!("{}/{}", self.store_dir, std::str::from_utf8(base).ok()?)).ok()?;
        self.paths.contains_key(&path).then_some((path, below))
    }

    /// Counts a file that is in no store path.
    fn add_directory(&self, member: &Member, found: &mut LayerContents) -> io::Result<()> {
        if member.is_directory() || Whiteout::of(&member.name).is_some() {
            return Ok(());
        }
        let name = directory(&member.name);
        if let Some(size) = found.directories.get_mut(&name) {
            *size = size.saturating_add(member.size());
        } else {
            self.allowance.take(name.len() + DIRECTORY_BYTES)?;
            found.directories.insert(name, member.size());
        }
        Ok(())
    }
}

impl LayerContents {
    fn finish(&mut self, search: Option<Search>) {
        let Some(Search { path, scanner }) = search else { return };
        let others = scanner.finish().into_iter().filter(|found| *found != path);
        self.references.entry(path.clone()).or_default().extend(others);
    }
}

/// Checks the bytes of a layer's holes before they are read as zeros.
fn check_holes(found: u64, limits: &Limits, layer: &StoredLayer) -> Result<(), ImageError> {
    let limit = limits.unpacked(Some(layer.part.size()));
    let name = || layer.part.name().display().to_string();
    if found > limit { Err(ImageError::Holes { name: name(), found, limit }) } else { Ok(()) }
}

/// The directory of a file, its first two components.
fn directory(name: &[u8]) -> Vec<u8> {
    let mut directory = Vec::new();
    let mut components: Vec<&[u8]> = name.split(|&byte| byte == b'/').collect();
    components.pop();
    for component in components.into_iter().take(DEPTH) {
        directory.push(b'/');
        directory.extend_from_slice(component);
    }
    if directory.is_empty() { b"/".to_vec() } else { directory }
}

/// Feeds what is written to a scanner.
struct Feed<'s, 'c> {
    scanner: &'s mut Scanner<'c>,
    meter: &'s Progress,
}

impl Write for Feed<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.scanner.feed(bytes);
        self.meter.count(bytes.len()).map_err(io::Error::other)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories() {
        let cases = [("init", "/"), ("etc/passwd", "/etc"), ("usr/lib/x", "/usr/lib"), ("usr/lib/a/b/c", "/usr/lib")];
        for (file, expected) in cases {
            assert_eq!(directory(file.as_bytes()), expected.as_bytes(), "{file}");
        }
    }
}
