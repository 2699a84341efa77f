//! Reads and writes manifests of images and indexes of manifests (OCI image-spec, manifest.md, image-index.md).
//!
//! What we write is compact JSON with keys in the order of the spec, so that the same image has the same digest.

use crate::referrer::empty_config;
use crate::{Descriptor, Error, Result, media_type};
use layerstone_layer::or_null;
use layerstone_store::Limits;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The manifest of one image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", expecting = "an object")]
pub struct Manifest {
    #[serde(default = "schema_version")]
    schema_version: u64,
    /// What it is; may be left out of OCI's.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub media_type: String,
    /// What it is if it is no image (image-spec, manifest.md, "Guidelines for Artifact Usage").
    #[serde(default, skip_serializing_if = "Option::is_none")]
    artifact_type: Option<String>,
    /// The image config.
    pub config: Descriptor,
    /// The layers, bottom first; some tools leave out an empty list, or write null for it.
    #[serde(default, deserialize_with = "or_null")]
    pub layers: Vec<Descriptor>,
    /// What an artifact is attached to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Descriptor>,
    /// What is said of the image.
    #[serde(default, deserialize_with = "or_null", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// The manifest of an image, with the bytes that its digest is of.
#[derive(Clone, Debug)]
pub struct StoredManifest {
    /// What names it.
    pub descriptor: Descriptor,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// What they say.
    pub manifest: Manifest,
}

impl StoredManifest {
    /// A manifest that was made, with its bytes.
    pub fn of(manifest: Manifest) -> StoredManifest {
        let bytes = manifest.to_bytes();
        StoredManifest { descriptor: Descriptor::of(&manifest.media_type, &bytes), bytes, manifest }
    }
}

/// An index of manifests; `D` is what its entries are read as.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", expecting = "an object")]
pub struct Index<D = Descriptor> {
    #[serde(default = "schema_version")]
    schema_version: u64,
    /// What it is; may be left out of OCI's.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub media_type: String,
    /// Manifests, or other indexes.
    pub manifests: Vec<D>,
    /// What is said of the index.
    #[serde(default, deserialize_with = "or_null", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// All else that is said of it, as it was said.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// The version that all manifests have by now.
const SCHEMA_VERSION: u64 = 2;

impl Manifest {
    /// OCI's manifest of an image.
    pub fn new(config: Descriptor, layers: Vec<Descriptor>, annotations: BTreeMap<String, String>) -> Manifest {
        let media_type = media_type::MANIFEST.to_owned();
        Manifest {
            schema_version: SCHEMA_VERSION,
            media_type,
            config,
            layers,
            annotations,
            artifact_type: None,
            subject: None,
        }
    }

    /// The manifest of an artifact of this type: files that are attached to a subject.
    pub fn of_artifact(
        artifact_type: &str,
        files: Vec<Descriptor>,
        subject: Descriptor,
        annotations: BTreeMap<String, String>,
    ) -> Manifest {
        let (artifact_type, subject) = (Some(artifact_type.to_owned()), Some(subject));
        Manifest { artifact_type, subject, ..Manifest::new(empty_config(), files, annotations) }
    }

    /// Reads a manifest, OCI's or docker's.
    ///
    /// # Errors
    ///
    /// It is no JSON, or not of this form; `name` stands in the message.
    pub fn parse(bytes: &[u8], name: &str, limits: &Limits) -> Result<Manifest> {
        let manifest: Manifest = parse(bytes, name, limits)?;
        if manifest.schema_version == SCHEMA_VERSION {
            return Ok(manifest);
        }
        let cause = format!("found schemaVersion {}, expected {SCHEMA_VERSION}", manifest.schema_version);
        Err(Error::Manifest { name: name.to_owned(), cause })
    }

    /// What kind of artifact it is; none for an image. An artifact says so, or has a config that is none of an image, or
    /// nothing but JSON for layers, as signatures and statements about images have.
    pub fn artifact(&self) -> Option<&str> {
        let stated = self.artifact_type.as_deref().filter(|kind| !kind.is_empty());
        let config = Some(&*self.config.media_type).filter(|config| !media_type::is_config(config));
        let is_json = |layer: &&Descriptor| layer.media_type.ends_with("json");
        let json = || self.layers.first().filter(|_| self.layers.iter().all(|layer| is_json(&layer)));
        stated.or(config).or_else(|| json().map(|layer| &*layer.media_type))
    }

    /// Its bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("text and numbers")
    }
}

impl Index {
    /// Reads an index, OCI's or docker's.
    ///
    /// # Errors
    ///
    /// As for [`Manifest::parse`].
    pub fn parse(bytes: &[u8], name: &str, limits: &Limits) -> Result<Index> {
        parse(bytes, name, limits)
    }

    /// Its bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("text and numbers")
    }
}

impl<D> Index<D> {
    /// OCI's index of manifests.
    pub fn new(manifests: Vec<D>, annotations: BTreeMap<String, String>) -> Index<D> {
        let media_type = media_type::INDEX.to_owned();
        Index { schema_version: SCHEMA_VERSION, media_type, manifests, annotations, more: Map::new() }
    }

    /// What kind of artifact it is; none for an index of images.
    pub fn artifact_type(&self) -> Option<&str> {
        self.more.get("artifactType").and_then(Value::as_str).filter(|kind| !kind.is_empty())
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8], name: &str, limits: &Limits) -> Result<T> {
    let wrong = |cause| Error::Manifest { name: name.to_owned(), cause };
    limits.check_json(bytes).map_err(|exceeded| wrong(exceeded.to_string()))?;
    serde_json::from_slice(bytes).map_err(|e| wrong(e.to_string()))
}

/// That of a manifest without one, as some tools leave it out.
fn schema_version() -> u64 {
    SCHEMA_VERSION
}

#[cfg(test)]
mod tests {
    use super::*;
    use layerstone_store::{Digest, Limits};

    /// What we write: a change of these bytes is a change of every digest.
    #[test]
    fn bytes_are_pinned() {
        let config = Descriptor::of(media_type::CONFIG, b"{}");
        let mut layer = Descriptor::layer(None, Digest::of(b""), 0);
        layer.annotations.insert("b".to_owned(), "1".to_owned());
        let manifest = Manifest::new(config, vec![layer], [("a".to_owned(), "ü".to_owned())].into());
        let text = String::from_utf8(manifest.to_bytes()).unwrap();
        let expected = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2},"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0,"annotations":{"b":"1"}}],"annotations":{"a":"ü"}}"#;
        assert_eq!(text, expected);
        assert_eq!(Manifest::parse(text.as_bytes(), "x", &Limits::default()).unwrap(), manifest);
        let descriptor = Descriptor::of(&manifest.media_type, text.as_bytes());
        let index = Index::new(vec![descriptor], BTreeMap::new());
        assert_eq!(Index::parse(&index.to_bytes(), "x", &Limits::default()).unwrap(), index);
    }

    #[test]
    fn what_others_write() {
        let read = |text: &str| Manifest::parse(text.as_bytes(), "x", &Limits::default()).map_err(|e| e.to_string());
        let hex = "0".repeat(64);
        let config = format!(r#"{{"digest": "sha256:{hex}", "size": 1, "annotations": null, "platform": null}}"#);
        assert!(read(&format!(r#"{{"schemaVersion": 2, "config": {config}, "layers": [], "more": 1}}"#)).is_ok());
        for layers in ["", r#", "layers": []"#, r#", "layers": null"#] {
            assert_eq!(read(&format!(r#"{{"config": {config}{layers}, "annotations": null}}"#)).unwrap().layers, []);
        }
        let error = read(&format!(r#"{{"schemaVersion": 1, "config": {config}, "layers": []}}"#)).unwrap_err();
        assert_eq!(error, "not a manifest: x: found schemaVersion 1, expected 2");
        for bad in ["", "[]", "{}", r#"{"config": {}, "layers": []}"#] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    /// What is no image tells it in one way or another.
    #[test]
    fn artifacts() {
        let blob = |media_type: &str| Descriptor::of(media_type, b"");
        let kind = |artifact_type: Option<&str>, config: &str, layers: &[&str]| {
            let layers = layers.iter().map(|layer| blob(layer)).collect();
            let artifact_type = artifact_type.map(str::to_owned);
            let manifest = Manifest { artifact_type, ..Manifest::new(blob(config), layers, BTreeMap::new()) };
            manifest.artifact().map(str::to_owned)
        };
        let (config, layer) = (media_type::CONFIG, "application/vnd.oci.image.layer.v1.tar");
        assert_eq!(kind(None, config, &[layer]), None);
        assert_eq!(kind(None, media_type::DOCKER_CONFIG, &[]), None);
        assert_eq!(kind(Some(""), "", &["application/octet-stream"]), None);
        assert_eq!(kind(Some("a/sbom"), media_type::EMPTY, &["text/plain"]).as_deref(), Some("a/sbom"));
        assert_eq!(kind(None, media_type::EMPTY, &[]).as_deref(), Some(media_type::EMPTY));
        let helm = "application/vnd.cncf.helm.config.v1+json";
        assert_eq!(kind(None, helm, &[layer]).as_deref(), Some(helm));
        assert_eq!(kind(None, config, &["a/in-toto+json", "a/b+json"]).as_deref(), Some("a/in-toto+json"));
        assert_eq!(kind(None, config, &["a/in-toto+json", layer]), None);
    }
}
