//! Finds the store paths of an image by the members of its layers. Does not ask its config.
//!
//! A store path of which an upper layer hides a part ([`Whiteout`], or a file that replaces a directory) is no longer that
//! store path, so the image does not have it. A [`Tree`](layerstone_tar::Tree) cannot answer this: it shows what is left,
//! and not that something is gone; and it keeps every file of an image, where this keeps the entries of one directory.

use crate::{Error, Result, StoredImage, StoredLayer};
use layerstone_store::{Store, StorePath};
use layerstone_tar::{Allowance, Member, Members, Whiteout};
use rayon::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufReader};

/// Bytes read of a layer at a time; contents of members are skipped, so that more would be read in vain.
const BUFFER: usize = 16 * 1024;
/// Bytes of memory that an entry of a store takes: its name twice, of 200 bytes at most, and nodes of maps.
const ENTRY_BYTES: usize = 600;
/// Bytes of an entry's name at most (limits.h, NAME_MAX).
const MAX_ENTRY: usize = 255;

/// Store paths and the bytes of their files' contents, holes included; a hard link counts nothing.
pub type PathSizes = BTreeMap<StorePath, u64>;

/// The store paths of an image.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageStorePaths {
    /// The store paths of each layer, bottom first.
    pub layers: Vec<PathSizes>,
    /// The store paths that a container of the image sees.
    pub paths: PathSizes,
}

/// Reads the plain layers of an image for entries of a store directory.
///
/// A store path is an entry of that directory whose name is UTF-8 and begins with no dot (Nix keeps its own `.links`
/// there).
///
/// # Errors
///
/// A layer cannot be read or is no tar, or `store_dir` is not absolute.
pub fn store_paths_of(image: &StoredImage, store_dir: &str) -> Result<ImageStorePaths> {
    let store = Store::new(store_dir, "/")?;
    let allowance = Allowance::new(image.limits);
    let contents: Result<Vec<LayerContents>> =
        image.layers.par_iter().map(|layer| layer_contents(layer, store.dir(), &allowance)).collect();
    let contents = contents?;
    let mut seen = PathSizes::new();
    for layer in &contents {
        layer.put_over(&mut seen);
    }
    Ok(ImageStorePaths { layers: contents.into_iter().map(|layer| layer.paths).collect(), paths: seen })
}

/// What a layer does to a store.
#[derive(Debug, Default, PartialEq)]
struct LayerContents {
    paths: PathSizes,
    /// Whether nothing is left of the store of lower layers.
    hides_all: bool,
    /// Store paths of lower layers that are hidden, or of which a part is.
    hidden: BTreeSet<StorePath>,
}

impl LayerContents {
    /// Adds this layer to what the layers below it show.
    fn put_over(&self, seen: &mut PathSizes) {
        if self.hides_all {
            seen.clear();
        }
        seen.retain(|path, _| !self.hidden.contains(path));
        for (path, &size) in &self.paths {
            // A layer that holds a path again may hold a part of it.
            let largest = seen.entry(path.clone()).or_default();
            *largest = size.max(*largest);
        }
    }
}

fn layer_contents(layer: &StoredLayer, store_dir: &str, allowance: &Allowance) -> Result<LayerContents> {
    let read = || -> io::Result<LayerContents> {
        let mut members = Members::new(BufReader::with_capacity(BUFFER, layer.part.reader()), *allowance.limits());
        let mut entries = Entries::default();
        let store_dir = &store_dir.as_bytes()[1..];
        while let Some(member) = members.next_member()? {
            let before = entries.bytes();
            entries.add(&member, store_dir);
            allowance.take(entries.bytes() - before)?;
            members.pass_contents()?;
        }
        Ok(entries.contents(store_dir))
    };
    read().map_err(Error::layer(layer.part.name()))
}

/// What the members of a layer say about the entries of a store, by their base names.
#[derive(Default)]
struct Entries {
    sizes: BTreeMap<Vec<u8>, u64>,
    hides_all: bool,
    /// Whether all of the entry is hidden, so that the layer itself has all that is left of it.
    hidden: BTreeMap<Vec<u8>, bool>,
}

impl Entries {
    /// `store_dir` without the slash that it begins with.
    fn add(&mut self, member: &Member, store_dir: &[u8]) {
        match Whiteout::of(&member.name) {
            Some(whiteout) => self.hide(&whiteout, store_dir),
            None => self.add_file(member, store_dir),
        }
    }

    fn add_file(&mut self, member: &Member, store_dir: &[u8]) {
        let Some(inside) = below(&member.name, store_dir) else {
            // A file that replaces a directory above the store hides all of it.
            self.hides_all |= !member.is_directory() && contains(&member.name, store_dir);
            return;
        };
        let (base, _) = first(inside);
        if let Some(size) = self.sizes.get_mut(base) {
            // Files with holes may have as many bytes as they like.
            *size = size.saturating_add(member.size());
        } else if base.len() <= MAX_ENTRY {
            self.sizes.insert(base.to_vec(), member.size());
        }
    }

    fn hide(&mut self, whiteout: &Whiteout<'_>, store_dir: &[u8]) {
        let Some(hidden) = whiteout.hidden() else { return };
        let is_opaque = matches!(whiteout, Whiteout::Opaque { .. });
        if contains(&hidden, store_dir) || (is_opaque && hidden.is_empty()) {
            self.hides_all = true;
        } else if let Some((base, is_complete)) =
            below(&hidden, store_dir).map(first).filter(|(base, _)| base.len() <= MAX_ENTRY)
        {
            *self.hidden.entry(base.to_vec()).or_default() |= is_complete;
        }
    }

    /// Bytes of memory that this and what comes of it takes.
    fn bytes(&self) -> usize {
        (self.sizes.len() + self.hidden.len()) * ENTRY_BYTES
    }

    fn contents(self, store_dir: &[u8]) -> LayerContents {
        let store_path = |base: &[u8]| {
            let text = [b"/", store_dir, b"/", base].concat();
            let path = String::from_utf8(text).ok().and_then(|text| StorePath::parse(&text).ok());
            path.filter(|_| !base.starts_with(b"."))
        };
        let is_complete = |base: &Vec<u8>| *self.hidden.get(base).unwrap_or(&true);
        let complete = self.sizes.iter().filter(|(base, _)| is_complete(base));
        LayerContents {
            paths: complete.filter_map(|(base, &size)| Some((store_path(base)?, size))).collect(),
            hides_all: self.hides_all,
            hidden: self.hidden.keys().filter_map(|base| store_path(base)).collect(),
        }
    }
}

/// Whether a directory is the store directory or one above it, but for the root.
fn contains(directory: &[u8], store_dir: &[u8]) -> bool {
    directory == store_dir || (!directory.is_empty() && below(store_dir, directory).is_some())
}

/// The part of a name below a directory.
fn below<'a>(name: &'a [u8], directory: &[u8]) -> Option<&'a [u8]> {
    name.strip_prefix(directory)?.strip_prefix(b"/")
}

/// The first component of a name, and whether that is all of it.
fn first(name: &[u8]) -> (&[u8], bool) {
    match name.iter().position(|&byte| byte == b'/') {
        Some(slash) => (&name[..slash], false),
        None => (name, true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ImageFile;
    use layerstone_oci::Location;
    use layerstone_store::Digest;
    use layerstone_store::Limits;
    use std::io::Write;
    use std::path::Path;
    use tempfile::NamedTempFile;

    /// A layer: names with sizes, a slash at the end for directories, `->` for links.
    fn layer(members: &str) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for member in members.split_whitespace() {
            let mut header = tar::Header::new_gnu();
            let (name, size) = member.split_once('=').unwrap_or((member, "0"));
            let kind = match (name.ends_with('/'), size) {
                (true, _) => tar::EntryType::Directory,
                (_, "link") => tar::EntryType::Symlink,
                _ => tar::EntryType::Regular,
            };
            header.set_entry_type(kind);
            let contents = vec![b'x'; size.parse().unwrap_or(0)];
            header.set_size(contents.len() as u64);
            let name_field = &mut header.as_old_mut().name;
            name_field[..name.len()].copy_from_slice(name.as_bytes());
            header.set_cksum();
            tar.append(&header, &contents[..]).unwrap();
        }
        tar.into_inner().unwrap()
    }

    /// An archive of layers as they are stored, which are plain or compressed.
    fn archive(layers: &[Vec<u8>]) -> NamedTempFile {
        archive_of(layers, layers)
    }

    fn archive_of(layers: &[Vec<u8>], plain: &[Vec<u8>]) -> NamedTempFile {
        let names: Vec<String> = (0..layers.len()).map(|index| format!("{index}/layer.tar")).collect();
        let diff_ids: Vec<Digest> = plain.iter().map(|layer| Digest::of(layer)).collect();
        let config = serde_json::json!({"rootfs": {"diff_ids": diff_ids}}).to_string();
        let manifest = serde_json::json!([{"Config": "c.json", "RepoTags": ["a:b"], "Layers": names}]).to_string();
        let mut tar = tar::Builder::new(NamedTempFile::new().unwrap());
        let members = names.iter().map(String::as_str).zip(layers.iter().map(Vec::as_slice));
        for (name, bytes) in members.chain([("c.json", config.as_bytes()), ("manifest.json", manifest.as_bytes())]) {
            let mut header = tar::Header::new_ustar();
            header.set_size(bytes.len() as u64);
            tar.append_data(&mut header, name, bytes).unwrap();
        }
        tar.into_inner().unwrap()
    }

    fn opened(archive: &Path) -> Result<StoredImage> {
        let mut image = ImageFile::open(archive, Limits::default())?
            .image(&Location::of(archive), &layerstone_oci::Wanted::new(None, None, None))?;
        image.unpack(Limits::default(), &layerstone_layer::Progress::default())?;
        Ok(image)
    }

    fn paths_in(archive: &NamedTempFile, store_dir: &str) -> Result<ImageStorePaths> {
        store_paths_of(&opened(archive.path())?, store_dir)
    }

    fn text(paths: &PathSizes) -> String {
        let text = |(path, size): (&StorePath, &u64)| format!("{}={size}", path.base_name());
        paths.iter().map(text).collect::<Vec<_>>().join(" ")
    }

    /// What a container sees of layers, bottom first.
    #[track_caller]
    fn check(layers: &[&str], expected: &str) {
        let layers: Vec<Vec<u8>> = layers.iter().map(|members| layer(members)).collect();
        assert_eq!(text(&paths_in(&archive(&layers), "/nix/store").unwrap().paths), expected);
    }

    #[test]
    fn paths_and_sizes() {
        check(&[], "");
        check(&["etc/ etc/x=5 nix/ nix/store/"], "");
        check(
            &["nix/ nix/store/ nix/store/h-a/ nix/store/h-a/f=700 nix/store/h-a/d/g=33 nix/store/h-b=5"],
            "h-a=733 h-b=5",
        );
        check(&["/nix/store/h-a=1 ./nix/store/h-b=2 nix//store/./h-c=3"], "h-a=1 h-b=2 h-c=3");
        check(&["nix/store/.links/ nix/store/.links/x=9 nix/storehouse=3 gnu/store/h-a=3"], "");
        check(&["nix/store/h-a=1", "nix/store/h-b=2", "nix/store/h-c=link"], "h-a=1 h-b=2 h-c=0");
    }

    #[test]
    fn upper_layers_hide() {
        let below = "nix/ nix/store/ nix/store/h-a/ nix/store/h-a/f=7 nix/store/h-b=5";
        check(&[below, "nix/store/.wh.h-a"], "h-b=5");
        check(&[below, "nix/store/.wh.h-a nix/store/h-a=2"], "h-a=2 h-b=5");
        check(&[below, "nix/store/h-a/ nix/store/h-a/.wh.f"], "h-b=5");
        check(&[below, "nix/store/h-a/ nix/store/h-a/.wh..wh..opq nix/store/h-a/g=1"], "h-a=1 h-b=5");
        check(
            &[below, "nix/store/h-a/ nix/store/h-a/.wh.g nix/store/h-a/.wh..wh..opq nix/store/h-a/g=1"],
            "h-a=1 h-b=5",
        );
        check(&[below, "nix/store/h-a/ nix/store/h-a/d/.wh..wh..opq"], "h-b=5");
        for hides_all in [".wh.nix", ".wh..wh..opq", "nix/.wh.store", "nix/.wh..wh..opq", "nix/store/.wh..wh..opq"] {
            check(&[below, hides_all], "");
            check(&[below, &format!("nix/store/h-c=1 {hides_all}")], "h-c=1");
            check(&[hides_all, below], "h-a=7 h-b=5");
        }
        for replaces in ["nix=link", "nix/store=9"] {
            check(&[below, replaces], "");
        }
        for else_where in
            [".wh.nix2", "nix/.wh.var", "nix/store/.wh.h-c", "var/.wh..wh..opq", ".wh..wh.plnk", "nix/ nix/store/"]
        {
            check(&[below, else_where], "h-a=7 h-b=5");
        }
    }

    #[test]
    fn a_path_twice_has_its_larger_size() {
        check(&["nix/store/h-a=7", "nix/store/h-a=5"], "h-a=7");
        check(&["nix/store/h-a=5", "nix/store/h-a=7"], "h-a=7");
    }

    #[test]
    fn other_stores() {
        let layers = [layer("gnu/store/h-a=7 nix/store/h-b=2"), layer("gnu/.wh.store")];
        let [lower, both] = [archive(&layers[..1]), archive(&layers)];
        assert_eq!(text(&paths_in(&lower, "/gnu/store/").unwrap().paths), "h-a=7");
        assert_eq!(text(&paths_in(&both, "/gnu/store").unwrap().paths), "");
        let error = paths_in(&lower, "store").unwrap_err().to_string();
        assert_eq!(error, "not a store path: \"store\": expected an absolute store directory, such as /nix/store");
    }

    #[test]
    fn each_layer_compressed_or_not() {
        let plain = [layer("nix/store/h-a/ nix/store/h-a/f=70000"), layer("nix/store/h-b=3 nix/store/.wh.h-a")];
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&plain[0]).unwrap();
        let packed = [gzip.finish().unwrap(), zstd::encode_all(&plain[1][..], 3).unwrap()];
        for layers in [&plain, &packed] {
            let archive = archive_of(layers, &plain);
            let found = paths_in(&archive, "/nix/store").unwrap();
            assert_eq!(found.layers.iter().map(text).collect::<Vec<_>>(), ["h-a=70000", "h-b=3"]);
            assert_eq!(text(&found.paths), "h-b=3");
        }
    }

    #[test]
    fn layers_that_are_no_tars() {
        let whole = layer("nix/store/h-a=700");
        for (bytes, cause) in [
            (vec![b'x'; 512], "not a good tar: header at byte 0: wrong checksum"),
            (whole[..700].to_vec(), "not a whole tar: header at byte 0: the input ends at byte 700"),
        ] {
            let archive = archive(&[whole.clone(), bytes]);
            let error = paths_in(&archive, "/nix/store").unwrap_err().to_string();
            assert_eq!(error, format!("not a good layer: {}: 1/layer.tar: {cause}", archive.path().display()));
        }
        let mut cut = zstd::encode_all(&whole[..], 3).unwrap();
        cut.truncate(cut.len() - 9);
        assert!(paths_in(&archive_of(&[cut], &[whole]), "/nix/store").is_err());
    }
}
