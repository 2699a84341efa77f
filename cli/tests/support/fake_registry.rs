//! A registry in memory that takes and gives images; tests change its answers.

use crate::support::digest;
use crate::support::http::{Answer, Request, Server};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// The media type of the manifests of [`layout`].
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A registry. All repositories share their blobs and tags; it does not mount.
#[derive(Default)]
pub struct FakeRegistry {
    pub blobs: Mutex<BTreeMap<String, Vec<u8>>>,
    pub uploads: Mutex<BTreeMap<usize, Vec<u8>>>,
    /// Manifests and their media types, by tag and by digest.
    pub manifests: Mutex<BTreeMap<String, (Vec<u8>, String)>>,
    /// Whether `Docker-Content-Digest` is sent.
    pub tells_digests: std::sync::atomic::AtomicBool,
    count: AtomicUsize,
}

/// Every kind of request that a push makes of a registry, and a part of its path.
pub const REQUESTS_OF_A_PUSH: [(&str, &str); 6] = [
    ("HEAD", "/blobs/"),
    ("POST", "/uploads/"),
    ("PATCH", "/uploads/"),
    ("PUT", "/uploads/"),
    ("HEAD", "/manifests/"),
    ("PUT", "/manifests/"),
];

/// The digest of bytes, as descriptors have it.
pub fn named(bytes: &[u8]) -> String {
    format!("sha256:{}", digest(bytes))
}

impl FakeRegistry {
    /// Serves one, with the answers of `other` where there are some.
    pub fn start(
        other: impl Fn(&FakeRegistry, &Request) -> Option<Answer> + Send + Sync + 'static,
    ) -> (Server, Arc<FakeRegistry>) {
        let registry = Arc::new(FakeRegistry::default());
        let kept = Arc::clone(&registry);
        let server = Server::start(move |request| other(&kept, request).unwrap_or_else(|| kept.answer(request)));
        (server, registry)
    }

    pub fn answer(&self, request: &Request) -> Answer {
        let path = request.path();
        let last = path.rsplit('/').next().unwrap();
        if path.contains("/manifests/") {
            self.of_manifests(request, last)
        } else if path.contains("/uploads/") {
            self.of_uploads(request, last.parse().ok())
        } else if path.contains("/blobs/") {
            self.of_blobs(request, last)
        } else {
            Answer::new(404)
        }
    }

    fn of_manifests(&self, request: &Request, name: &str) -> Answer {
        let mut manifests = self.manifests.lock().unwrap();
        if request.method == "PUT" {
            let kind = request.header("content-type").unwrap().to_owned();
            manifests.insert(named(&request.body), (request.body.clone(), kind.clone()));
            manifests.insert(name.to_owned(), (request.body.clone(), kind));
            return Answer::new(201);
        }
        let Some((bytes, kind)) = manifests.get(name) else { return Answer::new(404) };
        let answer = Answer::bytes(200, bytes.clone()).with("Content-Type", kind);
        if self.tells_digests.load(Ordering::Relaxed) {
            return answer.with("Docker-Content-Digest", named(bytes));
        }
        answer
    }

    fn of_blobs(&self, request: &Request, name: &str) -> Answer {
        let blobs = self.blobs.lock().unwrap();
        let Some(bytes) = blobs.get(name) else { return Answer::new(404) };
        let begin = request.header("range").and_then(|it| it.strip_prefix("bytes=")?.split('-').next()?.parse().ok());
        match begin {
            None => Answer::bytes(200, bytes.clone()),
            Some(begin) => {
                let range = format!("bytes {begin}-{}/{}", bytes.len() - 1, bytes.len());
                Answer::bytes(206, &bytes[begin..]).with("Content-Range", range)
            }
        }
    }

    fn of_uploads(&self, request: &Request, session: Option<usize>) -> Answer {
        let mut uploads = self.uploads.lock().unwrap();
        let location = || request.path().to_owned();
        let Some(id) = session else {
            if request.method != "POST" {
                return Answer::new(405);
            }
            let id = self.count.fetch_add(1, Ordering::Relaxed);
            uploads.insert(id, Vec::new());
            return Answer::new(202).with("Location", format!("{}{id}", request.path()));
        };
        let Some(upload) = uploads.get_mut(&id) else { return Answer::new(404) };
        match request.method.as_str() {
            "PATCH" => {
                let range = request.header("content-range");
                let begin = range.map_or(0, |it| it.split('-').next().unwrap().parse().unwrap());
                if begin != upload.len() {
                    return Answer::new(416);
                }
                upload.extend_from_slice(&request.body);
                Answer::new(202).with("Location", location())
            }
            "GET" => Answer::new(204)
                .with("Location", location())
                .with("Range", format!("0-{}", upload.len().saturating_sub(1))),
            "PUT" => {
                let mut bytes = uploads.remove(&id).unwrap();
                bytes.extend_from_slice(&request.body);
                let name = named(&bytes);
                if request.query("digest") != [name.as_str()] {
                    let refusal = json!({"errors": [{"code": "DIGEST_INVALID", "message": "no"}]});
                    return Answer::bytes(400, refusal.to_string());
                }
                self.blobs.lock().unwrap().insert(name, bytes);
                Answer::new(201)
            }
            "DELETE" => {
                uploads.remove(&id);
                Answer::new(204)
            }
            _ => Answer::new(405),
        }
    }

    /// Whether it has the image of a layout under the tag `1`, all blobs included.
    pub fn has(&self, image: &Layout) -> bool {
        let manifests = self.manifests.lock().unwrap();
        let is_named = manifests.get("1").is_some_and(|(bytes, _)| *bytes == image.manifest);
        let blobs = self.blobs.lock().unwrap();
        is_named && image.blobs.iter().all(|(name, bytes)| blobs.get(name) == Some(bytes))
    }

    /// Holds the image of a layout under the tag `1`.
    pub fn hold(&self, image: &Layout) {
        self.blobs.lock().unwrap().extend(image.blobs.clone());
        for name in ["1".to_owned(), named(&image.manifest)] {
            self.manifests.lock().unwrap().insert(name, (image.manifest.clone(), MANIFEST.to_owned()));
        }
    }
}

/// Manifest and config of an image of one plain layer.
pub fn documents(layer: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let config = json!({"architecture": "amd64", "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": [named(layer)]}})
    .to_string()
    .into_bytes();
    let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST,
        "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
        "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", layer)]});
    (manifest.to_string().into_bytes(), config)
}

fn descriptor(kind: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": kind, "digest": named(bytes), "size": bytes.len()})
}

/// An OCI layout with one image, `m:1`, of one layer, whose bytes are no tar.
pub struct Layout {
    pub folder: PathBuf,
    pub manifest: Vec<u8>,
    pub blobs: BTreeMap<String, Vec<u8>>,
    pub layer: String,
}

/// Writes a layout whose layer has so many bytes.
pub fn layout(folder: &Path, size: usize) -> Layout {
    let mut layer = Vec::with_capacity(size + 8);
    let mut word = 1u64;
    while layer.len() < size {
        word = word.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        layer.extend((word >> 20).to_le_bytes());
    }
    layer.truncate(size);
    let (manifest, config) = documents(&layer);
    let mut described = descriptor(MANIFEST, &manifest);
    described["annotations"] = json!({"org.opencontainers.image.ref.name": "m:1"});
    std::fs::create_dir_all(folder.join("blobs/sha256")).unwrap();
    for bytes in [&layer, &config, &manifest] {
        std::fs::write(folder.join("blobs/sha256").join(digest(bytes)), bytes).unwrap();
    }
    std::fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion": "1.0.0"}"#).unwrap();
    let index = json!({"schemaVersion": 2, "manifests": [described]});
    std::fs::write(folder.join("index.json"), index.to_string()).unwrap();
    let name = named(&layer);
    let blobs = [layer, config].into_iter().map(|bytes| (named(&bytes), bytes)).collect();
    Layout { folder: folder.to_owned(), manifest, blobs, layer: name }
}
