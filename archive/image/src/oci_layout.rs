//! index.json of an OCI layout, read: the images that it lists, in a folder or in a tar of one (OCI image-spec,
//! image-layout.md, image-index.md, manifest.md).

use crate::Result;
use crate::blobs::Blobs;
use crate::listed::{Blob, Listed, Platform};
use layerstone_stage::Digest;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

/// Name of the index in the layout.
pub(crate) const INDEX_NAME: &str = "index.json";
/// Manifests of one image, of OCI and of docker (distribution, manifest-v2-2.md).
const MANIFESTS: [&str; 2] =
    ["application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"];
/// Indexes, which list manifests for several platforms.
const INDEXES: [&str; 2] =
    ["application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"];
/// What an image is called, by OCI (image-spec, annotations.md) and by containerd and docker.
const NAMES: [&str; 2] = ["org.opencontainers.image.ref.name", "io.containerd.image.name"];
/// The platform of what is no image but tells of one (BuildKit, attestation-storage.md).
const UNKNOWN: &str = "unknown";
/// Indexes in indexes that are looked into.
const MAX_DEPTH: usize = 8;

#[derive(Debug, Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Debug, Deserialize)]
struct Manifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

/// What a blob must be (OCI image-spec, descriptor.md).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    #[serde(default)]
    media_type: String,
    digest: String,
    size: u64,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
    #[serde(default)]
    platform: Option<DescribedPlatform>,
}

#[derive(Debug, Deserialize)]
struct DescribedPlatform {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    variant: Option<String>,
}

/// The images of a layout, in the index's order. What is no image is passed over.
pub(crate) fn images(blobs: &Blobs) -> Result<Vec<Listed>> {
    let index: Index = parse(blobs, INDEX_NAME, &blobs.bytes(INDEX_NAME)?)?;
    let mut images = Vec::new();
    collect(blobs, &index, &[], 0, &mut images)?;
    if images.is_empty() {
        return Err(blobs.error(format!("{INDEX_NAME}: found no image")));
    }
    Ok(images)
}

/// Adds the images of an index, which are called like it (`names`) besides what it calls them.
fn collect(blobs: &Blobs, index: &Index, names: &[String], depth: usize, images: &mut Vec<Listed>) -> Result<()> {
    for descriptor in &index.manifests {
        let names = [names, &descriptor.names()].concat();
        let is_one_of = |kinds: &[&str]| kinds.contains(&descriptor.media_type.as_str());
        if is_one_of(&MANIFESTS) {
            if descriptor.platform.as_ref().is_none_or(|platform| platform.os != UNKNOWN) {
                images.push(image(blobs, descriptor, names)?);
            }
        } else if is_one_of(&INDEXES) && depth < MAX_DEPTH {
            collect(blobs, &checked(blobs, descriptor)?, &names, depth + 1, images)?;
        }
    }
    Ok(())
}

fn image(blobs: &Blobs, descriptor: &Descriptor, references: Vec<String>) -> Result<Listed> {
    let manifest: Manifest = checked(blobs, descriptor)?;
    let platform = descriptor.platform.as_ref().map(|platform| Platform {
        os: platform.os.clone(),
        architecture: platform.architecture.clone(),
        variant: platform.variant.clone().filter(|variant| !variant.is_empty()),
    });
    let layers: Result<_> = manifest.layers.iter().map(|layer| layer.blob(blobs)).collect();
    Ok(Listed { references, platform, config: manifest.config.blob(blobs)?, layers: layers? })
}

/// A blob of JSON whose bytes are those that the descriptor promises.
fn checked<T: DeserializeOwned>(blobs: &Blobs, descriptor: &Descriptor) -> Result<T> {
    let blob = descriptor.blob(blobs)?;
    let bytes = blob.read(blobs)?;
    parse(blobs, &blob.name, &bytes)
}

fn parse<T: DeserializeOwned>(blobs: &Blobs, name: &str, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|e| blobs.error(format!("{name}: {e}")))
}

impl Descriptor {
    fn names(&self) -> Vec<String> {
        let annotations = self.annotations.iter().flatten();
        annotations.filter(|(key, _)| NAMES.contains(&key.as_str())).map(|(_, name)| name.clone()).collect()
    }

    /// Where the blob is. Other algorithms than sha256 are not in use (image-spec, descriptor.md, "Registered Algorithms").
    fn blob(&self, blobs: &Blobs) -> Result<Blob> {
        let digest: Digest = self.digest.parse().map_err(|e: layerstone_stage::Error| blobs.error(e.to_string()))?;
        Ok(Blob { name: format!("blobs/sha256/{}", digest.hex()), digest: Some(digest), size: Some(self.size) })
    }
}
