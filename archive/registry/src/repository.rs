//! One name of a registry: its manifests, tags and blobs, read (distribution-spec, "Pull").

use crate::auth::Scope;
use crate::client::{Ask, Registry, Reply, refusal, told};
use crate::{Error, Remote, Result, encoding};
use layerstone_oci::{Descriptor, media_type};
use layerstone_store::Digest;
use std::sync::Arc;

/// Bytes that a manifest has at most: what registries must take (distribution-spec, "Pushing Manifests").
const MOST_MANIFEST: u64 = 4 << 20;
/// Bytes that a config has at most.
const MOST_CONFIG: u64 = 8 << 20;

/// A repository.
#[derive(Clone, Debug)]
pub struct Repository {
    pub(crate) registry: Arc<Registry>,
    /// What it is called.
    pub(crate) name: String,
    pub(crate) scope: Scope,
}

/// A manifest or an index.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// What it is.
    pub descriptor: Descriptor,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl Repository {
    pub(crate) fn new(registry: Arc<Registry>, name: &str) -> Repository {
        let scope = Scope { name: name.to_owned(), is_push: false, sources: Vec::new() };
        Repository { registry, name: name.to_owned(), scope }
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The registry that it is in.
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// The manifest or index of a tag or digest; its bytes are compared with the digest.
    ///
    /// # Errors
    ///
    /// It is not there, has more than 4 MiB, is of an unknown kind, or has other bytes than its digest says.
    pub fn manifest(&self, target: &str) -> Result<Fetched> {
        let url = self.registry.url(&format!("{}/manifests/{target}", self.name));
        let accept = media_type::MANIFESTS.join(", ");
        let headers = [("accept", accept.as_str())];
        let ask = Ask { what: "cannot read the manifest", method: "GET", url: &url, headers: &headers };
        let (kind, bytes) = self.registry.policy().run(|| {
            let reply = self.found(&ask, self.registry.ask_once(&self.scope, &ask)?, target)?;
            let kind = reply.header("content-type").unwrap_or_default();
            let kind = kind.split(';').next().unwrap_or_default().trim().to_owned();
            Ok((kind, self.read(&ask, reply, MOST_MANIFEST)?))
        })?;
        let found = Digest::of(&bytes);
        if let Some(expected) = target.parse().ok().filter(|expected| *expected != found) {
            return Err(Error::Digest { name: url.to_string(), found, expected });
        }
        let kind =
            if media_type::MANIFESTS.contains(&kind.as_str()) { kind } else { told_kind(&bytes).unwrap_or(kind) };
        if !media_type::MANIFESTS.contains(&kind.as_str()) {
            let cause = format!("found media type {kind:?}, expected a manifest or an index of OCI or docker");
            return Err(Error::Protocol { what: ask.what, url: url.to_string(), cause });
        }
        Ok(Fetched { descriptor: Descriptor::new(&kind, found, bytes.len() as u64), bytes })
    }

    /// A blob that is small, its bytes compared with its descriptor.
    ///
    /// # Errors
    ///
    /// It is not there, too big, or not what it must be.
    pub fn small_blob(&self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        if descriptor.size > MOST_CONFIG {
            let cause = format!("found {} bytes, expected at most {MOST_CONFIG}", descriptor.size);
            let url = self.registry.url(&format!("{}/blobs/{}", self.name, descriptor.digest)).to_string();
            return Err(Error::Protocol { what: "cannot read the config", url, cause });
        }
        let mut bytes = Vec::new();
        layerstone_oci::Content::write_to(&self.blob(descriptor), 0, &mut bytes)?;
        match Digest::of(&bytes) {
            found if found == descriptor.digest => match layerstone_oci::check_json(&bytes) {
                Ok(()) => Ok(bytes),
                Err(cause) => {
                    let url = self.registry.url(&format!("{}/blobs/{}", self.name, descriptor.digest)).to_string();
                    Err(Error::Protocol { what: "cannot read the config", url, cause })
                }
            },
            found => {
                let name = format!("{}/{}", self.registry.host(), self.name);
                Err(Error::Digest { name, found, expected: descriptor.digest })
            }
        }
    }

    /// A blob, to be read.
    pub fn blob(&self, descriptor: &Descriptor) -> Remote {
        Remote::new(self.clone(), descriptor.clone())
    }

    /// Whether a blob is there.
    pub(crate) fn has(&self, digest: &Digest) -> Result<bool> {
        let url = self.registry.url(&format!("{}/blobs/{digest}", self.name));
        let ask = Ask { what: "cannot ask for the blob", method: "HEAD", url: &url, headers: &[] };
        let reply = self.registry.ask(&self.scope, &ask)?;
        match reply.status() {
            200 => Ok(true),
            404 => Ok(false),
            _ => Err(refusal(&ask, reply)),
        }
    }

    /// An answer that says yes.
    pub(crate) fn found(&self, ask: &Ask<'_>, reply: Reply, target: &str) -> Result<Reply> {
        match reply.status() {
            200 | 206 => Ok(reply),
            404 => {
                let joint = if target.contains(':') { '@' } else { ':' };
                let name = format!("{}/{}{joint}{target}", self.registry.host(), self.name);
                Err(Error::NotFound { name, told: told(reply.answer) })
            }
            _ => Err(refusal(ask, reply)),
        }
    }

    /// All of a small body.
    fn read(&self, ask: &Ask<'_>, reply: Reply, most: u64) -> Result<Vec<u8>> {
        let wrong = |cause| Error::Protocol { what: ask.what, url: ask.url.to_string(), cause };
        let reader = encoding::reader(reply.answer, None).map_err(wrong)?;
        let read = self.registry.transport().read_small(reader, most);
        self.registry.stop().check()?;
        let bytes = read.map_err(|cause| {
            let cause = format!("the answer breaks off: {cause}");
            Error::Unreachable { url: ask.url.to_string(), cause }
        })?;
        if bytes.len() as u64 > most {
            return Err(wrong(format!("found more than {most} bytes")));
        }
        Ok(bytes)
    }
}

/// The media type that a manifest itself tells.
fn told_kind(bytes: &[u8]) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(bytes).ok()?;
    Some(value.get("mediaType")?.as_str()?.to_owned())
}
