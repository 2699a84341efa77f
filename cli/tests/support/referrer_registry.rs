//! A registry in memory with the referrers API (distribution-spec 1.1), each clause of which can be left out.
//!
//! - `GET /v2/NAME/referrers/DIGEST` is an index of all manifests with that subject, 200 where there is none.
//! - `artifactType` filters, and `OCI-Filters-Applied` says so.
//! - `Link` leads to the next page.
//! - The `PUT` of a manifest with a subject is answered with `OCI-Subject`.
//! - `DELETE` of a manifest takes it off the list.

use crate::support::fake_registry::{FakeRegistry, MANIFEST, named};
use crate::support::http::{Answer, Request, Server};
use serde_json::{Value, json};
use std::sync::Arc;

/// The media type of an index.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// What the registry does.
#[derive(Clone, Copy)]
pub struct Behaviour {
    /// It answers with `OCI-Subject`.
    pub tells_subjects: bool,
    /// It filters if it is asked to.
    pub filters: bool,
    /// Entries of a page.
    pub page: usize,
    /// It lists nothing of what it takes.
    pub forgets: bool,
}

/// As the specification wants it.
pub const USUAL: Behaviour = Behaviour { tells_subjects: true, filters: true, page: 100, forgets: false };

/// Starts one.
pub fn start(behaviour: Behaviour) -> (Server, Arc<FakeRegistry>) {
    let (server, registry) = FakeRegistry::start(move |registry, request| answer(registry, request, behaviour));
    registry.tells_digests.store(true, std::sync::atomic::Ordering::Relaxed);
    (server, registry)
}

fn answer(registry: &FakeRegistry, request: &Request, behaviour: Behaviour) -> Option<Answer> {
    let path = request.path();
    if path == "/v2/" {
        return Some(Answer::bytes(200, "{}"));
    }
    let last = path.rsplit('/').next().unwrap();
    if path.contains("/referrers/") {
        return Some(listed(registry, request, last, behaviour));
    }
    let is_manifest = path.contains("/manifests/");
    match request.method.as_str() {
        "PUT" if is_manifest => {
            let answer = registry.answer(request).with("Docker-Content-Digest", named(&request.body));
            let subject = subject_of(&request.body).filter(|_| behaviour.tells_subjects);
            Some(match subject {
                Some(subject) => answer.with("OCI-Subject", subject),
                None => answer,
            })
        }
        "DELETE" if is_manifest => {
            let gone = registry.manifests.lock().unwrap().remove(last);
            Some(Answer::new(if gone.is_some() { 202 } else { 404 }))
        }
        _ => None,
    }
}

/// The digest that a manifest names as its subject.
fn subject_of(bytes: &[u8]) -> Option<String> {
    let value: Value = serde_json::from_slice(bytes).ok()?;
    Some(value["subject"]["digest"].as_str()?.to_owned())
}

fn listed(registry: &FakeRegistry, request: &Request, subject: &str, behaviour: Behaviour) -> Answer {
    let wanted = request.query("artifactType").into_iter().next().filter(|_| behaviour.filters);
    let manifests = registry.manifests.lock().unwrap();
    let is_digest = |(name, _): &(&String, &(Vec<u8>, String))| name.contains(':') && !behaviour.forgets;
    let entries = manifests.iter().filter(is_digest).filter_map(|(name, (bytes, kind))| {
        subject_of(bytes).filter(|it| it == subject)?;
        let manifest: Value = serde_json::from_slice(bytes).ok()?;
        let mut entry = json!({"mediaType": kind, "digest": name, "size": bytes.len()});
        entry["artifactType"] = manifest.get("artifactType").unwrap_or(&manifest["config"]["mediaType"]).clone();
        if let Some(annotations) = manifest.get("annotations") {
            entry["annotations"] = annotations.clone();
        }
        Some(entry)
    });
    let fits = |entry: &Value| wanted.as_ref().is_none_or(|wanted| entry["artifactType"] == wanted.as_str());
    let all: Vec<Value> = entries.filter(fits).collect();
    let from: usize = request.query("from").first().map_or(0, |from| from.parse().unwrap());
    let page: Vec<&Value> = all.iter().skip(from).take(behaviour.page).collect();
    let next = from + page.len();
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": page});
    let mut answer = Answer::bytes(200, index.to_string()).with("Content-Type", INDEX);
    if next < all.len() {
        answer = answer.with("Link", format!("<{}?from={next}>; rel=\"next\"", request.path()));
    }
    if wanted.is_some() { answer.with("OCI-Filters-Applied", "artifactType") } else { answer }
}

/// A manifest of an artifact with this subject, without a file.
pub fn artifact(kind: &str, subject: &[u8]) -> Vec<u8> {
    let empty = json!({"mediaType": "application/vnd.oci.empty.v1+json", "digest": named(b"{}"), "size": 2});
    let subject = json!({"mediaType": MANIFEST, "digest": named(subject), "size": subject.len()});
    json!({"schemaVersion": 2, "mediaType": MANIFEST, "artifactType": kind, "config": empty, "layers": [empty],
        "subject": subject})
    .to_string()
    .into_bytes()
}
