//! Reads what an OCI layout lists: the images of its index.json, in a directory or in a tar of one (OCI image-spec,
//! image-layout.md, image-index.md, manifest.md), and those of a `dir:` directory.
//!
//! Artifacts that are attached to images (manifest.md, "Guidelines for Artifact Usage") are no images and kept apart. What
//! of them cannot be read is kept apart too, and keeps no image from being read.

use crate::blobs::Blobs;
use crate::listed::{Blob, Listed};
use crate::manifest::MANIFEST_NAME;
use crate::subjects::Subjects;
use crate::unread::{UnreadEntry, stated_kind};
use crate::{Error, Result};
use layerstone_oci::media_type::{self, is_image, is_index};
use layerstone_oci::{Descriptor, INDEX_NAME, Index, Manifest, Referrer, StoredManifest, names_in};
use layerstone_store::{Digest, Limit};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// The platform of what is no image but tells of one (BuildKit, attestation-storage.md).
const UNKNOWN: &str = "unknown";

/// An index whose entries are not read yet: anything may be said of what is no image.
pub(crate) type Listing = Index<Value>;

/// What a layout lists besides images.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Artifact {
    /// What kind of artifact it is.
    pub artifact_type: String,
    /// Digest of its manifest.
    pub digest: Digest,
    /// What it is called.
    pub repo_tags: Vec<String>,
    /// The manifest that it is attached to, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<Digest>,
    /// Its entry in a list of referrers.
    #[serde(skip)]
    pub entry: Descriptor,
}

/// An index on the way down from that of the layout.
struct Level<'a> {
    /// The piece that it is in.
    piece: &'a str,
    /// What it is called, and so are its images.
    names: &'a [String],
    /// Which entry of index.json leads here; none for index.json itself.
    entry: Option<usize>,
    /// Indexes above it.
    depth: u64,
}

/// An entry of an index.
struct Entry<'a> {
    /// As it is listed.
    value: &'a Value,
    /// As it is read.
    descriptor: Descriptor,
    /// Where its bytes are.
    blob: Blob,
}

/// What was found so far.
#[derive(Default)]
pub(crate) struct Found {
    pub images: Vec<Listed>,
    pub artifacts: Vec<Artifact>,
    /// What has a subject: artifacts, images and indexes.
    pub subjects: Subjects,
    /// Entries of index.json that are no images and cannot be read.
    pub unread: Vec<UnreadEntry>,
    /// Manifests and indexes that were read.
    read: u64,
    /// Bytes of the manifests that are kept.
    kept: u64,
    /// What was looked into, by digest, entry of index.json and names: again it would give the same.
    seen: BTreeSet<(Digest, Option<usize>, Vec<String>)>,
}

/// The images of a layout, in the index's order, and the artifacts. What is neither is passed over.
pub(crate) fn images(blobs: &Blobs) -> Result<Found> {
    let (index, found) = all(blobs)?;
    let piece = if blobs.is_flat() { MANIFEST_NAME } else { INDEX_NAME };
    let images = &found.images;
    match images.iter().find(|image| image.is_present).or(images.first()) {
        Some(image) if image.is_present => Ok(found),
        Some(image) => Err(blobs.error(format!("found no {}", image.config.name))),
        None => Err(blobs.error(format!("{piece}: found no image{}", found.no_images(&index)))),
    }
}

/// The index of a layout, and all that it lists, were it no image.
pub(crate) fn all(blobs: &Blobs) -> Result<(Listing, Found)> {
    let index = top(blobs)?;
    let mut found = Found::default();
    let piece = if blobs.is_flat() { MANIFEST_NAME } else { INDEX_NAME };
    collect(blobs, &index, &Level { piece, names: &[], entry: None, depth: 0 }, &mut found)?;
    Ok((index, found))
}

/// index.json; of a `dir:` directory one that lists its manifest.json, which is a manifest or an index.
pub(crate) fn top(blobs: &Blobs) -> Result<Listing> {
    if !blobs.is_flat() {
        return parse(blobs, INDEX_NAME, &blobs.bytes(INDEX_NAME)?);
    }
    let bytes = blobs.bytes(MANIFEST_NAME)?;
    let value: Value = parse(blobs, MANIFEST_NAME, &bytes)?;
    if value.is_array() {
        let cause = format!("found the {MANIFEST_NAME} of a docker archive, expected the archive as a tar");
        return Err(blobs.error(cause));
    }
    let stated_type = value["mediaType"].as_str();
    let kind =
        stated_type.unwrap_or(if value["manifests"].is_array() { media_type::INDEX } else { media_type::MANIFEST });
    let descriptor = serde_json::to_value(Descriptor::of(kind, &bytes)).expect("text and numbers");
    Ok(Index::new(vec![descriptor], BTreeMap::new()))
}

/// The manifests and indexes that index.json lists, and whether the reader of registries' indexes, which takes an index as a
/// whole, finds the same in it; none where one of both takes nothing.
#[cfg(any(test, fuzzing))]
pub(crate) fn readers_agree(blobs: &Blobs) -> Option<bool> {
    let entries = top(blobs).ok()?.manifests;
    let entries: Result<Vec<Option<Descriptor>>> = entries.iter().map(|it| descriptor(blobs, INDEX_NAME, it)).collect();
    let other = Index::<Descriptor>::parse(&blobs.bytes(INDEX_NAME).ok()?, INDEX_NAME, blobs.limits()).ok()?;
    let is_listed = |it: &&Descriptor| is_image(&it.media_type) || is_index(&it.media_type);
    // What the stricter one takes, the other takes too.
    let entries = entries.map(|entries| entries.into_iter().flatten().collect::<Vec<_>>());
    Some(entries.is_ok_and(|entries| entries.iter().eq(other.manifests.iter().filter(is_listed))))
}

/// Adds the images and artifacts of an index, which are called like it besides what it calls them.
fn collect(blobs: &Blobs, index: &Listing, level: &Level<'_>, found: &mut Found) -> Result<()> {
    for (number, value) in index.manifests.iter().enumerate() {
        let descriptor = match descriptor(blobs, level.piece, value) {
            Ok(Some(descriptor)) => descriptor,
            Ok(None) => continue,
            Err(error) => {
                found.skip(blobs, value, level, error)?;
                continue;
            }
        };
        let names = [level.names, &names_in(&descriptor.annotations)].concat();
        if !found.seen.insert((descriptor.digest, level.entry, names.clone())) {
            continue;
        }
        found.read += 1;
        check(blobs, Limit::Manifests, found.read)?;
        let listed = Entry { value, blob: blob(blobs, &descriptor, level.entry.is_none()), descriptor };
        if is_image(&listed.descriptor.media_type) {
            let platform = listed.descriptor.platform.as_ref();
            if platform.is_none_or(|platform| platform.os != UNKNOWN) {
                image(blobs, listed, names, level, found)?;
            }
        } else {
            let entry = level.entry.or(Some(number));
            nested(blobs, listed, names, &Level { entry, ..*level }, found)?;
        }
    }
    Ok(())
}

/// Adds what an index of an index has, or the index itself if it is an artifact that refers to something.
fn nested(blobs: &Blobs, listed: Entry<'_>, names: Vec<String>, level: &Level<'_>, found: &mut Found) -> Result<()> {
    check(blobs, Limit::IndexDepth, level.depth + 1)?;
    let Entry { value, descriptor, blob } = listed;
    let read = || {
        let bytes = blob.read(blobs)?;
        Ok((parse::<Listing>(blobs, &blob.name, &bytes)?, bytes))
    };
    let (index, bytes) = match read() {
        Ok(read) => read,
        Err(error) => return found.skip(blobs, value, level, error),
    };
    if let Some(referrer) = Referrer::of(&Descriptor::of(&descriptor.media_type, &bytes), &bytes) {
        let kind = descriptor.artifact_type().or(index.artifact_type()).map(str::to_owned);
        found.subjects.add(referrer.clone());
        if let Some(artifact_type) = kind {
            let (digest, subject, entry) = (descriptor.digest, Some(referrer.subject), referrer.entry);
            found.artifacts.push(Artifact { artifact_type, digest, repo_tags: names, subject, entry });
            return Ok(());
        }
    }
    let level = Level { piece: &blob.name, names: &names, entry: level.entry, depth: level.depth + 1 };
    collect(blobs, &index, &level, found)
}

/// Adds the image of a manifest, or the artifact. An index may list what is kept elsewhere (image-layout.md, "Content"):
/// whoever saves the image of one platform keeps the index of all.
fn image(
    blobs: &Blobs,
    listed: Entry<'_>,
    references: Vec<String>,
    level: &Level<'_>,
    found: &mut Found,
) -> Result<()> {
    let Entry { value, descriptor, blob } = listed;
    let (platform, index) = (descriptor.platform.clone(), level.entry);
    if platform.is_some() && blobs.is_elsewhere(&blob.name)? {
        let (layers, is_present, manifest) = (Vec::new(), false, None);
        found.images.push(Listed { references, platform, index, is_present, config: blob, layers, manifest });
        return Ok(());
    }
    let stated_type = descriptor.artifact_type();
    if let (Some(kind), Some(digest)) = (stated_type, blob.digest)
        && blobs.is_elsewhere(&blob.name)?
    {
        let (artifact_type, entry) = (kind.to_owned(), descriptor.clone());
        found.artifacts.push(Artifact { artifact_type, digest, repo_tags: references, subject: None, entry });
        let missing = blobs.error(format!("found no {}", blob.name));
        return if level.depth == 0 { found.skip(blobs, value, level, missing) } else { Ok(()) };
    }
    let bytes = match blob.read(blobs) {
        Ok(bytes) => bytes,
        Err(error) => return found.skip(blobs, value, level, error),
    };
    let parsed = parse::<Manifest>(blobs, &blob.name, &bytes);
    let stated_type = stated_type.map(str::to_owned);
    let kind = match &parsed {
        Ok(manifest) => stated_type.or(manifest.artifact().map(str::to_owned)),
        // Other tools read an artifact whose layers have digests of another algorithm.
        Err(_) => stated_kind(&bytes),
    };
    let oci_descriptor = Descriptor::of(&descriptor.media_type, &bytes);
    if let Some(artifact_type) = kind {
        let referrer = Referrer::of(&oci_descriptor, &bytes);
        let (digest, subject) = (oci_descriptor.digest, referrer.as_ref().map(|it| it.subject));
        let entry = referrer.as_ref().map_or(oci_descriptor, |it| it.entry.clone());
        found.subjects.extend(referrer);
        found.artifacts.push(Artifact { artifact_type, digest, repo_tags: references, subject, entry });
        return Ok(());
    }
    let manifest = match parsed {
        Ok(manifest) => manifest,
        Err(error) => return found.skip(blobs, value, level, error),
    };
    if manifest.subject.is_some() {
        found.subjects.extend(Referrer::of(&oci_descriptor, &bytes));
    }
    let piece = |descriptor: &Descriptor| Blob {
        name: blobs.blob_name(&descriptor.digest),
        digest: Some(descriptor.digest),
        size: Some(descriptor.size),
    };
    let (config, layers) = (piece(&manifest.config), manifest.layers.iter().map(piece).collect());
    found.kept += bytes.len() as u64;
    check(blobs, Limit::Descriptions, found.kept)?;
    let manifest = Some(StoredManifest { descriptor: oci_descriptor, bytes, manifest });
    found.images.push(Listed { references, platform, index, is_present: true, config, layers, manifest });
    Ok(())
}

fn check(blobs: &Blobs, limit: Limit, found: u64) -> Result<()> {
    let wrong = |exceeded| blobs.error(format!("{INDEX_NAME}: {exceeded}"));
    blobs.limits().check(limit, found).map_err(wrong)
}

/// An entry of the index in `piece` that is a manifest or an index.
pub(crate) fn descriptor(blobs: &Blobs, piece: &str, entry: &Value) -> Result<Option<Descriptor>> {
    if !is_image(media_type_of(entry)) && !is_index(media_type_of(entry)) {
        return Ok(None);
    }
    Descriptor::deserialize(entry).map(Some).map_err(|e| blobs.error(format!("{piece}: {e}")))
}

fn media_type_of(entry: &Value) -> &str {
    entry["mediaType"].as_str().unwrap_or_default()
}

/// Where a manifest or an index is; that of a `dir:` directory itself is its manifest.json.
pub(crate) fn blob(blobs: &Blobs, descriptor: &Descriptor, is_top: bool) -> Blob {
    let is_manifest = is_top && blobs.is_flat();
    let name = if is_manifest { MANIFEST_NAME.to_owned() } else { blobs.manifest_name(&descriptor.digest) };
    Blob { name, digest: Some(descriptor.digest), size: Some(descriptor.size) }
}

pub(crate) fn parse<T: DeserializeOwned>(blobs: &Blobs, name: &str, bytes: &[u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|e| blobs.error(format!("{name}: {e}")))
}

impl Found {
    /// Skips an entry that gave this error when it was read, unless it may be that of an image, or is not of index.json
    /// itself.
    fn skip(&mut self, blobs: &Blobs, value: &Value, level: &Level<'_>, error: Error) -> Result<()> {
        if level.depth > 0 {
            return Err(error);
        }
        self.unread.push(UnreadEntry::of(blobs, value, error)?);
        Ok(())
    }

    /// What is listed that is no image, for messages.
    fn no_images(&self, index: &Listing) -> String {
        if let Some(UnreadEntry { digest, cause, .. }) = self.unread.first() {
            return format!(", and cannot read {}: {cause}", digest.escape_debug());
        }
        if !self.artifacts.is_empty() {
            let kinds: Vec<String> =
                self.artifacts.iter().map(|it| it.artifact_type.escape_debug().to_string()).collect();
            return format!(", only artifacts of type {}", kinds.join(", "));
        }
        let kinds: Vec<String> =
            index.manifests.iter().map(|it| media_type_of(it).escape_debug().to_string()).collect();
        if kinds.is_empty() { String::new() } else { format!(", only {}", kinds.join(", ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blobs::PieceDirectory;
    use layerstone_oci::media_type::{DOCKER_LIST, INDEX, MANIFEST};
    use layerstone_store::Directory;
    use serde_json::{Value, json};
    use std::path::Path;

    const REF_NAME: &str = "org.opencontainers.image.ref.name";
    const IMAGE_NAME: &str = "io.containerd.image.name";

    /// Writes a blob; its descriptor.
    fn blob(directory: &Path, media_type: &str, value: &Value) -> Value {
        let bytes = value.to_string();
        let digest = Digest::of(bytes.as_bytes());
        std::fs::create_dir_all(directory.join("blobs/sha256")).unwrap();
        std::fs::write(directory.join(format!("blobs/sha256/{}", digest.hex())), &bytes).unwrap();
        json!({"mediaType": media_type, "digest": digest.to_string(), "size": bytes.len()})
    }

    fn manifest(directory: &Path, text: &str) -> Value {
        let config = blob(directory, "", &json!(text));
        blob(directory, MANIFEST, &json!({"config": config, "layers": []}))
    }

    /// The titles of the images of an index, whose images are called by annotations.
    #[track_caller]
    fn check(directory: &Path, manifests: &[Value], expected: Result<&[&str], &str>) {
        std::fs::write(directory.join(INDEX_NAME), json!({"manifests": manifests}).to_string()).unwrap();
        let (opened, shown) = (Directory::open(directory).unwrap(), directory.to_owned());
        let pieces = PieceDirectory { directory: opened, shown, limits: Default::default(), is_flat: false };
        let found = images(&Blobs::Directory(pieces)).map(|found| found.images);
        let text = |e: crate::Error| e.to_string().replace(&format!("{}", directory.display()), "F");
        let found = found.map(|images| images.iter().map(Listed::title).collect::<Vec<_>>()).map_err(text);
        let expected = expected.map(|titles| titles.iter().map(|title| (*title).to_owned()).collect());
        assert_eq!(found, expected.map_err(str::to_owned));
    }

    #[test]
    fn names_and_platforms() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let mut named = manifest(directory, "a");
        named["annotations"] = json!({REF_NAME: "1", IMAGE_NAME: "docker.io/library/x:1", "other": "y"});
        let mut unknown = manifest(directory, "b");
        unknown["platform"] = json!({"os": "unknown", "architecture": "unknown"});
        let mut arm = manifest(directory, "c");
        arm["platform"] = json!({"os": "linux", "architecture": "arm", "variant": "v7"});
        let mut nested = blob(directory, DOCKER_LIST, &json!({"manifests": [unknown, arm]}));
        nested["annotations"] = json!({REF_NAME: "2"});
        check(directory, &[named, nested], Ok(&["x:1 1", "2 (linux/arm/v7)"]));
    }

    /// A platform's image may be elsewhere, as long as one is here.
    #[test]
    fn what_is_elsewhere() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let hex = "0".repeat(64);
        let platform = json!({"os": "linux", "architecture": "arm64"});
        let absent = json!({"mediaType": MANIFEST, "digest": format!("sha256:{hex}"), "size": 1, "platform": platform});
        let here = manifest(directory, "a");
        let titles = ["one without a name (linux/arm64, not there)", "one without a name"];
        check(directory, &[absent.clone(), here], Ok(&titles));
        check(directory, &[absent], Err(&format!("not an image: F: found no blobs/sha256/{hex}")));
    }

    /// Of a tar that was cut between two members nothing is elsewhere: what it lists was behind the cut.
    #[test]
    fn what_was_cut() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let for_platform = |name: &str, architecture: &str| {
            let mut listed = manifest(directory, name);
            listed["platform"] = json!({"os": "linux", "architecture": architecture});
            listed
        };
        let [first, second] = [for_platform("a", "amd64"), for_platform("b", "arm64")];
        let piece = |listed: &Value| format!("blobs/sha256/{}", &listed["digest"].as_str().unwrap()[7..]);
        let mut tar = tar::Builder::new(Vec::new());
        let mut append = |name: &str, bytes: &[u8]| {
            let mut header = tar::Header::new_ustar();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            tar.append_data(&mut header, name, bytes).unwrap();
        };
        append(INDEX_NAME, json!({"manifests": [first, second]}).to_string().as_bytes());
        append(&piece(&first), &std::fs::read(directory.join(piece(&first))).unwrap());
        let sparse = tar.into_inner().unwrap();
        let cut = sparse.len() - 2 * 512;
        let images_of = |bytes: &[u8]| {
            let file = directory.join("cut.tar");
            std::fs::write(&file, bytes).unwrap();
            let found = images(&Blobs::open(&file, Path::new("F"), Default::default()).unwrap());
            found.map(|found| found.images.len()).map_err(|e| e.to_string())
        };
        assert_eq!(images_of(&sparse), Ok(2));
        let cause = format!("the archive ends before {}, without the zeros that end a tar", piece(&second));
        assert_eq!(images_of(&sparse[..cut]), Err(format!("not an image: F: {cause}")));
    }

    #[test]
    fn no_image() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        check(directory, &[], Err("not an image: F: index.json: found no image"));
        let others = ["a/b", "c/\n"].map(|kind| json!({"mediaType": kind, "digest": "sha512:0", "size": 0}));
        check(directory, &others, Err("not an image: F: index.json: found no image, only a/b, c/\\n"));
        let bad = json!({"mediaType": MANIFEST, "digest": "sha512:0", "size": 0});
        check(directory, &[bad], Err("not an image: F: index.json: not a sha256 digest: \"sha512:0\""));
    }

    /// Five indexes of thirty each would be read twenty million times: each is read once under a name.
    #[test]
    fn indexes_that_list_each_other_often() {
        let directory = tempfile::tempdir().unwrap();
        let mut inner = blob(directory.path(), INDEX, &json!({"manifests": []}));
        for _ in 0..5 {
            inner = blob(directory.path(), INDEX, &json!({"manifests": vec![inner; 30]}));
        }
        check(directory.path(), &[inner], Err(&format!("not an image: F: index.json: found no image, only {INDEX}")));
        // Names of their own make different ones of them.
        let named = |inner: &Value| {
            let called = |number: usize| {
                let mut inner = inner.clone();
                inner["annotations"] = json!({REF_NAME: number.to_string()});
                inner
            };
            blob(directory.path(), INDEX, &json!({"manifests": (0..30).map(called).collect::<Vec<_>>()}))
        };
        let mut inner = blob(directory.path(), INDEX, &json!({"manifests": []}));
        for _ in 0..5 {
            inner = named(&inner);
        }
        check(
            directory.path(),
            &[inner],
            Err("not an image: F: index.json: found 10001 manifests, expected at most 10000 (limit manifests)"),
        );
    }
}
