//! What a file of images holds, in short, for people and programs to look at.

use crate::{Artifact, Compression, Error, ImageFile, Result, StoredImage, StoredLayer};
use layerstone_oci::{Descriptor, Manifest, Platform, STORE_PATHS, StoredManifest};
use layerstone_store::Digest;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A docker archive or an OCI layout.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ArchiveSummary {
    /// How the whole archive is compressed.
    pub compression: Compression,
    /// Its images, in the manifest's order.
    pub images: Vec<ImageSummary>,
    /// What an OCI layout lists besides, such as what is attached to images.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub artifacts: Vec<Artifact>,
}

/// An image.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageSummary {
    /// sha256 of the config: what docker calls the image ID.
    pub image_id: Digest,
    /// The digest of its manifest; none in a docker archive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// What it is called.
    pub repo_tags: Vec<String>,
    /// `OS/ARCH[/VARIANT]`, if the config says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// The image that its manifest says it is built on (OCI image-spec, annotations.md).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// What refers to it, as far as that was looked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub referrers: Vec<Descriptor>,
    /// Its layers, bottom first.
    pub layers: Vec<LayerSummary>,
    /// The whole config.
    pub config: Value,
}

/// A layer of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LayerSummary {
    /// Name of its member in the archive.
    pub name: String,
    /// What the config says is the sha256 of the uncompressed tar; not checked.
    pub diff_id: Digest,
    /// Bytes that it has in the archive.
    pub size: u64,
    /// How it is compressed there.
    pub compression: Compression,
    /// What the history says about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// The store paths that it holds, as far as an annotation or the history names them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub store_paths: Vec<String>,
}

/// The parts of an image config that a summary needs (OCI image-spec, config.md).
#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    history: Option<Vec<HistoryEntry>>,
}

#[derive(Deserialize)]
struct HistoryEntry {
    #[serde(default)]
    comment: Option<String>,
    #[serde(default)]
    created_by: Option<String>,
    #[serde(default)]
    empty_layer: bool,
}

impl ArchiveSummary {
    /// All images and artifacts of a file or directory that is open, in short.
    ///
    /// # Errors
    ///
    /// Something that its table of contents names is not there or not what it must be.
    pub fn of(file: &ImageFile) -> Result<ArchiveSummary> {
        let images: Result<_> = file.images()?.iter().map(|image| ImageSummary::within(image, file)).collect();
        Ok(ArchiveSummary { compression: file.compression(), images: images?, artifacts: file.artifacts().to_vec() })
    }
}

impl ImageSummary {
    /// An image that is there, in short.
    pub fn of(image: &StoredImage) -> Result<ImageSummary> {
        let layer = |layer: &StoredLayer| LayerSummary {
            name: layer.name.clone(),
            diff_id: layer.diff_id,
            size: layer.part.size(),
            compression: layer.compression,
            comment: None,
            store_paths: Vec::new(),
        };
        let manifest = image.manifest.as_ref();
        let summary = ImageSummary {
            image_id: image.image_id,
            digest: manifest.map(|manifest| manifest.descriptor.digest),
            platform: Platform::of_config(&image.config).map(|platform| platform.to_string()),
            base: manifest.and_then(|stored| base(&stored.manifest)),
            repo_tags: image.references.clone(),
            referrers: Vec::new(),
            layers: image.layers.iter().map(layer).collect(),
            config: image.config.clone(),
        };
        summary.with_history(manifest.map(|stored| &stored.manifest), &image.name)
    }

    /// An image of a file, with what refers to it there.
    pub fn within(image: &StoredImage, file: &ImageFile) -> Result<ImageSummary> {
        let summary = ImageSummary::of(image)?;
        let referrers = summary.digest.map(|digest| file.referrers(&digest)).transpose()?.unwrap_or_default();
        Ok(ImageSummary { referrers, ..summary })
    }

    /// An image somewhere else, by its manifest and config alone; `name` is what it is called there.
    ///
    /// # Errors
    ///
    /// The config is none, or has not as many diff IDs as the manifest has layers.
    pub fn of_manifest(stored: &StoredManifest, config: &[u8], name: &str) -> Result<ImageSummary> {
        let manifest = &stored.manifest;
        let wrong = |cause: String| Error::NotAnImage { path: name.into(), cause };
        let parsed: Value = serde_json::from_slice(config).map_err(|e| wrong(format!("image config: {e}")))?;
        let diff_ids = parsed.pointer("/rootfs/diff_ids").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let (found, expected) = (diff_ids.len(), manifest.layers.len());
        if found != expected {
            return Err(wrong(format!("image config: found {found} diff IDs, expected {expected}")));
        }
        let layer = |(descriptor, diff_id): (&Descriptor, &Value)| {
            let text = diff_id.as_str().and_then(|text| text.parse().ok());
            let diff_id = text.ok_or_else(|| wrong("image config: found a diff ID that is no digest".to_owned()))?;
            let compression = compression_of(&descriptor.media_type);
            let (name, size) = (descriptor.digest.to_string(), descriptor.size);
            Ok(LayerSummary { name, diff_id, size, compression, comment: None, store_paths: Vec::new() })
        };
        let layers = manifest.layers.iter().zip(diff_ids).map(layer).collect::<Result<_>>()?;
        let repo_tags = vec![name.to_owned()];
        let summary = ImageSummary {
            image_id: Digest::of(config),
            digest: Some(stored.descriptor.digest),
            repo_tags,
            platform: Platform::of_config(&parsed).map(|platform| platform.to_string()),
            base: base(manifest),
            referrers: Vec::new(),
            layers,
            config: parsed,
        };
        summary.with_history(Some(manifest), name)
    }

    /// The same with what the history, and the manifest if there is one, say about each layer.
    fn with_history(mut self, manifest: Option<&Manifest>, name: &str) -> Result<ImageSummary> {
        let wrong = |e: serde_json::Error| Error::NotAnImage { path: name.into(), cause: format!("image config: {e}") };
        let config: Config = serde_json::from_value(self.config.clone()).map_err(wrong)?;
        let history = config.history.unwrap_or_default();
        let mut comments = history.into_iter().filter(|entry| !entry.empty_layer).map(HistoryEntry::text);
        for layer in &mut self.layers {
            layer.comment = comments.next().flatten();
            layer.store_paths = layer.comment.as_deref().map(paths_in).unwrap_or_default();
        }
        let described = manifest.map_or(&[][..], |manifest| &manifest.layers);
        for (layer, descriptor) in self.layers.iter_mut().zip(described) {
            if let Some(paths) = descriptor.annotations.get(STORE_PATHS) {
                layer.store_paths = paths.split(' ').map(str::to_owned).collect();
            }
        }
        Ok(self)
    }
}

/// The image that a manifest says it is built on.
fn base(manifest: &Manifest) -> Option<String> {
    manifest.annotations.get("org.opencontainers.image.base.name").cloned()
}

/// The store paths that a comment of nixpkgs' `stream_layered_image.py` names: `store paths: ['/nix/store/…']`, a list as
/// Python writes it. No store path has a quote in its name.
fn paths_in(comment: &str) -> Vec<String> {
    let list = comment.strip_prefix("store paths: [").and_then(|rest| rest.strip_suffix(']'));
    let quoted = list.unwrap_or_default().split('\'').skip(1).step_by(2);
    quoted.filter(|path| path.starts_with('/')).map(str::to_owned).collect()
}

/// How a layer of a media type is compressed (OCI image-spec, media-types.md; docker's end in `.gzip`).
fn compression_of(media_type: &str) -> Compression {
    match media_type.rsplit(['+', '.']).next() {
        Some("gzip") => Compression::Gzip,
        Some("zstd") => Compression::Zstd,
        _ => Compression::None,
    }
}

impl HistoryEntry {
    /// The comment, or else the command that made the layer, which is all that docker's own builder tells.
    fn text(self) -> Option<String> {
        let full = |text: &String| !text.is_empty();
        self.comment.filter(full).or(self.created_by.filter(full))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use layerstone_store::Limits;
    use serde_json::json;
    use std::io::Write;

    fn summary(members: &[(&str, &[u8])]) -> Result<ArchiveSummary> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let mut tar = tar::Builder::new(Vec::new());
        for (name, bytes) in members {
            let mut header = tar::Header::new_ustar();
            header.set_size(bytes.len() as u64);
            tar.append_data(&mut header, name, *bytes).unwrap();
        }
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&tar.into_inner().unwrap()).unwrap();
        file.write_all(&gzip.finish().unwrap()).unwrap();
        ArchiveSummary::of(&ImageFile::open(file.path(), Limits::default())?)
    }

    const CONFIG: &[u8] = br#"{"architecture":"amd64","config":{"Cmd":["/x"]},
        "rootfs":{"diff_ids":["sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"]},
        "history":[{"comment":"store paths: []"},{"created_by":"ENV","empty_layer":true},{"created_by":"COPY"}]}"#;
    const MANIFEST: &[u8] = br#"[{"Config":"c","RepoTags":["a:b"],"Layers":["l1","l2"]}]"#;

    #[test]
    fn images_and_layers() {
        let members = [("l1", &b"0123456789"[..]), ("l2", b"\x1f\x8b"), ("c", CONFIG), ("manifest.json", MANIFEST)];
        let summary = summary(&members).unwrap();
        assert_eq!(summary.compression, Compression::Gzip);
        let image = &summary.images[0];
        assert_eq!((image.image_id, &image.repo_tags[..]), (Digest::of(CONFIG), &["a:b".to_owned()][..]));
        assert_eq!(image.config["config"], json!({"Cmd": ["/x"]}));
        let layer = |name: &str, size, compression, comment: &str| LayerSummary {
            name: name.to_owned(),
            diff_id: Digest::of(b""),
            size,
            compression,
            comment: Some(comment.to_owned()),
            store_paths: Vec::new(),
        };
        let expected =
            [layer("l1", 10, Compression::None, "store paths: []"), layer("l2", 2, Compression::Gzip, "COPY")];
        assert_eq!(image.layers, expected);
        let json = serde_json::to_value(&summary).unwrap();
        assert_eq!(json["images"][0]["layers"][1]["compression"], "gzip");
        assert_eq!(json["images"][0]["imageId"], json!(Digest::of(CONFIG)));
    }

    #[test]
    fn store_paths_of_a_comment() {
        assert_eq!(paths_in("store paths: ['/nix/store/a-b', '/nix/store/c-d']"), ["/nix/store/a-b", "/nix/store/c-d"]);
        for none in ["store paths: []", "", "it's", "store paths: ['x']", "customisation layer"] {
            assert_eq!(paths_in(none), [""; 0], "{none}");
        }
    }

    #[test]
    fn what_the_manifest_names_must_be_there() {
        let error = summary(&[("c", CONFIG), ("manifest.json", MANIFEST)]).unwrap_err().to_string();
        assert!(error.ends_with(": found no l1"), "{error}");
        let error = summary(&[("index.json", b"{}")]).unwrap_err().to_string();
        assert!(error.contains(": index.json: missing field `manifests`"), "{error}");
        let error = summary(&[("x.json", b"{}")]).unwrap_err().to_string();
        assert!(
            error.ends_with(": found no manifest.json of a docker archive and no index.json of an OCI layout"),
            "{error}"
        );
        let error = summary(&[("manifest.json", b"{}")]).unwrap_err().to_string();
        assert!(error.contains(": manifest.json: invalid type"), "{error}");
    }
}
