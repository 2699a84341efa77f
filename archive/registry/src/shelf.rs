//! What a server gives away: manifests by tag and digest, blobs by digest, and lists of tags and repositories
//! (distribution-spec, "Content Discovery").

use layerstone_layer::Packed;
use layerstone_oci::{Content, Descriptor, Destination, Given, Name, Put, spool};
use layerstone_stage::Digest;
use serde_json::json;
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
        self.shelf().manifests.insert(descriptor.digest, manifest);
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

/// What is said to a request.
pub(crate) enum Answer<'a> {
    Content(&'a Stored, &'static str),
    Json(serde_json::Value, Vec<(&'static str, String)>),
    No(u16, &'static str, &'static str),
}

impl Shelf {
    /// What is said to whoever asks for this path and query.
    pub(crate) fn answer(&self, target: &str) -> Answer<'_> {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let no_name = Answer::No(404, "NAME_UNKNOWN", "repository name not known to registry");
        let Some(rest) = path.strip_prefix("/v2") else { return no_name };
        if matches!(rest, "" | "/") {
            return Answer::Json(json!({}), Vec::new());
        }
        if rest == "/_catalog" {
            let names: Vec<&str> = self.tags.keys().map(String::as_str).collect();
            return listed(&names, query, "/v2/_catalog", |names| json!({"repositories": names}));
        }
        let rest = rest.trim_start_matches('/');
        if let Some(name) = rest.strip_suffix("/tags/list") {
            let Some(tags) = self.tags.get(name) else { return no_name };
            let tags: Vec<&str> = tags.keys().map(String::as_str).collect();
            return listed(&tags, query, path, |tags| json!({"name": name, "tags": tags}));
        }
        if let Some((name, digest)) = rest.rsplit_once("/blobs/") {
            if !self.tags.contains_key(name) {
                return no_name;
            }
            let found = digest.parse().ok().and_then(|digest| self.blobs.get(&digest));
            return match found {
                Some(stored) => Answer::Content(stored, "blob"),
                None => Answer::No(404, "BLOB_UNKNOWN", "blob unknown to registry"),
            };
        }
        if let Some((name, wanted)) = rest.rsplit_once("/manifests/") {
            if !self.tags.contains_key(name) {
                return no_name;
            }
            let tagged = || self.tags.get(name)?.get(wanted).copied();
            let digest = wanted.parse().ok().or_else(tagged);
            let found = digest.and_then(|digest| self.manifests.get(&digest));
            return match found {
                Some(stored) => Answer::Content(stored, "manifest"),
                None => Answer::No(404, "MANIFEST_UNKNOWN", "manifest unknown"),
            };
        }
        no_name
    }
}

/// A list, or the part of it that `n` and `last` ask for, with a `Link` to the next one.
fn listed(all: &[&str], query: &str, path: &str, value: impl FnOnce(&[&str]) -> serde_json::Value) -> Answer<'static> {
    let get =
        |key: &str| query.split('&').find_map(|pair| pair.split_once('=').filter(|it| it.0 == key)).map(|it| it.1);
    let begin = get("last").map_or(0, |last| all.partition_point(|name| *name <= last));
    let most = get("n").and_then(|n| n.parse::<usize>().ok()).unwrap_or(all.len());
    let end = begin.saturating_add(most).min(all.len());
    let part = &all[begin..end];
    let link = part.last().filter(|_| end < all.len());
    let link = link.map(|last| ("Link", format!("<{path}?n={most}&last={last}>; rel=\"next\"")));
    Answer::Json(value(part), link.into_iter().collect())
}
