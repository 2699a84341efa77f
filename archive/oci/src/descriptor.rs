//! Descriptors (OCI image-spec, descriptor.md) and media types (media-types.md; distribution, manifest-v2-2.md).

use crate::Name;
use layerstone_layer::Codec;
use layerstone_stage::Digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// Media types.
pub mod media_type {
    /// Manifest of one image.
    pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// Index of manifests.
    pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// Config of an image.
    pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// docker's manifest of one image.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// docker's index of manifests.
    pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// All that a registry may be asked for, OCI's first.
    pub const MANIFESTS: [&str; 4] = [MANIFEST, INDEX, DOCKER_MANIFEST, DOCKER_LIST];

    /// Whether it is that of one image.
    pub fn is_image(media_type: &str) -> bool {
        media_type == MANIFEST || media_type == DOCKER_MANIFEST
    }

    /// Whether it is that of an index.
    pub fn is_index(media_type: &str) -> bool {
        media_type == INDEX || media_type == DOCKER_LIST
    }
}

/// Annotation of a layer's descriptor: the store paths that it holds, joined by spaces, in the order of the tar.
pub const STORE_PATHS: &str = "io.layerstone.store-paths";
/// What an image is called in a layout, often its tag alone (OCI image-spec, annotations.md).
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// What an image is called by containerd and docker: all of its name.
const IMAGE_NAME: &str = "io.containerd.image.name";

/// The annotations that give an image its name in a layout, as BuildKit writes them.
pub fn names_annotations(name: &Name) -> BTreeMap<String, String> {
    [(IMAGE_NAME.to_owned(), name.to_string()), (REF_NAME.to_owned(), name.tag.clone())].into()
}

/// What a blob must be, and what is said of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", expecting = "an object")]
pub struct Descriptor {
    /// What it is; docker leaves it out in places.
    #[serde(default)]
    pub media_type: String,
    /// sha256 of its bytes.
    pub digest: Digest,
    /// How many bytes it has.
    pub size: u64,
    /// Where else its bytes may be had, for layers that registries may not give away.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// What is said of it.
    #[serde(default, deserialize_with = "or_null", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// What the image runs on, in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
}

/// What an image runs on, by Go's names (OCI image-spec, image-index.md, "platform").
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(expecting = "an object")]
pub struct Platform {
    /// The processor.
    #[serde(default)]
    pub architecture: String,
    /// The system.
    #[serde(default)]
    pub os: String,
    /// The version of a system where that matters.
    #[serde(rename = "os.version", default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// The variant of a processor, such as `v7`.
    #[serde(default, deserialize_with = "not_empty", skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

impl Descriptor {
    /// A descriptor of these bytes.
    pub fn of(media_type: &str, bytes: &[u8]) -> Descriptor {
        Descriptor::new(media_type, Digest::of(bytes), bytes.len() as u64)
    }

    /// A descriptor without annotations.
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Descriptor {
        let media_type = media_type.to_owned();
        Descriptor { media_type, digest, size, urls: Vec::new(), annotations: BTreeMap::new(), platform: None }
    }

    /// A descriptor of a layer that is compressed so.
    pub fn layer(codec: Option<Codec>, digest: Digest, size: u64) -> Descriptor {
        Descriptor::new(&layerstone_layer::media_type(codec), digest, size)
    }

    /// What the annotations call an image in a layout.
    pub fn names(&self) -> Vec<String> {
        let named = self.annotations.iter().filter(|(key, _)| [REF_NAME, IMAGE_NAME].contains(&key.as_str()));
        named.map(|(_, name)| name.clone()).collect()
    }
}

impl From<&layerstone_layer::Descriptor> for Descriptor {
    fn from(layer: &layerstone_layer::Descriptor) -> Descriptor {
        Descriptor::new(&layer.media_type, layer.digest, layer.size)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

/// Go's programs write null for a map that is empty.
fn or_null<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

fn not_empty<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.filter(|text| !text.is_empty()))
}
