//! The contents of one file of an image, from the layer that shows it.

use crate::{Error, Result, StoredImage, StoredLayer};
use layerstone_tar::{Kind, Members, PartReader};
use std::io::{self, BufReader, Write};

/// Bytes read of a layer at a time; members are passed over, so that more would be read in vain.
const BUFFER: usize = 16 * 1024;
/// Hard links that are followed from one member to the next.
const MAX_LINKS: usize = 40;

impl StoredImage {
    /// Writes the contents of a regular file that [`StoredImage::tree`] shows, by its name without a slash in front;
    /// false if no layer has such a file. Layers are plain.
    ///
    /// # Errors
    ///
    /// A layer cannot be read or is no tar, the file has more holes than the image may have when it is unpacked, or writing
    /// fails.
    pub fn copy_file(&self, name: &[u8], out: &mut dyn Write) -> Result<bool> {
        let mut name = name.to_vec();
        let mut links = 0;
        for layer in self.layers.iter().rev() {
            let wrong = || Error::layer(layer.part.name());
            while let Some((index, kind)) = last_member(layer, &name).map_err(wrong())? {
                match kind {
                    Kind::File { .. } => {
                        let mut member = open_member(layer, index).map_err(wrong())?;
                        self.check_zeros(member.holes())?;
                        member.copy_contents(out).map_err(wrong())?;
                        return Ok(true);
                    }
                    Kind::HardLink { target } if links < MAX_LINKS => (name, links) = (target.into(), links + 1),
                    _ => return Ok(false),
                }
            }
        }
        Ok(false)
    }
}

/// The last member of this name, by its number, since later ones replace those before them.
fn last_member(layer: &StoredLayer, name: &[u8]) -> io::Result<Option<(usize, Kind)>> {
    let mut members = Members::new(BufReader::with_capacity(BUFFER, layer.part.reader()));
    let mut found = None;
    let mut index = 0;
    while let Some(member) = members.next_member()? {
        if member.name == name {
            found = Some((index, member.kind));
        }
        members.pass_contents()?;
        index += 1;
    }
    Ok(found)
}

/// The members of a layer from that of this number on, which is read.
fn open_member(layer: &StoredLayer, index: usize) -> io::Result<Members<BufReader<PartReader>>> {
    let mut members = Members::new(BufReader::with_capacity(BUFFER, layer.part.reader()));
    for _ in 0..index {
        members.next_member()?;
        members.pass_contents()?;
    }
    members.next_member()?;
    Ok(members)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ImageFile, MaxUnpacked};
    use layerstone_oci::Location;
    use layerstone_store::Digest;
    use std::path::Path;

    /// A layer of files with their contents; with `->` before them, hard links, and with `~`, links.
    fn layer(members: &[(&str, &str)]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (name, contents) in members {
            let mut header = tar::Header::new_gnu();
            let link = [("->", tar::EntryType::Link), ("~", tar::EntryType::Symlink)]
                .into_iter()
                .find_map(|(mark, kind)| Some((contents.strip_prefix(mark)?, kind)));
            match link {
                Some((target, kind)) => {
                    header.set_entry_type(kind);
                    header.set_size(0);
                    tar.append_link(&mut header, name, target).unwrap();
                }
                None => {
                    header.set_size(contents.len() as u64);
                    tar.append_data(&mut header, name, contents.as_bytes()).unwrap();
                }
            }
        }
        tar.into_inner().unwrap()
    }

    fn image(layers: &[Vec<u8>], archive: &Path) -> StoredImage {
        let names: Vec<String> = (0..layers.len()).map(|index| format!("{index}/layer.tar")).collect();
        let diff_ids: Vec<Digest> = layers.iter().map(|layer| Digest::of(layer)).collect();
        let config = serde_json::json!({"rootfs": {"diff_ids": diff_ids}}).to_string();
        let manifest = serde_json::json!([{"Config": "c.json", "RepoTags": ["a:b"], "Layers": names}]).to_string();
        let mut tar = tar::Builder::new(std::fs::File::create(archive).unwrap());
        let members = names.iter().map(String::as_str).zip(layers.iter().map(Vec::as_slice));
        for (name, bytes) in members.chain([("c.json", config.as_bytes()), ("manifest.json", manifest.as_bytes())]) {
            let mut header = tar::Header::new_ustar();
            header.set_size(bytes.len() as u64);
            tar.append_data(&mut header, name, bytes).unwrap();
        }
        tar.finish().unwrap();
        let file = ImageFile::open(archive, MaxUnpacked::default()).unwrap();
        file.image(&Location::of(archive), &layerstone_oci::Wanted::new(None, None, None)).unwrap()
    }

    /// The contents of `f` in these layers, bottom first.
    #[track_caller]
    fn check(layers: &[&[(&str, &str)]], expected: Option<&str>) {
        let folder = tempfile::tempdir().unwrap();
        let layers: Vec<Vec<u8>> = layers.iter().map(|members| layer(members)).collect();
        let image = image(&layers, &folder.path().join("x.tar"));
        let mut found = Vec::new();
        let is_there = image.copy_file(b"f", &mut found).unwrap();
        assert_eq!(is_there.then_some(found.as_slice()), expected.map(str::as_bytes));
    }

    #[test]
    fn the_layer_that_shows_it() {
        let long = "x".repeat(200_000);
        check(&[&[("./f", "1"), ("g", "2")]], Some("1"));
        check(&[&[("f", "1")], &[("f", &long)], &[("g", "2")]], Some(&long));
        check(&[&[("f", "1"), ("f", "2"), ("g", "3")]], Some("2"));
        check(&[&[("f", "1")], &[(".wh.f", ""), ("f", "2")]], Some("2"));
        check(&[&[("g", "1")]], None);
        check(&[], None);
    }

    #[test]
    fn links() {
        check(&[&[("g", "1"), ("f", "->g")]], Some("1"));
        check(&[&[("g", "1")], &[("h", "->g"), ("f", "->h")]], Some("1"));
        check(&[&[("f", "->f")]], None);
        check(&[&[("f", "1")], &[("f", "~g")]], None);
    }

    #[test]
    fn a_layer_that_is_no_tar() {
        let folder = tempfile::tempdir().unwrap();
        let image = image(&[vec![b'x'; 1024]], &folder.path().join("x.tar"));
        let error = image.copy_file(b"f", &mut Vec::new()).unwrap_err().to_string();
        assert!(error.ends_with("0/layer.tar: not a good tar: header at byte 0: wrong checksum"), "{error}");
    }
}
