//! What a server gives away: manifests by tag and digest, blobs by digest, and lists of tags and repositories
//! (distribution-spec, "Content Discovery").

use crate::url::{decode, encode};
use layerstone_layer::Packed;
use layerstone_oci::{Content, Descriptor, Destination, Given, Name, Put, media_type, spool};
use layerstone_store::Digest;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Something that is given away.
#[derive(Clone, Debug)]
pub struct Stored {
    /// What it is.
    pub descriptor: Descriptor,
    /// Its bytes.
    pub content: Arc<dyn Content>,
}

/// All that is given away.
#[derive(Debug, Default)]
pub struct Shelf {
    /// Manifests by tag, for each repository.
    tags: BTreeMap<String, BTreeMap<String, Digest>>,
    /// Manifests and indexes, of any repository.
    manifests: BTreeMap<Digest, Stored>,
    /// Blobs, of any repository: all of them are for anyone.
    blobs: BTreeMap<Digest, Stored>,
    /// Descriptors of the manifests that have a subject, by the subject and by their own digest.
    referrers: BTreeMap<Digest, BTreeMap<Digest, Value>>,
}

/// A repository on a shelf, to put images into.
#[derive(Debug)]
pub struct ShelfPlace<'a> {
    /// The shelf.
    pub shelf: &'a Mutex<Shelf>,
    /// What the repository is called.
    pub repository: String,
}

impl ShelfPlace<'_> {
    fn shelf(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Destination for ShelfPlace<'_> {
    fn put(&self, descriptor: &Descriptor, content: &Arc<dyn Content>) -> layerstone_oci::Result<Put> {
        let blob = Stored { descriptor: descriptor.clone(), content: Arc::clone(content) };
        self.shelf().blobs.insert(descriptor.digest, blob);
        Ok(Put::Sent)
    }

    fn put_given(&self, write: &mut Given<'_>) -> layerstone_oci::Result<(Packed, Put)> {
        let (packed, part) = spool(write)?;
        let content: Arc<dyn Content> = Arc::new(part);
        let put = self.put(&Descriptor::layer(None, packed.digest, packed.size), &content)?;
        Ok((packed, put))
    }

    fn is_near(&self) -> bool {
        false
    }

    fn put_manifest(&self, descriptor: &Descriptor, bytes: &[u8]) -> layerstone_oci::Result<()> {
        let manifest = Stored { descriptor: descriptor.clone(), content: Arc::new(bytes.to_vec()) };
        let mut shelf = self.shelf();
        if let Some((subject, referrer)) = referrer(descriptor, bytes) {
            shelf.referrers.entry(subject).or_default().insert(descriptor.digest, referrer);
        }
        shelf.manifests.insert(descriptor.digest, manifest);
        Ok(())
    }

    fn finish(&self, descriptor: &Descriptor, bytes: &[u8], name: Option<&Name>) -> layerstone_oci::Result<()> {
        self.put_manifest(descriptor, bytes)?;
        let mut shelf = self.shelf();
        let tags = shelf.tags.entry(self.repository.clone()).or_default();
        tags.extend(name.map(|name| (name.tag.clone(), descriptor.digest)));
        Ok(())
    }
}

/// What a manifest refers to, and how it is listed there (distribution-spec, "Listing Referrers"); none if it does not.
fn referrer(descriptor: &Descriptor, bytes: &[u8]) -> Option<(Digest, Value)> {
    let manifest: Value = serde_json::from_slice(bytes).ok()?;
    let subject = manifest.get("subject")?.get("digest")?.as_str()?.parse().ok()?;
    let mut listed = json!({
        "mediaType": descriptor.media_type,
        "digest": descriptor.digest.to_string(),
        "size": descriptor.size,
    });
    // Without a type of its own it is what its config is.
    let kind = manifest.get("artifactType").or_else(|| manifest.get("config")?.get("mediaType"));
    for (key, value) in [("artifactType", kind), ("annotations", manifest.get("annotations"))] {
        if let Some(value) = value {
            listed[key] = value.clone();
        }
    }
    Some((subject, listed))
}

/// What is said to a request.
pub(crate) enum Answer<'a> {
    Content(&'a Stored, &'static str),
    Json(Value, Vec<(&'static str, String)>),
    No(u16, &'static str, &'static str),
}

/// A name of no repository here.
const NO_NAME: Answer<'static> = Answer::No(404, "NAME_UNKNOWN", "repository name not known to registry");

impl Shelf {
    /// What is said to whoever asks for this path and query. %-codes in them are decoded; a whole address is taken for its
    /// path (RFC 9112, section 3.2.2).
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
        match kind {
            "/blobs/" => match wanted.parse().ok().and_then(|digest| self.blobs.get(&digest)) {
                Some(stored) => Answer::Content(stored, "blob"),
                None => Answer::No(404, "BLOB_UNKNOWN", "blob unknown to registry"),
            },
            "/manifests/" => {
                let digest = wanted.parse().ok().or_else(|| tags.get(wanted).copied());
                match digest.and_then(|digest| self.manifests.get(&digest)) {
                    Some(stored) => Answer::Content(stored, "manifest"),
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
        let known = self.referrers.get(&digest).into_iter().flat_map(BTreeMap::values);
        let manifests: Vec<&Value> =
            known.filter(|it| kind.as_ref().is_none_or(|kind| it["artifactType"] == kind.as_str())).collect();
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
        let shelf = Mutex::new(Shelf::default());
        let place = ShelfPlace { shelf: &shelf, repository: "a/b".to_owned() };
        let subject = Digest::of(b"subject");
        let put = |more: Value| {
            let mut manifest = json!({"schemaVersion": 2, "subject": {"digest": subject.to_string()}});
            manifest.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let bytes = manifest.to_string().into_bytes();
            let descriptor = Descriptor::of(media_type::MANIFESTS[0], &bytes);
            place.finish(&descriptor, &bytes, None).unwrap();
            descriptor.digest.to_string()
        };
        let sbom = put(json!({"artifactType": "x/sbom", "annotations": {"k": "v"}}));
        let signature = put(json!({"config": {"mediaType": "x/signature"}}));
        put(json!({"subject": {"digest": Digest::of(b"other").to_string()}}));
        put(json!({"subject": null}));
        let shelf = shelf.into_inner().unwrap();
        let listed = |query: &str| match shelf.answer(&format!("/v2/a/b/referrers/{subject}{query}")) {
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
