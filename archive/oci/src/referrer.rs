//! Referrers: manifests that name another one as their subject (OCI image-spec, manifest.md, "Guidelines for Artifact Usage"),
//! and lists of them (distribution-spec, "Listing Referrers"). Does not know where they are kept.
//!
//! A list is an index whose entries repeat what each manifest says of itself. A registry without the referrers API keeps
//! it under a tag that is made of the subject's digest (distribution-spec, "Referrers Tag Schema").

use crate::annotation::without_names;
use crate::{Descriptor, Index, media_type};
use layerstone_layer::or_null;
use layerstone_store::Digest;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The bytes of a config of what needs none (image-spec, manifest.md, "Guidance for an Empty Descriptor").
pub const EMPTY_CONFIG: &[u8] = b"{}";
/// The same in base64, as a descriptor may carry it.
const EMPTY_DATA: &str = "e30=";
/// Annotation of a layer that is a file: its name (image-spec, annotations.md).
const TITLE: &str = "org.opencontainers.image.title";
/// Annotation of a manifest: when it was made (image-spec, annotations.md).
pub const CREATED: &str = "org.opencontainers.image.created";

/// What a manifest or an index with a subject tells of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Referrer {
    /// What it refers to.
    pub subject: Digest,
    /// Its entry in the list of that one's referrers.
    pub entry: Descriptor,
}

/// The keys of a manifest or an index that its entry repeats.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Keys {
    #[serde(default)]
    artifact_type: Option<String>,
    #[serde(default)]
    config: Option<Config>,
    #[serde(default)]
    subject: Option<Subject>,
    #[serde(default, deserialize_with = "or_null")]
    annotations: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    #[serde(default)]
    media_type: String,
}

#[derive(Deserialize)]
struct Subject {
    digest: Digest,
}

impl Referrer {
    /// What these bytes tell; none if they have no subject, or one that is named by no sha256. Without a type of its own, an
    /// artifact is what its config is (distribution-spec, "Pushing Manifests with Subject").
    pub fn of(descriptor: &Descriptor, bytes: &[u8]) -> Option<Referrer> {
        let Keys { artifact_type, config, subject, annotations } = serde_json::from_slice(bytes).ok()?;
        let kind = artifact_type.or(config.map(|config| config.media_type)).filter(|kind| !kind.is_empty());
        let mut entry = Descriptor::new(&descriptor.media_type, descriptor.digest, descriptor.size);
        entry.annotations = annotations;
        entry.more.extend(kind.map(|kind| ("artifactType".to_owned(), kind.into())));
        Some(Referrer { subject: subject?.digest, entry })
    }

    /// Its entry in the index.json of a layout, where a name would be that of an image.
    pub fn entry_of_layout(&self) -> Descriptor {
        Descriptor { annotations: without_names(&self.entry.annotations), ..self.entry.clone() }
    }
}

/// The config of a manifest that needs none.
pub fn empty_config() -> Descriptor {
    let mut config = Descriptor::of(media_type::EMPTY, EMPTY_CONFIG);
    config.more.insert("data".to_owned(), EMPTY_DATA.into());
    config
}

/// A file as a layer of an artifact, called so.
pub fn file_layer(media_type: &str, digest: Digest, size: u64, name: &str) -> Descriptor {
    let annotations = [(TITLE.to_owned(), name.to_owned())].into();
    Descriptor { annotations, ..Descriptor::new(media_type, digest, size) }
}

/// The tag of the list of a manifest's referrers, in a registry without the referrers API.
pub fn referrers_tag(subject: &Digest) -> String {
    format!("sha256-{}", subject.hex())
}

impl Index {
    /// Adds what it does not list yet; whether there was something.
    pub fn add_missing(&mut self, entries: &[Descriptor]) -> bool {
        let before = self.manifests.len();
        for entry in entries {
            if self.manifests.iter().all(|listed| listed.digest != entry.digest) {
                self.manifests.push(entry.clone());
            }
        }
        self.manifests.len() > before
    }

    /// Removes all entries of these manifests; whether there was one.
    pub fn remove(&mut self, digests: &[Digest]) -> bool {
        let before = self.manifests.len();
        self.manifests.retain(|listed| !digests.contains(&listed.digest));
        self.manifests.len() < before
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Manifest, StoredManifest};
    use serde_json::json;

    fn sbom(subject: &Descriptor) -> StoredManifest {
        let file = file_layer("application/spdx+json", Digest::of(b"sbom"), 4, "web.spdx.json");
        let annotations = [("k".to_owned(), "v".to_owned())].into();
        StoredManifest::of(Manifest::of_artifact("application/spdx+json", vec![file], subject.clone(), annotations))
    }

    /// What we write: a change of these bytes is a change of the digest of everything that is attached.
    #[test]
    fn bytes_are_pinned() {
        let subject = Descriptor::of(media_type::MANIFEST, b"subject");
        let text = String::from_utf8(sbom(&subject).bytes).unwrap();
        let expected = r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","artifactType":"application/spdx+json","config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2,"data":"e30="},"layers":[{"mediaType":"application/spdx+json","digest":"sha256:98f3ae1ef67113d8140d4f6cb8d2830070e21ea48f091be519659846c771a374","size":4,"annotations":{"org.opencontainers.image.title":"web.spdx.json"}}],"subject":{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:a9491f4c1bf7b0cffbadcba2db8f028e4b3f2867cb59e1f3a0bc1968f3c51242","size":7},"annotations":{"k":"v"}}"#;
        assert_eq!(text, expected);
    }

    #[test]
    fn entries() {
        let subject = Descriptor::of(media_type::MANIFEST, b"subject");
        let StoredManifest { descriptor, bytes, .. } = sbom(&subject);
        let found = Referrer::of(&descriptor, &bytes).unwrap();
        assert_eq!((found.subject, found.entry.artifact_type()), (subject.digest, Some("application/spdx+json")));
        assert_eq!(found.entry.annotations["k"], "v");
        let told = |value: serde_json::Value| {
            let found = Referrer::of(&descriptor, value.to_string().as_bytes());
            found.map(|it| it.entry.artifact_type().unwrap_or("none").to_owned())
        };
        let subject = json!({"digest": subject.digest.to_string()});
        for (value, expected) in [
            (json!({"subject": subject, "config": {"mediaType": "x/signature"}}), Some("x/signature")),
            (json!({"subject": subject, "artifactType": "a/b", "config": {"mediaType": "c/d"}}), Some("a/b")),
            (json!({"subject": subject, "manifests": [], "annotations": null}), Some("none")),
            (json!({"subject": null}), None),
            (json!({"subject": {"digest": "sha512:00"}}), None),
            (json!({}), None),
            (json!([]), None),
        ] {
            assert_eq!(told(value.clone()).as_deref(), expected, "{value}");
        }
    }

    #[test]
    fn lists() {
        let [a, b] = [b"a", b"b"].map(|bytes| Descriptor::of(media_type::MANIFEST, bytes));
        let mut index = Index::new(vec![a.clone()], BTreeMap::new());
        assert!(!index.add_missing(std::slice::from_ref(&a)));
        assert!(index.add_missing(&[b.clone(), a.clone(), b.clone()]));
        assert_eq!(index.manifests, [a.clone(), b.clone()]);
        assert!(index.remove(&[a.digest]) && !index.remove(&[a.digest]));
        assert_eq!(index.manifests, [b]);
        assert_eq!(referrers_tag(&Digest::of(b"{}")).len(), 71);
    }
}
