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
/// Manifests and indexes that are read; a few that list each other often would be read without end.
const MAX_READ: usize = 10_000;

#[derive(Debug, Deserialize)]
#[serde(expecting = "an object")]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Debug, Deserialize)]
#[serde(expecting = "an object")]
struct Manifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

/// What a blob must be (OCI image-spec, descriptor.md).
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", expecting = "an object")]
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
#[serde(expecting = "an object")]
struct DescribedPlatform {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    variant: Option<String>,
}

/// An index on the way down from that of the layout.
struct Level<'a> {
    /// The piece that it is in.
    piece: &'a str,
    /// What it is called, and so are its images.
    names: &'a [String],
    depth: usize,
}

/// What was found so far.
#[derive(Default)]
struct Found {
    images: Vec<Listed>,
    /// Manifests and indexes that were read.
    read: usize,
}

/// The images of a layout, in the index's order. What is no image is passed over.
pub(crate) fn images(blobs: &Blobs) -> Result<Vec<Listed>> {
    let index: Index = parse(blobs, INDEX_NAME, &blobs.bytes(INDEX_NAME)?)?;
    let mut found = Found::default();
    collect(blobs, &index, &Level { piece: INDEX_NAME, names: &[], depth: 0 }, &mut found)?;
    let images = found.images;
    match images.iter().find(|image| image.is_there).or(images.first()) {
        Some(image) if image.is_there => Ok(images),
        Some(image) => Err(blobs.error(format!("found no {}", image.config.name))),
        None => Err(blobs.error(format!("{INDEX_NAME}: found no image{}", index.kinds()))),
    }
}

/// Adds the images of an index, which are called like it besides what it calls them.
fn collect(blobs: &Blobs, index: &Index, level: &Level<'_>, found: &mut Found) -> Result<()> {
    for descriptor in &index.manifests {
        found.read += 1;
        if found.read > MAX_READ {
            return Err(blobs.error(format!("{INDEX_NAME}: found more than {MAX_READ} manifests")));
        }
        let names = [level.names, &descriptor.names()].concat();
        let blob = || descriptor.blob(blobs, level.piece);
        let is_one_of = |kinds: &[&str]| kinds.contains(&descriptor.media_type.as_str());
        if is_one_of(&MANIFESTS) {
            let platform = descriptor.platform.as_ref().map(DescribedPlatform::platform);
            if platform.as_ref().is_none_or(|platform| platform.os != UNKNOWN) {
                found.images.push(image(blobs, blob()?, platform, names)?);
            }
        } else if is_one_of(&INDEXES) && level.depth < MAX_DEPTH {
            let blob = blob()?;
            let level = Level { piece: &blob.name, names: &names, depth: level.depth + 1 };
            collect(blobs, &checked(blobs, &blob)?, &level, found)?;
        }
    }
    Ok(())
}

/// The image of a manifest. An index may list what is kept elsewhere (image-layout.md, "Content"): whoever saves the image
/// of one platform keeps the index of all.
fn image(blobs: &Blobs, blob: Blob, platform: Option<Platform>, references: Vec<String>) -> Result<Listed> {
    if platform.is_some() && !blobs.has(&blob.name) {
        return Ok(Listed { references, platform, is_there: false, config: blob, layers: Vec::new() });
    }
    let manifest: Manifest = checked(blobs, &blob)?;
    let layers: Result<_> = manifest.layers.iter().map(|layer| layer.blob(blobs, &blob.name)).collect();
    let config = manifest.config.blob(blobs, &blob.name)?;
    Ok(Listed { references, platform, is_there: true, config, layers: layers? })
}

/// A blob of JSON whose bytes are those that its descriptor promises.
fn checked<T: DeserializeOwned>(blobs: &Blobs, blob: &Blob) -> Result<T> {
    parse(blobs, &blob.name, &blob.read(blobs)?)
}

fn parse<T: DeserializeOwned>(blobs: &Blobs, name: &str, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|e| blobs.error(format!("{name}: {e}")))
}

impl Index {
    /// What an index lists that is no image, for messages.
    fn kinds(&self) -> String {
        let kinds: Vec<String> = self.manifests.iter().map(|it| it.media_type.escape_debug().to_string()).collect();
        if kinds.is_empty() { String::new() } else { format!(", only {}", kinds.join(", ")) }
    }
}

impl Descriptor {
    fn names(&self) -> Vec<String> {
        let annotations = self.annotations.iter().flatten();
        annotations.filter(|(key, _)| NAMES.contains(&key.as_str())).map(|(_, name)| name.clone()).collect()
    }

    /// Where the blob is; this descriptor is in `piece`. Other algorithms than sha256 are not in use (image-spec,
    /// descriptor.md, "Registered Algorithms").
    fn blob(&self, blobs: &Blobs, piece: &str) -> Result<Blob> {
        let wrong = |e: layerstone_stage::Error| blobs.error(format!("{piece}: {e}"));
        let digest: Digest = self.digest.parse().map_err(wrong)?;
        Ok(Blob { name: format!("blobs/sha256/{}", digest.hex()), digest: Some(digest), size: Some(self.size) })
    }
}

impl DescribedPlatform {
    fn platform(&self) -> Platform {
        let variant = self.variant.clone().filter(|variant| !variant.is_empty());
        Platform { os: self.os.clone(), architecture: self.architecture.clone(), variant }
    }
}
