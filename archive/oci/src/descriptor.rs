//! Descriptors (OCI image-spec, descriptor.md) and media types (media-types.md; distribution, manifest-v2-2.md).

use crate::name::{familiar, full};
use crate::{Name, Platform};
use layerstone_layer::Codec;
use layerstone_store::Digest;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

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
    /// The config of what needs none (image-spec, manifest.md, "Guidance for an Empty Descriptor").
    pub const EMPTY: &str = "application/vnd.oci.empty.v1+json";
    /// docker's config of an image.
    pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
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

    /// Whether it is that of an image's config; docker once left it out, or said that it is a file.
    pub fn is_config(media_type: &str) -> bool {
        [CONFIG, DOCKER_CONFIG, "application/octet-stream", ""].contains(&media_type)
    }

    /// OCI's media type of a layer in the place of docker's (image-spec, media-types.md, "Compatibility Matrix"; docker
    /// writes `.zstd` too, which the matrix does not have).
    pub fn layer_in_oci(media_type: &str) -> String {
        const KINDS: [(&str, &str); 2] = [
            ("application/vnd.docker.image.rootfs.diff.tar", "application/vnd.oci.image.layer.v1.tar"),
            (
                "application/vnd.docker.image.rootfs.foreign.diff.tar",
                "application/vnd.oci.image.layer.nondistributable.v1.tar",
            ),
        ];
        let in_oci = KINDS.iter().find_map(|(docker, oci)| {
            Some(match media_type.strip_prefix(docker)? {
                "" => (*oci).to_owned(),
                ".gzip" => format!("{oci}+gzip"),
                ".zstd" => format!("{oci}+zstd"),
                _ => return None,
            })
        });
        in_oci.unwrap_or_else(|| media_type.to_owned())
    }
}

/// Annotation of a layer's descriptor: the store paths that it holds, joined by spaces, in the order of the tar.
pub const STORE_PATHS: &str = "io.layerstone.store-paths";
/// What an image is called in a layout, often its tag alone (OCI image-spec, annotations.md).
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// What an image is called by containerd and docker: all of its name.
const IMAGE_NAME: &str = "io.containerd.image.name";

/// Annotations of a layer that begin so describe the very bytes of its blob: where a table of contents is in it, and its
/// digest (containers/storage, pkg/chunked; stargz-snapshotter, docs/estargz.md; nydus-snapshotter, pkg/label).
const OF_BYTES: [&str; 3] = ["io.github.containers.zstd-chunked.", "io.containers.estargz.", "containerd.io/snapshot/"];

/// The annotations that give an image its name in a layout: containerd finds an image by the whole name, with the registry
/// and the folder that docker adds to a short one.
pub fn names_annotations(name: &Name) -> BTreeMap<String, String> {
    [(IMAGE_NAME.to_owned(), full(&name.to_string())), (REF_NAME.to_owned(), name.tag.clone())].into()
}

/// What annotations call an image in a layout, the whole name as short as docker shows it.
pub fn names_in(annotations: &BTreeMap<String, String>) -> Vec<String> {
    let mut names: Vec<String> = annotations.get(IMAGE_NAME).map(|name| familiar(name)).into_iter().collect();
    names.extend(annotations.get(REF_NAME).filter(|name| !names.contains(name)).cloned());
    names
}

/// Annotations but for those that name an image in a layout.
pub fn without_names(annotations: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let is_name = |key: &str| [REF_NAME, IMAGE_NAME].contains(&key);
    annotations.iter().filter(|(key, _)| !is_name(key)).map(|(key, text)| (key.clone(), text.clone())).collect()
}

/// Whether annotations give an image this name, as [`names_annotations`] or an earlier version of it did.
pub(crate) fn is_named(annotations: &Value, name: &Name) -> bool {
    let text = |key: &str| annotations.get(key).and_then(Value::as_str);
    text(REF_NAME) == Some(&name.tag) && text(IMAGE_NAME).is_some_and(|known| full(known) == full(&name.to_string()))
}

/// Leaves out what annotations of a layer say of its blob's bytes, for a layer whose blob is another now.
pub fn drop_annotations_of_bytes(annotations: &mut BTreeMap<String, String>) {
    annotations.retain(|key, _| !OF_BYTES.iter().any(|begin| key.starts_with(begin)));
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
    #[serde(default, deserialize_with = "or_null", skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
    /// What is said of it.
    #[serde(default, deserialize_with = "or_null", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// What the image runs on, in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// All else that is said of it, as it was said: `artifactType`, `data`, and what nobody knows yet.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

impl Descriptor {
    /// A descriptor of these bytes.
    pub fn of(media_type: &str, bytes: &[u8]) -> Descriptor {
        Descriptor::new(media_type, Digest::of(bytes), bytes.len() as u64)
    }

    /// A descriptor without annotations.
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Descriptor {
        let media_type = media_type.to_owned();
        Descriptor {
            media_type,
            digest,
            size,
            urls: Vec::new(),
            annotations: BTreeMap::new(),
            platform: None,
            more: Map::new(),
        }
    }

    /// A descriptor of a layer that is compressed so.
    pub fn layer(codec: Option<Codec>, digest: Digest, size: u64) -> Descriptor {
        Descriptor::new(&layerstone_layer::media_type(codec), digest, size)
    }

    /// What kind of artifact it leads to, if that is told.
    pub fn artifact_type(&self) -> Option<&str> {
        self.more.get("artifactType").and_then(Value::as_str).filter(|text| !text.is_empty())
    }
}

impl From<&layerstone_layer::Descriptor> for Descriptor {
    fn from(layer: &layerstone_layer::Descriptor) -> Descriptor {
        Descriptor::new(&layer.media_type, layer.digest, layer.size)
    }
}

/// Go's programs write null for a list or a map that is empty.
pub(crate) fn or_null<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each form of docker's layer has one of OCI's; what is OCI's already, or nobody's, stays.
    #[test]
    fn layers_in_oci() {
        for (found, expected) in [
            ("application/vnd.docker.image.rootfs.diff.tar", "application/vnd.oci.image.layer.v1.tar"),
            ("application/vnd.docker.image.rootfs.diff.tar.gzip", "application/vnd.oci.image.layer.v1.tar+gzip"),
            ("application/vnd.docker.image.rootfs.diff.tar.zstd", "application/vnd.oci.image.layer.v1.tar+zstd"),
            (
                "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
                "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
            ),
            ("application/vnd.oci.image.layer.v1.tar+zstd", "application/vnd.oci.image.layer.v1.tar+zstd"),
            ("application/vnd.docker.image.rootfs.diff.tar.lz", "application/vnd.docker.image.rootfs.diff.tar.lz"),
            ("text/plain", "text/plain"),
        ] {
            assert_eq!(media_type::layer_in_oci(found), expected);
        }
    }

    #[test]
    fn annotations_of_other_bytes() {
        let keys = [
            "io.github.containers.zstd-chunked.manifest-checksum",
            "io.containers.estargz.uncompressed-size",
            "containerd.io/snapshot/stargz/toc.digest",
            "containerd.io/snapshot/nydus-blob",
            "io.layerstone.store-paths",
            "containerd.io/distribution.source.docker.io",
            "org.example.note",
        ];
        let mut annotations = keys.iter().map(|key| ((*key).to_owned(), String::new())).collect();
        drop_annotations_of_bytes(&mut annotations);
        let left: Vec<&str> = annotations.keys().map(String::as_str).collect();
        assert_eq!(
            left,
            ["containerd.io/distribution.source.docker.io", "io.layerstone.store-paths", "org.example.note"]
        );
    }

    /// What others say of a blob comes out as it went in.
    #[test]
    fn unknown_keys_stay() {
        let hex = "0".repeat(64);
        let text = format!(
            r#"{{"mediaType":"a/b","digest":"sha256:{hex}","size":1,"annotations":{{"k":"v"}},"platform":{{"architecture":"amd64","os":"windows","os.version":"10","os.features":["win32k"],"features":["sse4"]}},"artifactType":"c/d","data":"eA==","x":{{"y":[null,1.5]}}}}"#
        );
        let descriptor: Descriptor = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&descriptor).unwrap(), text);
        assert_eq!(descriptor.artifact_type(), Some("c/d"));
    }
}
