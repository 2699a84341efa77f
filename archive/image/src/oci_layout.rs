//! index.json of an OCI layout, read: the images that it lists, in a folder or in a tar of one (OCI image-spec,
//! image-layout.md, image-index.md, manifest.md).

use crate::blobs::Blobs;
use crate::limits::MAX_DESCRIPTIONS;
use crate::listed::{Blob, Listed, Platform, StoredManifest};
use crate::{Location, Result};
use layerstone_oci::{
    INDEX_NAME, Manifest, blob_name,
    media_type::{is_image, is_index},
};
use layerstone_stage::Digest;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

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

/// What an index says of a manifest (OCI image-spec, descriptor.md); of what is no image, anything may be said.
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
    /// Bytes of the manifests that are kept.
    kept: usize,
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

/// What index.json itself lists of this name, or all that it lists: a manifest or an index, its bytes, and what it is
/// called.
pub(crate) fn listed(blobs: &Blobs, location: &Location) -> Result<(layerstone_oci::Descriptor, Vec<u8>, Vec<String>)> {
    let index: Index = parse(blobs, INDEX_NAME, &blobs.bytes(INDEX_NAME)?)?;
    let is_one = |it: &&Descriptor| is_image(&it.media_type) || is_index(&it.media_type);
    let is_meant =
        |it: &&Descriptor| location.reference().is_none() || it.names().iter().any(|name| location.matches(name));
    let meant: Vec<&Descriptor> = index.manifests.iter().filter(is_one).filter(is_meant).collect();
    let [one] = &meant[..] else {
        let wanted = location.reference().map(|name| format!(" called {name}")).unwrap_or_default();
        return Err(blobs.error(format!("{INDEX_NAME}: found {} images{wanted}, expected one", meant.len())));
    };
    let bytes = one.blob(blobs, INDEX_NAME)?.read(blobs)?;
    Ok((layerstone_oci::Descriptor::of(&one.media_type, &bytes), bytes, one.names()))
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
        if is_image(&descriptor.media_type) {
            let platform = descriptor.platform.as_ref().map(DescribedPlatform::platform);
            if platform.as_ref().is_none_or(|platform| platform.os != UNKNOWN) {
                let image = image(blobs, &descriptor.media_type, blob()?, platform, names)?;
                found.kept += image.manifest.as_ref().map_or(0, |manifest| manifest.bytes.len());
                if found.kept > MAX_DESCRIPTIONS {
                    let cause = format!("{INDEX_NAME}: found manifests of more than {MAX_DESCRIPTIONS} bytes");
                    return Err(blobs.error(cause));
                }
                found.images.push(image);
            }
        } else if is_index(&descriptor.media_type) && level.depth < MAX_DEPTH {
            let blob = blob()?;
            let level = Level { piece: &blob.name, names: &names, depth: level.depth + 1 };
            collect(blobs, &checked(blobs, &blob)?, &level, found)?;
        }
    }
    Ok(())
}

/// The image of a manifest. An index may list what is kept elsewhere (image-layout.md, "Content"): whoever saves the image
/// of one platform keeps the index of all.
fn image(
    blobs: &Blobs,
    media_type: &str,
    blob: Blob,
    platform: Option<Platform>,
    references: Vec<String>,
) -> Result<Listed> {
    if platform.is_some() && !blobs.has(&blob.name) {
        return Ok(Listed { references, platform, is_there: false, config: blob, layers: Vec::new(), manifest: None });
    }
    let bytes = blob.read(blobs)?;
    let manifest: Manifest = parse(blobs, &blob.name, &bytes)?;
    let piece = |descriptor: &layerstone_oci::Descriptor| Blob {
        name: blob_name(&descriptor.digest),
        digest: Some(descriptor.digest),
        size: Some(descriptor.size),
    };
    let (config, layers) = (piece(&manifest.config), manifest.layers.iter().map(piece).collect());
    let descriptor = layerstone_oci::Descriptor::of(media_type, &bytes);
    let manifest = Some(StoredManifest { descriptor, bytes, manifest });
    Ok(Listed { references, platform, is_there: true, config, layers, manifest })
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
        Ok(Blob { name: blob_name(&digest), digest: Some(digest), size: Some(self.size) })
    }
}

impl DescribedPlatform {
    fn platform(&self) -> Platform {
        let variant = self.variant.clone().filter(|variant| !variant.is_empty());
        Platform { os: self.os.clone(), architecture: self.architecture.clone(), variant }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use layerstone_oci::media_type::{DOCKER_LIST, INDEX, MANIFEST};
    use serde_json::{Value, json};
    use std::path::Path;

    /// Writes a blob; its descriptor.
    fn blob(folder: &Path, media_type: &str, value: &Value) -> Value {
        let bytes = value.to_string();
        let digest = Digest::of(bytes.as_bytes());
        std::fs::create_dir_all(folder.join("blobs/sha256")).unwrap();
        std::fs::write(folder.join(format!("blobs/sha256/{}", digest.hex())), &bytes).unwrap();
        json!({"mediaType": media_type, "digest": digest.to_string(), "size": bytes.len()})
    }

    fn manifest(folder: &Path, text: &str) -> Value {
        let config = blob(folder, "", &json!(text));
        blob(folder, MANIFEST, &json!({"config": config, "layers": []}))
    }

    /// The titles of the images of an index, whose images are called by annotations.
    #[track_caller]
    fn check(folder: &Path, manifests: &[Value], expected: Result<&[&str], &str>) {
        std::fs::write(folder.join(INDEX_NAME), json!({"manifests": manifests}).to_string()).unwrap();
        let found = images(&Blobs::Folder(folder.to_owned()));
        let told = |e: crate::Error| e.to_string().replace(&format!("{}", folder.display()), "F");
        let found = found.map(|images| images.iter().map(Listed::title).collect::<Vec<_>>()).map_err(told);
        let expected = expected.map(|titles| titles.iter().map(|title| (*title).to_owned()).collect());
        assert_eq!(found, expected.map_err(str::to_owned));
    }

    #[test]
    fn names_and_platforms() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let mut named = manifest(folder, "a");
        named["annotations"] = json!({NAMES[0]: "1", NAMES[1]: "x:1", "other": "y"});
        let mut unknown = manifest(folder, "b");
        unknown["platform"] = json!({"os": "unknown", "architecture": "unknown"});
        let mut arm = manifest(folder, "c");
        arm["platform"] = json!({"os": "linux", "architecture": "arm", "variant": "v7"});
        let mut nested = blob(folder, DOCKER_LIST, &json!({"manifests": [unknown, arm]}));
        nested["annotations"] = json!({NAMES[0]: "2"});
        check(folder, &[named, nested], Ok(&["x:1 1", "2 (linux/arm/v7)"]));
    }

    /// A platform's image may be elsewhere, as long as one is here.
    #[test]
    fn what_is_elsewhere() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let hex = "0".repeat(64);
        let platform = json!({"os": "linux", "architecture": "arm64"});
        let absent = json!({"mediaType": MANIFEST, "digest": format!("sha256:{hex}"), "size": 1, "platform": platform});
        let here = manifest(folder, "a");
        let titles = ["one without a name (linux/arm64, not there)", "one without a name"];
        check(folder, &[absent.clone(), here], Ok(&titles));
        check(folder, &[absent], Err(&format!("not an image: F: found no blobs/sha256/{hex}")));
    }

    #[test]
    fn no_image() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        check(folder, &[], Err("not an image: F: index.json: found no image"));
        let others = ["a/b", "c/\n"].map(|kind| json!({"mediaType": kind, "digest": "sha512:0", "size": 0}));
        check(folder, &others, Err("not an image: F: index.json: found no image, only a/b, c/\\n"));
        let bad = json!({"mediaType": MANIFEST, "digest": "sha512:0", "size": 0});
        check(folder, &[bad], Err("not an image: F: index.json: not a sha256 digest: \"sha512:0\""));
    }

    /// Five indexes of thirty each would be read twenty million times.
    #[test]
    fn indexes_that_list_each_other_often() {
        let folder = tempfile::tempdir().unwrap();
        let mut inner = blob(folder.path(), INDEX, &json!({"manifests": []}));
        for _ in 0..5 {
            inner = blob(folder.path(), INDEX, &json!({"manifests": vec![inner; 30]}));
        }
        check(folder.path(), &[inner], Err("not an image: F: index.json: found more than 10000 manifests"));
    }
}
