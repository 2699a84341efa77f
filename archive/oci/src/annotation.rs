//! Reads and writes annotations: the name of an image in a layout, the store paths of a layer (OCI image-spec,
//! annotations.md).

use crate::Reference;
use serde_json::Value;
use std::collections::BTreeMap;

/// Annotation of a layer's descriptor: the store paths that it holds, joined by spaces, in the order of the tar.
pub const STORE_PATHS: &str = "io.layerstone.store-paths";
/// The name of an image in a layout, often its tag alone (OCI image-spec, annotations.md).
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The full name of an image, for containerd and docker.
const IMAGE_NAME: &str = "io.containerd.image.name";

/// Annotations of a layer that begin so describe the very bytes of its blob: where a table of contents is in it, and its
/// digest (containers/storage, pkg/chunked; stargz-snapshotter, docs/estargz.md; nydus-snapshotter, pkg/label).
const OF_BYTES: [&str; 3] = ["io.github.containers.zstd-chunked.", "io.containers.estargz.", "containerd.io/snapshot/"];

/// The annotations that name an image in a layout: containerd finds an image by its full name.
pub fn names_annotations(name: &Reference) -> BTreeMap<String, String> {
    let name = name.tagged();
    [(IMAGE_NAME.to_owned(), name.full().to_string()), (REF_NAME.to_owned(), name.tag_or_latest().to_owned())].into()
}

/// The names that annotations give an image in a layout, the full one in its familiar form.
pub fn names_in(annotations: &BTreeMap<String, String>) -> Vec<String> {
    let mut names: Vec<String> =
        annotations.get(IMAGE_NAME).map(|name| Reference::unchecked(name).familiar().to_string()).into_iter().collect();
    names.extend(annotations.get(REF_NAME).filter(|name| !names.contains(name)).cloned());
    names
}

/// All annotations except those that name an image in a layout.
pub fn without_names(annotations: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let is_name = |key: &str| [REF_NAME, IMAGE_NAME].contains(&key);
    annotations.iter().filter(|(key, _)| !is_name(key)).map(|(key, text)| (key.clone(), text.clone())).collect()
}

/// Whether annotations give an image this name, as [`names_annotations`] or an earlier version of it did.
pub(crate) fn is_named(annotations: &Value, name: &Reference) -> bool {
    let text = |key: &str| annotations.get(key).and_then(Value::as_str);
    let is_same = |other: &str| Reference::unchecked(other).full() == name.tagged().full();
    text(REF_NAME) == Some(name.tag_or_latest()) && text(IMAGE_NAME).is_some_and(is_same)
}

/// Removes the annotations that describe the bytes of a layer's blob, for a layer that has another blob now.
pub fn drop_annotations_of_bytes(annotations: &mut BTreeMap<String, String>) {
    annotations.retain(|key, _| !OF_BYTES.iter().any(|begin| key.starts_with(begin)));
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
