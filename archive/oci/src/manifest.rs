//! Manifests of images and indexes of manifests: their texts, both ways (OCI image-spec, manifest.md, image-index.md).
//!
//! What we write is compact JSON with keys in the order of the spec, so that the same image has the same digest.

use crate::{Descriptor, Error, Result, media_type};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
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
    /// The image config.
    pub config: Descriptor,
    /// The layers, bottom first.
    pub layers: Vec<Descriptor>,
    /// What is said of the image.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// An index of manifests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", expecting = "an object")]
pub struct Index {
    #[serde(default = "schema_version")]
    schema_version: u64,
    /// What it is; may be left out of OCI's.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub media_type: String,
    /// Manifests, or other indexes.
    pub manifests: Vec<Descriptor>,
    /// What is said of the index.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// The version that all manifests have by now.
const SCHEMA_VERSION: u64 = 2;

impl Manifest {
    /// OCI's manifest of an image.
    pub fn new(config: Descriptor, layers: Vec<Descriptor>, annotations: BTreeMap<String, String>) -> Manifest {
        let media_type = media_type::MANIFEST.to_owned();
        Manifest { schema_version: SCHEMA_VERSION, media_type, config, layers, annotations }
    }

    /// Reads a manifest, OCI's or docker's.
    ///
    /// # Errors
    ///
    /// It is no JSON, or not of this form; `name` stands in the message.
    pub fn parse(bytes: &[u8], name: &str) -> Result<Manifest> {
        let manifest: Manifest = parse(bytes, name)?;
        check_version(manifest.schema_version, name)?;
        Ok(manifest)
    }

    /// Its bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("text and numbers")
    }

    /// Its descriptor, given its bytes.
    pub fn descriptor(&self, bytes: &[u8]) -> Descriptor {
        Descriptor::of(&self.media_type, bytes)
    }
}

impl Index {
    /// OCI's index of manifests.
    pub fn new(manifests: Vec<Descriptor>, annotations: BTreeMap<String, String>) -> Index {
        let media_type = media_type::INDEX.to_owned();
        Index { schema_version: SCHEMA_VERSION, media_type, manifests, annotations }
    }

    /// Reads an index, OCI's or docker's.
    ///
    /// # Errors
    ///
    /// As for [`Manifest::parse`].
    pub fn parse(bytes: &[u8], name: &str) -> Result<Index> {
        parse(bytes, name)
    }

    /// Its bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("text and numbers")
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8], name: &str) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|e| Error::Manifest { name: name.to_owned(), cause: e.to_string() })
}

/// That of a manifest which tells none, as some tools leave it out.
fn schema_version() -> u64 {
    SCHEMA_VERSION
}

fn check_version(found: u64, name: &str) -> Result<()> {
    if found == SCHEMA_VERSION {
        return Ok(());
    }
    let cause = format!("found schemaVersion {found}, expected {SCHEMA_VERSION}");
    Err(Error::Manifest { name: name.to_owned(), cause })
}
