//! Images of several files in one docker archive: every image once, with all its tags, and every layer once.
//!
//! Configs are kept to the byte, so image IDs stay. Images are the same if their configs are, layers if their diff IDs
//! are; a layer is read where it comes first, or where it is plain.

use crate::archive::{config_name, layer_name};
use crate::error::Claim;
use crate::manifest::{MANIFEST_NAME, manifest_entry, manifest_text};
use crate::stored::MTIME;
use crate::unpacking::unpack_all;
use crate::{Archive, Compression, Error, LayerMember, Result, StoredImage, StoredLayer, Trailer};
use layerstone_layer::{Progress, Source};
use layerstone_oci::{Location, Reference};
use layerstone_store::{Digest, Limits};
use std::collections::BTreeMap;

/// Images on their way into one archive.
#[derive(Debug, Default)]
pub struct Merge {
    /// In order of first appearance.
    images: Vec<MergedImage>,
    /// All layers, in order of first use.
    layers: Vec<StoredLayer>,
    /// Who has a tag, by its full name.
    claims: BTreeMap<String, Claim>,
}

/// One of these images.
#[derive(Clone, Debug)]
pub struct MergedImage {
    /// sha256 of the config.
    pub image_id: Digest,
    /// `NAME:TAG`, in order of first appearance.
    pub tags: Vec<String>,
    config: Vec<u8>,
    /// Diff IDs, bottom first.
    layers: Vec<Digest>,
}

impl Merge {
    /// Adds an image from there, with all its tags, or with those that the location names.
    ///
    /// # Errors
    ///
    /// It is called what no image in a docker archive can be called, or as another image is. Nothing can be made of the
    /// merge then.
    pub fn add(&mut self, location: &Location, image: StoredImage) -> Result<()> {
        let tags = tags(location, &image.references)?;
        let existing = self.images.iter().position(|other| other.image_id == image.image_id);
        let index = existing.unwrap_or_else(|| self.put(image));
        tags.into_iter().try_for_each(|tag| self.claim(tag, index, location))
    }

    /// The images, in the order of the archive.
    pub fn images(&self) -> &[MergedImage] {
        &self.images
    }

    /// Unpacks the compressed layers into temporary files, several at once, and checks their bytes. `progress` counts the
    /// bytes that were written.
    ///
    /// # Errors
    ///
    /// As for [`StoredImage::unpack`].
    pub fn unpack(&mut self, limits: Limits, progress: &Progress) -> Result<()> {
        unpack_all(&mut self.layers, limits, progress)
    }

    /// The archive to write, with layers that are plain; their bytes are checked while they are written.
    pub fn archive(&self) -> Archive<'static> {
        let member = |layer: &StoredLayer| {
            LayerMember::new(Source::Part(layer.part.clone()), Some(layer.diff_id), layer.part.name())
        };
        Archive { before: &[], layers: self.layers.iter().map(member).collect(), mtime: MTIME }
    }

    /// What follows the layers: the configs and the manifest.
    pub fn trailer(&self) -> Trailer {
        let entry = |image: &MergedImage| {
            let layer_names: Vec<String> = image.layers.iter().map(layer_name).collect();
            manifest_entry(&config_name(&image.image_id), &image.tags, &layer_names)
        };
        let manifest = manifest_text(self.images.iter().map(entry).collect());
        let configs = self.images.iter().map(|image| (config_name(&image.image_id), image.config.clone()));
        configs.chain([(MANIFEST_NAME.to_owned(), manifest)]).collect()
    }

    /// Puts in a new image, without a tag; its index.
    fn put(&mut self, image: StoredImage) -> usize {
        let StoredImage { image_id, config_bytes, layers, .. } = image;
        let diff_ids = layers.iter().map(|layer| layer.diff_id).collect();
        for layer in layers {
            match self.layers.iter_mut().find(|other| other.diff_id == layer.diff_id) {
                None => self.layers.push(layer),
                Some(existing)
                    if existing.compression != Compression::None && layer.compression == Compression::None =>
                {
                    *existing = layer;
                }
                Some(_) => {}
            }
        }
        self.images.push(MergedImage { image_id, tags: Vec::new(), config: config_bytes, layers: diff_ids });
        self.images.len() - 1
    }

    /// Gives a tag to the image of this index.
    fn claim(&mut self, tag: String, index: usize, location: &Location) -> Result<()> {
        let image = &mut self.images[index];
        let claim = Claim { file: location.path.clone(), image_id: image.image_id };
        let full = Reference::unchecked(&tag).full().to_string();
        match self.claims.get(&full) {
            None => {
                self.claims.insert(full, claim);
                image.tags.push(tag);
                Ok(())
            }
            Some(first) if first.image_id == claim.image_id => Ok(()),
            Some(first) => Err(Error::TagTwice { tag, first: Box::new(first.clone()), second: Box::new(claim) }),
        }
    }
}

/// Those of an image's names that are its tags in a docker archive: the ones that the location names, or all.
///
/// In an OCI layout a name may be a tag only, which says nothing new beside a complete `NAME:TAG` (BuildKit writes both).
fn tags(location: &Location, references: &[String]) -> Result<Vec<String>> {
    let complete: Vec<&String> = references.iter().filter(|text| Reference::parse_tagged(text).is_ok()).collect();
    let is_bare = |text: &str| !text.contains([':', '/', '@']);
    for text in references.iter().filter(|text| complete.is_empty() || !is_bare(text)) {
        let no_tag = |cause| Error::NoTag { text: text.clone(), path: location.path.clone(), cause };
        Reference::parse_tagged(text).map_err(|error| no_tag(error.cause))?;
    }
    let named: Vec<&String> = complete.iter().copied().filter(|text| location.matches(text)).collect();
    Ok(if named.is_empty() { complete } else { named }.into_iter().cloned().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ImageFile, Target};
    use layerstone_layer::CompressionParams;
    use layerstone_oci::Wanted;
    use serde_json::{Value, json};
    use std::io::Write;
    use std::path::Path;
    use tempfile::NamedTempFile;

    /// Layers by the letter that they hold, with a `z` before it if they are compressed; their names and bytes.
    fn layer(letter: &str) -> (String, Vec<u8>, Digest) {
        let plain = letter.trim_start_matches('z').as_bytes().repeat(1000);
        let bytes = if letter.starts_with('z') { CompressionParams::GZIP.store(&plain) } else { plain.clone() };
        (format!("{letter}/layer.tar"), bytes, Digest::of(&plain))
    }

    /// A docker archive of images: the command that tells them apart, their tags, their layers.
    fn archive(images: &[(&str, &[&str], &str)]) -> NamedTempFile {
        let mut tar = tar::Builder::new(NamedTempFile::new().unwrap());
        let mut append = |name: &str, bytes: &[u8]| {
            let mut header = tar::Header::new_gnu();
            header.set_size(bytes.len() as u64);
            tar.append_data(&mut header, name, bytes).unwrap();
        };
        let mut manifest = Vec::new();
        for (command, tags, letters) in images {
            let layers: Vec<_> = letters.split_whitespace().map(layer).collect();
            layers.iter().for_each(|(name, bytes, _)| append(name, bytes));
            let diff_ids: Vec<Digest> = layers.iter().map(|(_, _, diff_id)| *diff_id).collect();
            let config = json!({"config": {"Cmd": [command]}, "rootfs": {"diff_ids": diff_ids}}).to_string();
            append(&format!("{command}.config"), config.as_bytes());
            let names: Vec<&str> = layers.iter().map(|(name, _, _)| name.as_str()).collect();
            let tags = Some(tags).filter(|tags| !tags.is_empty());
            manifest.push(json!({"Config": format!("{command}.config"), "RepoTags": tags, "Layers": names}));
        }
        append("manifest.json", json!(manifest).to_string().as_bytes());
        tar.into_inner().unwrap()
    }

    fn add(merge: &mut Merge, location: &Location) -> Result<()> {
        let file = ImageFile::open(&location.path, Limits::default())?;
        let images = if location.reference().is_some() {
            vec![file.image(location, &Wanted::new(None, None, None))?]
        } else {
            file.images()?
        };
        images.into_iter().try_for_each(|image| merge.add(location, image))
    }

    fn merged(locations: &[Location]) -> Result<Merge> {
        let mut merge = Merge::default();
        locations.iter().try_for_each(|location| add(&mut merge, location))?;
        merge.unpack(Limits::default(), &Progress::default())?;
        Ok(merge)
    }

    fn written(merge: &Merge) -> layerstone_layer::Result<NamedTempFile> {
        let (mut bytes, path) = (Vec::new(), Path::new("out"));
        let target = Target::Pipe(&mut bytes, path);
        merge.archive().write(target, None, &|_| merge.trailer(), &Progress::default())?;
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(&bytes).unwrap();
        Ok(file)
    }

    fn location(file: &NamedTempFile, name: &str) -> Location {
        format!("{}#{name}", file.path().display()).parse().unwrap()
    }

    /// Tags of the images, and the commands of their configs, as the manifest of the merged archive has them.
    fn contents(file: &NamedTempFile) -> Value {
        let images = ImageFile::open(file.path(), Limits::default()).unwrap().images().unwrap();
        let content = |image: &StoredImage| {
            let names: Vec<&str> = image.layers.iter().map(|layer| &*layer.name).collect();
            let by_diff_id = |diff_id: Digest| format!("{}/layer.tar", diff_id.hex());
            let expected: Vec<_> = image.layers.iter().map(|layer| by_diff_id(layer.diff_id)).collect();
            assert_eq!(names, expected);
            json!([image.config["config"]["Cmd"][0], image.references])
        };
        images.iter().map(content).collect()
    }

    fn members(file: &NamedTempFile) -> Vec<String> {
        let mut tar = tar::Archive::new(file.reopen().unwrap());
        let names = tar.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().to_str().unwrap().to_owned());
        names.collect()
    }

    #[test]
    fn images_and_layers_once() {
        let a = archive(&[("x", &["a:1", "a:2"], "p q"), ("y", &[], "q zr")]);
        let b = archive(&[("z", &["b:1"], "r p p"), ("x", &["a:2", "docker.io/library/a:1", "c:1"], "p q")]);
        let merge = merged(&[location(&a, ""), location(&b, "")]).unwrap();
        let file = written(&merge).unwrap();
        assert_eq!(contents(&file), json!([["x", ["a:1", "a:2", "c:1"]], ["y", []], ["z", ["b:1"]]]));
        let images = merge.images().iter().map(|image| format!("{}.json", image.image_id.hex()));
        let layers = ["p", "q", "r"].map(|letter| format!("{}/layer.tar", layer(letter).2.hex()));
        let expected: Vec<String> = layers.into_iter().chain(images).chain(["manifest.json".to_owned()]).collect();
        assert_eq!(members(&file), expected);
        // Merged with itself it is what it was.
        let again = written(&merged(&[location(&file, ""), location(&file, "")]).unwrap()).unwrap();
        assert_eq!(std::fs::read(again.path()).unwrap(), std::fs::read(file.path()).unwrap());
    }

    #[test]
    fn a_name_takes_one_image_and_its_tags() {
        let file = archive(&[("x", &["a:1", "a:2", "b:1"], "p"), ("y", &["c:1"], "q")]);
        for (name, tags) in [("a:2", json!(["a:2"])), ("a", json!(["a:1", "a:2"])), (":1", json!(null))] {
            match merged(&[location(&file, name)]) {
                Ok(merge) => assert_eq!(contents(&written(&merge).unwrap()), json!([["x", tags]]), "{name}"),
                Err(Error::SeveralImages { .. }) => assert_eq!((name, tags), (":1", json!(null))),
                Err(error) => panic!("{name}: {error}"),
            }
        }
        assert!(matches!(merged(&[location(&file, "d:1")]), Err(Error::NoSuchImage { .. })));
    }

    #[test]
    fn a_tag_has_one_image() {
        let (a, b) = (archive(&[("x", &["a:1"], "p")]), archive(&[("y", &["b:1", "docker.io/library/a:1"], "p")]));
        let error = merged(&[location(&a, ""), location(&b, "")]).unwrap_err().to_string();
        let id = |file: &NamedTempFile| merged(&[location(file, "")]).unwrap().images()[0].image_id;
        let [first, second] = [&a, &b].map(|file| format!("{} has {}", file.path().display(), id(file)));
        assert_eq!(error, format!("two images of one tag: docker.io/library/a:1: {first}, {second}"));
        let merge = merged(&[location(&a, ""), location(&b, "b")]).unwrap();
        assert_eq!(contents(&written(&merge).unwrap()), json!([["x", ["a:1"]], ["y", ["b:1"]]]));
    }

    #[track_caller]
    fn check_tags(name: &str, references: &[&str], expected: Result<&[&str], &str>) {
        let references: Vec<String> = references.iter().map(|text| (*text).to_owned()).collect();
        let found = tags(&format!("f#{name}").parse().unwrap(), &references).map_err(|e| e.to_string());
        let expected = expected.map(|tags| tags.iter().map(|tag| (*tag).to_owned()).collect::<Vec<_>>());
        assert_eq!(found, expected.map_err(str::to_owned));
    }

    #[test]
    fn names_of_oci_layouts() {
        check_tags("", &[], Ok(&[]));
        check_tags("", &["docker.io/library/a:1", "1"], Ok(&["docker.io/library/a:1"]));
        check_tags("1", &["docker.io/library/a:1", "1"], Ok(&["docker.io/library/a:1"]));
        check_tags("", &["1"], Err("no tag for a docker archive: \"1\": f: expected NAME:TAG"));
        check_tags("", &["x/y", "a:1"], Err("no tag for a docker archive: \"x/y\": f: expected NAME:TAG"));
        assert!(tags(&Location::of("f"), &["A:1".to_owned()]).is_err());
    }

    /// The bytes of a layer that is read are checked, compressed or not.
    #[test]
    fn flipped_bytes() {
        for (letter, what) in [("p", "wrong digest"), ("zp", "cannot unpack")] {
            let file = archive(&[("x", &["a:1"], letter)]);
            let mut bytes = std::fs::read(file.path()).unwrap();
            // In the middle of the first member's contents.
            bytes[512 + 500] ^= 1;
            std::fs::write(file.path(), bytes).unwrap();
            let error = match merged(&[location(&file, "")]) {
                Ok(merge) => written(&merge).unwrap_err().to_string(),
                Err(error) => error.to_string(),
            };
            let expected = format!("{what}: {}: {letter}/layer.tar: ", file.path().display());
            assert!(error.starts_with(&expected), "{error}");
        }
    }
}
