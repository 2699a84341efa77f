//! Reads and writes the layer file, `layerstone/layer`: what a layer is and where its bytes come from.
//!
//! See FORMAT.md beside this crate.

use crate::{CompressedBlob, CompressionParams, Descriptor, History, Recipe, media_type};
use layerstone_store::{
    Digest, Document, Error, Output, Result, StorePath, fill_stage_file, from_value, parse_document,
    prepare_stage_file, read_input, write_stage_file,
};
use serde::{Deserialize, Serialize};
use std::path::{Component, Path, PathBuf};

/// Format name of a layer file.
pub const LAYER_FORMAT: &str = "layerstone/layer";
/// Version of the format; a change makes older files unreadable (they are derived data: rerun the stage).
pub const LAYER_FORMAT_VERSION: u64 = 1;
/// The JSON Schema of a layer file (JSON Schema 2020-12). What its keys say of each other the parser alone checks.
pub const LAYER_SCHEMA: &str = include_str!("../schema.json");
/// The commands that write layer files, named when a file is of another version.
const RERUN: &str = "layerstone layer";
/// One layer of an image: its identity, and exactly one of a blob beside the file and a recipe to make it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LayerFile {
    /// sha256 of the uncompressed tar (OCI image-spec, config.md, "Layer DiffID").
    pub diff_id: Digest,
    /// Size of the uncompressed tar in bytes.
    pub size: u64,
    /// What a manifest says of the blob (OCI image-spec, descriptor.md): the tar, compressed as the media type says.
    pub descriptor: Descriptor,
    /// What made the blob of the tar; none if they are the same, or if somebody else compressed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<CompressionParams>,
    /// Path of the blob, relative to the layer file's directory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blob: Option<String>,
    /// What makes the same bytes from the store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipe: Option<Recipe>,
    /// Store paths that the layer holds, in the order of the tar.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub store_paths: Vec<StorePath>,
    /// Store paths that the layer refers to, sorted: what an image must hold besides this layer. Known for
    /// customisation layers only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<StorePath>,
    /// What the history of an image says about the layer.
    #[serde(flatten)]
    pub history: History,
    /// docker's tarsum of the tar, `tarsum.v1+sha256:…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tarsum: Option<String>,
}

impl LayerFile {
    /// A layer file for an uncompressed tar, neither blob nor recipe set yet.
    pub fn new(diff_id: Digest, size: u64) -> LayerFile {
        LayerFile {
            diff_id,
            size,
            descriptor: Descriptor::layer(None, diff_id, size),
            compression: None,
            blob: None,
            recipe: None,
            store_paths: Vec::new(),
            references: Vec::new(),
            history: History::default(),
            tarsum: None,
        }
    }

    /// A layer file for a layer that was compressed, of a tar of so many bytes.
    pub fn compressed(blob: &CompressedBlob, size: u64, params: CompressionParams) -> LayerFile {
        let descriptor = blob.descriptor(Some(params));
        LayerFile { descriptor, compression: Some(params), ..LayerFile::new(blob.diff_id, size) }
    }

    /// Whether the blob is the tar itself.
    pub fn is_plain(&self) -> bool {
        self.descriptor.digest == self.diff_id
    }

    /// Where the blob is, for a layer file at `path`.
    pub fn blob_path(&self, path: &Path) -> Option<PathBuf> {
        let directory = path.parent().unwrap_or(Path::new(""));
        self.blob.as_ref().map(|blob| directory.join(blob))
    }

    /// Names the file at `blob` as this layer's, for a layer file to be written at `path` (`-`: the current directory).
    ///
    /// # Errors
    ///
    /// The directory of either is not there, or the way from one to the other is not UTF-8.
    pub fn set_blob(&mut self, path: &Path, blob: &Path) -> Result<()> {
        let directory = |file: &Path| {
            let directory = file.parent().filter(|directory| *directory != Path::new("")).unwrap_or(Path::new("."));
            directory.canonicalize().map_err(Error::io("find the directory", file))
        };
        let name = blob.file_name().unwrap_or_default();
        let way = relative(&directory(path)?, &directory(blob)?).join(name);
        let text = way.to_str().ok_or_else(|| Error::Malformed {
            format: LAYER_FORMAT,
            name: path.display().to_string(),
            cause: format!("blob {} is not UTF-8", way.display()),
        })?;
        self.blob = Some(text.to_owned());
        Ok(())
    }

    /// Reads a layer file.
    pub fn read(path: &Path) -> Result<LayerFile> {
        LayerFile::parse(&read_input(path)?, &path.display().to_string())
    }

    /// The layer file in these bytes; `name` stands in messages.
    pub fn parse(bytes: &[u8], name: &str) -> Result<LayerFile> {
        let malformed = |cause: String| Error::Malformed { format: LAYER_FORMAT, name: name.to_owned(), cause };
        let layer: LayerFile = match parse_document(bytes, name, LAYER_FORMAT, LAYER_FORMAT_VERSION, RERUN)? {
            Document::Ours(value) => from_value(value, LAYER_FORMAT, name)?,
            Document::Bare(_) => return Err(malformed("found no format, expected \"layerstone/layer\"".to_owned())),
        };
        if layer.blob.is_some() == layer.recipe.is_some() {
            let found = if layer.blob.is_some() { "both" } else { "neither" };
            return Err(malformed(format!("found {found} of blob and recipe, expected exactly one")));
        }
        layer.check_compression().map_err(&malformed)?;
        if let Some(blob) = layer.blob.as_deref().filter(|blob| blob.is_empty() || blob.starts_with('/')) {
            return Err(malformed(format!(
                "found blob {blob:?}, expected a path relative to the layer file's directory"
            )));
        }
        Ok(layer)
    }

    /// The descriptor, the tar and what makes one of the other must fit.
    fn check_compression(&self) -> Result<(), String> {
        let params = self.compression;
        let Descriptor { media_type: found, size, .. } = &self.descriptor;
        if let Some(params) = params.filter(|params| !params.levels().contains(&params.level())) {
            let (level, levels) = (params.level(), params.levels());
            return Err(format!("compression.level: found {level}, expected {} to {}", levels.start(), levels.end()));
        }
        if self.is_plain() && (params.is_some() || *size != self.size) {
            return Err("found a compressed layer that has the digest of its tar".to_owned());
        }
        if !self.is_plain() && params.is_none() && self.recipe.is_some() {
            return Err("found a compressed layer, expected its blob or how it is compressed".to_owned());
        }
        let expected = media_type::layer(params);
        if found.is_empty() || params.is_some() && found != expected {
            return Err(format!("descriptor.mediaType: found {found:?}, expected {expected:?}"));
        }
        Ok(())
    }

    /// Starts a layer file: all of it on the disk, but not under its name until it is committed.
    pub fn prepare(&self, path: &Path) -> Result<Output> {
        prepare_stage_file(path, LAYER_FORMAT, LAYER_FORMAT_VERSION, self)
    }

    /// Writes a layer file into an output that was started.
    pub fn fill(&self, output: &mut Output) -> Result<()> {
        fill_stage_file(output, LAYER_FORMAT, LAYER_FORMAT_VERSION, self)
    }

    /// Writes a layer file; `-` is standard output.
    pub fn write(&self, path: &Path) -> Result<()> {
        write_stage_file(path, LAYER_FORMAT, LAYER_FORMAT_VERSION, self)
    }
}

/// The way from one directory to another, both absolute and without links.
fn relative(from: &Path, to: &Path) -> PathBuf {
    let common = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    let up = from.components().skip(common).map(|_| Component::ParentDir);
    up.chain(to.components().skip(common)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use layerstone_tar::Owner;

    fn read(body: serde_json::Value) -> Result<LayerFile> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.layer.json");
        write_stage_file(&path, LAYER_FORMAT, LAYER_FORMAT_VERSION, &body).unwrap();
        LayerFile::read(&path)
    }

    #[test]
    fn exactly_one_of_blob_and_recipe() {
        let mut layer = LayerFile::new(Digest::of(b""), 0);
        let error = read(serde_json::to_value(&layer).unwrap()).unwrap_err().to_string();
        assert!(error.ends_with("found neither of blob and recipe, expected exactly one"), "{error}");
        layer.blob = Some("x.tar".to_owned());
        assert_eq!(read(serde_json::to_value(&layer).unwrap()).unwrap(), layer);
        layer.recipe =
            Some(Recipe { store: "/s".to_owned(), paths: vec![], mtime: 1, owner: Owner::root(), xattrs: false });
        assert!(read(serde_json::to_value(&layer).unwrap()).is_err());
        layer.blob = None;
        assert_eq!(read(serde_json::to_value(&layer).unwrap()).unwrap(), layer);
        layer.recipe = None;
        layer.blob = Some("/etc/passwd".to_owned());
        assert!(read(serde_json::to_value(&layer).unwrap()).is_err());
    }

    #[test]
    fn a_descriptor_has_a_media_type() {
        let mut layer =
            serde_json::to_value(LayerFile { blob: Some("x".to_owned()), ..LayerFile::new(Digest::of(b""), 0) });
        let layer = layer.as_mut().unwrap();
        assert!(read(layer.clone()).is_ok());
        layer["descriptor"].as_object_mut().unwrap().remove("mediaType");
        let error = read(layer.clone()).unwrap_err().to_string();
        assert!(error.contains("descriptor.mediaType: found \"\", expected"), "{error}");
    }

    #[test]
    fn blobs_are_named_from_the_layer_file() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("a/b")).unwrap();
        std::fs::create_dir_all(dir.path().join("c")).unwrap();
        let mut layer = LayerFile::new(Digest::of(b""), 0);
        for (blob, expected) in [("a/b/x.tar", "x.tar"), ("a/x.tar", "../x.tar"), ("c/x.tar", "../../c/x.tar")] {
            let file = dir.path().join("a/b/x.layer.json");
            layer.set_blob(&file, &dir.path().join(blob)).unwrap();
            assert_eq!(layer.blob.as_deref(), Some(expected));
            let found = layer.blob_path(&file).unwrap();
            assert_eq!(found.parent().unwrap().canonicalize().unwrap(), dir.path().join(blob).parent().unwrap());
        }
        assert!(layer.set_blob(&dir.path().join("absent/x"), Path::new("/x.tar")).is_err());
    }
}
