//! Reads and writes annotations: the name of an image in a layout, the store paths of a layer (OCI image-spec,
//! annotations.md).

use crate::{Descriptor, Reference};
use layerstone_store::Digest;
use serde_json::Value;
use std::collections::BTreeMap;

/// Annotation of a layer's descriptor: the store paths that it holds, joined by spaces, in the order of the tar.
pub const STORE_PATHS: &str = "io.layerstone.store-paths";
/// Annotation of a layer's descriptor: how the layer was made, so that a later build knows it ([`MadeLayer`]).
const MADE: &str = "io.layerstone.made";
/// Annotation of a layer of mount points: nix-snapshotter mounts store paths there (pdtpartners/nix-snapshotter,
/// docs/architecture.md).
pub const NIX_LAYER: &str = "containerd.io/snapshot/nix-layer";
/// What annotations of such a layer begin with that name a store path each, before a number from 0 on.
pub const NIX_STORE_PATH: &str = "containerd.io/snapshot/nix-store-path.";
/// Annotation of such a layer that names one path instead, which lists all of them (nix-snapshotter 0.3).
pub const NIX_CLOSURE: &str = "containerd.io/snapshot/nix-closure";
/// The name of an image in a layout, often its tag alone (OCI image-spec, annotations.md).
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The full name of an image, for containerd and docker.
const IMAGE_NAME: &str = "io.containerd.image.name";

/// Annotations of a layer that begin so describe the very bytes of its blob: where a table of contents is in it, and its
/// digest (containers/storage, pkg/chunked; stargz-snapshotter, docs/estargz.md; nydus-snapshotter, pkg/label).
const OF_BYTES: [&str; 4] =
    ["io.github.containers.zstd-chunked.", "io.containers.estargz.", "containerd.io/snapshot/", MADE];

/// How a layer was made, as its descriptor says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MadeLayer {
    /// What identifies all that decides its bytes.
    pub key: Digest,
    /// Size of its tar in bytes.
    pub size: u64,
}

impl MadeLayer {
    /// Says it of a layer: key, size of the tar, and the digest of the blob, by which somebody else's blob in its place is told.
    pub(crate) fn annotate(&self, descriptor: &mut Descriptor) {
        let text = format!("{} {} {}", self.key, self.size, descriptor.digest);
        descriptor.annotations.insert(MADE.to_owned(), text);
    }

    /// What is said of a layer; none if nothing is, or not of this blob.
    pub fn of(descriptor: &Descriptor) -> Option<MadeLayer> {
        let words: Vec<&str> = descriptor.annotations.get(MADE)?.split(' ').collect();
        let [key, size, blob] = words[..] else { return None };
        let is_of_blob = blob.parse().is_ok_and(|blob: Digest| blob == descriptor.digest);
        Some(MadeLayer { key: key.parse().ok()?, size: size.parse().ok()? }).filter(|_| is_of_blob)
    }
}

/// Whether a layer with these annotations has mount points, and not the store paths themselves.
pub fn is_mounted(annotations: &BTreeMap<String, String>) -> bool {
    [NIX_LAYER, NIX_CLOSURE].iter().any(|key| annotations.contains_key(*key))
}

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

/// Whether annotations give an image a name.
pub(crate) fn has_name(annotations: &Value) -> bool {
    [REF_NAME, IMAGE_NAME].iter().any(|key| annotations.get(key).is_some())
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
    fn how_a_layer_was_made() {
        let made = MadeLayer { key: Digest::of(b"key"), size: 7 };
        let mut descriptor = Descriptor::of("a layer", b"blob");
        assert_eq!(MadeLayer::of(&descriptor), None);
        made.annotate(&mut descriptor);
        assert_eq!(MadeLayer::of(&descriptor), Some(made));
        // Compressed by another program, which kept what was said.
        let other = Descriptor { digest: Digest::of(b"other"), ..descriptor.clone() };
        assert_eq!(MadeLayer::of(&other), None);
        let text = descriptor.annotations[MADE].clone();
        let words: Vec<&str> = text.split(' ').collect();
        let damaged =
            ["", " ", "x", words[0], &text[1..], &format!("{text} "), &format!("{text} x")].map(str::to_owned);
        for damaged in damaged.into_iter().chain([text.replace(" 7 ", " -7 "), text.replace("sha256", "sha1")]) {
            descriptor.annotations.insert(MADE.to_owned(), damaged.clone());
            assert_eq!(MadeLayer::of(&descriptor), None, "{damaged:?}");
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
            "io.layerstone.made",
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
