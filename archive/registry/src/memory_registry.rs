//! Holds a registry in memory: manifests by tag and digest, blobs by digest, lists of tags, repositories and referrers
//! (distribution-spec, "Content Discovery").

use crate::url::{decode, encode};
use layerstone_oci::{BlobStore, Content, Descriptor, PutOutcome, Reference, Referrer, media_type};
use layerstone_store::Digest;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A manifest or blob, and its bytes.
#[derive(Clone, Debug)]
pub struct StoredContent {
    /// What it is.
    pub descriptor: Descriptor,
    /// Its bytes.
    pub content: Arc<dyn Content>,
}

/// The repositories of a registry.
#[derive(Debug, Default)]
pub struct MemoryRegistry {
    /// Manifests by tag, for each repository.
    tags: BTreeMap<String, BTreeMap<String, Digest>>,
    /// Manifests and indexes, of any repository.
    manifests: BTreeMap<Digest, StoredContent>,
    /// Blobs, of any repository: all of them are for anyone.
    blobs: BTreeMap<Digest, StoredContent>,
    /// Descriptors of the manifests that have a subject, by the subject and by their own digest.
    referrers: BTreeMap<Digest, BTreeMap<Digest, Descriptor>>,
}

/// A repository of a registry in memory, to put images into.
#[derive(Debug)]
pub struct RepositoryHandle<'a> {
    /// The registry.
    pub registry: &'a Mutex<MemoryRegistry>,
    /// The name of the repository.
    pub repository: String,
}

impl RepositoryHandle<'_> {
    fn lock(&self) -> MutexGuard<'_, MemoryRegistry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BlobStore for RepositoryHandle<'_> {
    fn put(&self, descriptor: &Descriptor, content: &Arc<dyn Content>) -> layerstone_oci::Result<PutOutcome> {
        let blob = StoredContent { descriptor: descriptor.clone(), content: Arc::clone(content) };
        self.lock().blobs.insert(descriptor.digest, blob);
        Ok(PutOutcome::Sent)
    }

    fn put_manifest(&self, descriptor: &Descriptor, bytes: &[u8]) -> layerstone_oci::Result<()> {
        let manifest = StoredContent { descriptor: descriptor.clone(), content: Arc::new(bytes.to_vec()) };
        let mut registry = self.lock();
        if let Some(Referrer { subject, entry }) = Referrer::of(descriptor, bytes) {
            registry.referrers.entry(subject).or_default().insert(descriptor.digest, entry);
        }
        registry.manifests.insert(descriptor.digest, manifest);
        Ok(())
    }

    fn finish(&self, descriptor: &Descriptor, bytes: &[u8], name: Option<&Reference>) -> layerstone_oci::Result<()> {
        self.put_manifest(descriptor, bytes)?;
        let mut registry = self.lock();
        let tags = registry.tags.entry(self.repository.clone()).or_default();
        tags.extend(name.map(|name| (name.tag_or_latest().to_owned(), descriptor.digest)));
        Ok(())
    }
}

/// Which content is wanted.
#[derive(Debug)]
pub(crate) struct Wanted {
    /// `blob` or `manifest`.
    pub kind: &'static str,
    /// The repository that was named.
    pub repository: String,
    /// A tag, or a digest.
    pub reference: String,
}

/// The answer to a request.
pub(crate) enum Answer<'a> {
    Content(&'a StoredContent, Wanted),
    Json(Value, Vec<(&'static str, String)>),
    No(u16, &'static str, &'static str),
}

/// The answer to an unknown name.
const NO_NAME: Answer<'static> = Answer::No(404, "NAME_UNKNOWN", "repository name not known to registry");

impl MemoryRegistry {
    /// The answer to a request for this path and query. %-codes in them are decoded; of an absolute URL the path counts (RFC
    /// 9112, section 3.2.2).
    pub(crate) fn answer(&self, target: &str) -> Answer<'_> {
        let target = match target.split_once("://") {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => {
                &rest[rest.find('/').unwrap_or(rest.len())..]
            }
            _ => target,
        };
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let Some(path) = decode(path) else { return NO_NAME };
        let Some(rest) = path.strip_prefix("/v2") else { return NO_NAME };
        if matches!(rest, "" | "/") {
            return Answer::Json(json!({}), Vec::new());
        }
        let Some(rest) = rest.strip_prefix('/') else { return NO_NAME };
        if rest == "_catalog" {
            let names: Vec<&str> = self.tags.keys().map(String::as_str).collect();
            return listed(&names, query, "/v2/_catalog", |names| json!({"repositories": names}));
        }
        if let Some(name) = rest.strip_suffix("/tags/list") {
            let Some(tags) = self.tags.get(name) else { return NO_NAME };
            let tags: Vec<&str> = tags.keys().map(String::as_str).collect();
            return listed(&tags, query, &path, |tags| json!({"name": name, "tags": tags}));
        }
        let kinds = ["/blobs/", "/manifests/", "/referrers/"];
        let split = |kind: &'static str| rest.rsplit_once(kind).map(|(name, wanted)| (kind, name, wanted));
        let Some((kind, name, wanted)) = kinds.into_iter().find_map(split) else { return NO_NAME };
        let Some(tags) = self.tags.get(name) else { return NO_NAME };
        let wanted_as = |kind| Wanted { kind, repository: name.to_owned(), reference: wanted.to_owned() };
        match kind {
            "/blobs/" => match wanted.parse().ok().and_then(|digest| self.blobs.get(&digest)) {
                Some(stored) => Answer::Content(stored, wanted_as("blob")),
                None => Answer::No(404, "BLOB_UNKNOWN", "blob unknown to registry"),
            },
            "/manifests/" => {
                let digest = wanted.parse().ok().or_else(|| tags.get(wanted).copied());
                match digest.and_then(|digest| self.manifests.get(&digest)) {
                    Some(stored) => Answer::Content(stored, wanted_as("manifest")),
                    None => Answer::No(404, "MANIFEST_UNKNOWN", "manifest unknown"),
                }
            }
            _ => self.referrers(wanted, query),
        }
    }

    /// The manifests that refer to one, which need not be here (distribution-spec, "Listing Referrers").
    fn referrers(&self, wanted: &str, query: &str) -> Answer<'_> {
        let Ok(digest) = wanted.parse() else {
            return Answer::No(400, "DIGEST_INVALID", "expected sha256: and 64 lower-case hexadecimal digits");
        };
        let kind = value_of(query, "artifactType");
        let referrers = self.referrers.get(&digest).into_iter().flat_map(BTreeMap::values);
        let manifests: Vec<&Descriptor> =
            referrers.filter(|it| kind.as_deref().is_none_or(|kind| it.artifact_type() == Some(kind))).collect();
        let index = json!({"schemaVersion": 2, "mediaType": media_type::INDEX, "manifests": manifests});
        let filtered = kind.map(|_| ("OCI-Filters-Applied", "artifactType".to_owned()));
        Answer::Json(index, filtered.into_iter().chain([("Content-Type", media_type::INDEX.to_owned())]).collect())
    }
}

/// The value of a key in a query.
fn value_of(query: &str, key: &str) -> Option<String> {
    query.split('&').find_map(|pair| pair.split_once('=').filter(|it| it.0 == key)).and_then(|it| decode(it.1))
}

/// A list, or the part of it that `n` and `last` ask for, with a `Link` to the next one.
fn listed(all: &[&str], query: &str, path: &str, value: impl FnOnce(&[&str]) -> Value) -> Answer<'static> {
    let begin = value_of(query, "last").map_or(0, |last| all.partition_point(|name| *name <= last.as_str()));
    let most = value_of(query, "n").and_then(|n| n.parse::<usize>().ok()).unwrap_or(all.len());
    let end = begin.saturating_add(most).min(all.len());
    let part = &all[begin..end];
    let link = part.last().filter(|_| end < all.len());
    let link = link.map(|last| ("Link", format!("<{path}?n={most}&last={}>; rel=\"next\"", encode(last))));
    Answer::Json(value(part), link.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Manifests with a subject are listed there, by their own type or their config's.
    #[test]
    fn referrers() {
        let registry = Mutex::new(MemoryRegistry::default());
        let handle = RepositoryHandle { registry: &registry, repository: "a/b".to_owned() };
        let subject = Digest::of(b"subject");
        let put = |more: Value| {
            let mut manifest = json!({"schemaVersion": 2, "subject": {"digest": subject.to_string()}});
            manifest.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let bytes = manifest.to_string().into_bytes();
            let descriptor = Descriptor::of(media_type::MANIFESTS[0], &bytes);
            handle.finish(&descriptor, &bytes, None).unwrap();
            descriptor.digest.to_string()
        };
        let sbom = put(json!({"artifactType": "x/sbom", "annotations": {"k": "v"}}));
        let signature = put(json!({"config": {"mediaType": "x/signature"}}));
        put(json!({"subject": {"digest": Digest::of(b"other").to_string()}}));
        put(json!({"subject": null}));
        let registry = registry.into_inner().unwrap();
        let listed = |query: &str| match registry.answer(&format!("/v2/a/b/referrers/{subject}{query}")) {
            Answer::Json(index, headers) => {
                let digests = index["manifests"].as_array().unwrap().iter();
                let mut digests: Vec<String> = digests.map(|it| it["digest"].as_str().unwrap().to_owned()).collect();
                digests.sort();
                assert_eq!(headers.iter().any(|(name, _)| *name == "OCI-Filters-Applied"), !query.is_empty());
                digests
            }
            _ => panic!("{query}"),
        };
        let mut both = vec![sbom.clone(), signature.clone()];
        both.sort();
        assert_eq!(listed(""), both);
        assert_eq!(listed("?artifactType=x%2Fsbom"), [sbom]);
        assert_eq!(listed("?artifactType=x/signature"), [signature]);
        assert!(listed("?artifactType=y").is_empty());
    }
}
