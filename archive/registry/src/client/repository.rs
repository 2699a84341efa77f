//! Reads manifests from a repository of a registry, and asks for blobs (distribution-spec, "Pull").

use crate::client::answer::body;
use crate::client::auth::{Access, Scope};
use crate::client::refusal::explanation;
use crate::client::{Registry, Reply, Request, refusal};
use crate::url::Url;
use crate::{Error, Result};
use layerstone_oci::{Descriptor, media_type};
use layerstone_store::{Digest, Limit};
use std::sync::Arc;

/// A repository of a registry.
#[derive(Clone, Debug)]
pub struct Repository {
    pub(crate) registry: Arc<Registry>,
    /// Its name.
    pub(crate) name: String,
    pub(crate) scope: Scope,
}

/// A manifest or an index.
#[derive(Clone, Debug)]
pub struct FetchedManifest {
    /// What it is.
    pub descriptor: Descriptor,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl Registry {
    /// A repository of it.
    pub fn repository(self: &Arc<Registry>, name: &str) -> Repository {
        let scope = Scope { name: name.to_owned(), access: Access::Pull, sources: Vec::new() };
        Repository { registry: Arc::clone(self), name: name.to_owned(), scope }
    }
}

impl Repository {
    /// The manifest or index of a tag or digest; its bytes are compared with the digest.
    ///
    /// # Errors
    ///
    /// It does not exist, has more bytes than [`Limit::Json`], is of an unknown media type, or has another digest.
    pub fn manifest(&self, target: &str) -> Result<FetchedManifest> {
        Ok(self.manifest_version(target)?.0)
    }

    /// The same, and the strong entity tag of the answer, if it has one.
    pub(crate) fn manifest_version(&self, target: &str) -> Result<(FetchedManifest, Option<String>)> {
        let url = self.registry.url(&format!("{}/manifests/{target}", self.name));
        let accept = media_type::MANIFESTS.join(", ");
        let headers = [("accept", accept.as_str())];
        let request = Request { what: "cannot read the manifest", method: "GET", url: &url, headers: &headers };
        let (kind, version, bytes) = self.registry.retry().run(|| {
            let reply = self.found(&request, self.registry.request_once(&self.scope, &request)?, target)?;
            let kind = reply.header("content-type").unwrap_or_default();
            let kind = kind.split(';').next().unwrap_or_default().trim().to_owned();
            let version = reply.header("etag").filter(|version| version.starts_with('"')).map(str::to_owned);
            Ok((kind, version, self.read(&request, reply)?))
        })?;
        let found = Digest::of(&bytes);
        if let Some(expected) = target.parse().ok().filter(|expected| *expected != found) {
            return Err(Error::Digest { name: url.to_string(), found, expected });
        }
        let kind =
            if media_type::MANIFESTS.contains(&kind.as_str()) { kind } else { media_type_of(&bytes).unwrap_or(kind) };
        if !media_type::MANIFESTS.contains(&kind.as_str()) {
            let cause = format!("found media type {kind:?}, expected a manifest or an index of OCI or docker");
            return Err(Error::Protocol { what: request.what, url: url.to_string(), cause });
        }
        Ok((FetchedManifest { descriptor: Descriptor::new(&kind, found, bytes.len() as u64), bytes }, version))
    }

    /// The same repository, to be written to.
    pub(crate) fn for_pushes(&self) -> Repository {
        let scope = Scope { name: self.name.clone(), access: Access::Push, sources: Vec::new() };
        Repository { scope, ..self.clone() }
    }

    /// The address of a blob.
    pub(crate) fn blob_url(&self, digest: &Digest) -> Url {
        self.registry.url(&format!("{}/blobs/{digest}", self.name))
    }

    /// Whether a blob exists.
    pub(crate) fn has(&self, digest: &Digest) -> Result<bool> {
        let url = self.blob_url(digest);
        let request = Request { what: "cannot ask for the blob", method: "HEAD", url: &url, headers: &[] };
        let reply = self.registry.request(&self.scope, &request)?;
        match reply.status() {
            200 => Ok(true),
            404 => Ok(false),
            _ => Err(refusal(&request, reply)),
        }
    }

    /// What a blob is whose digest alone is known: the registry says how many bytes it has.
    ///
    /// # Errors
    ///
    /// It does not exist, or the registry does not tell its size.
    pub fn find_blob(&self, digest: &Digest) -> Result<Descriptor> {
        let url = self.blob_url(digest);
        let request = Request { what: "cannot ask for the blob", method: "HEAD", url: &url, headers: &[] };
        let reply = self.found(&request, self.registry.request(&self.scope, &request)?, &digest.to_string())?;
        let size = reply.header("content-length").and_then(|length| length.parse().ok());
        let cause = || "found no Content-Length, expected the size of the blob".to_owned();
        let size = size.ok_or_else(|| Error::Protocol { what: request.what, url: url.to_string(), cause: cause() })?;
        Ok(Descriptor::new("application/octet-stream", *digest, size))
    }

    /// The answer if its status is a success, or else the error.
    pub(crate) fn found(&self, request: &Request<'_>, reply: Reply, target: &str) -> Result<Reply> {
        let joint = if target.contains(':') { '@' } else { ':' };
        self.found_named(request, reply, &format!("{}/{}{joint}{target}", self.registry.host, self.name))
    }

    /// The same for what messages call so.
    pub(crate) fn found_named(&self, request: &Request<'_>, reply: Reply, name: &str) -> Result<Reply> {
        match reply.status() {
            200 | 206 => Ok(reply),
            404 => Err(Error::NotFound { name: name.to_owned(), explanation: explanation(reply.answer) }),
            _ => Err(refusal(request, reply)),
        }
    }

    /// Reads a piece of JSON.
    pub(crate) fn read(&self, request: &Request<'_>, reply: Reply) -> Result<Vec<u8>> {
        let wrong = |cause| Error::Protocol { what: request.what, url: request.url.to_string(), cause };
        let reader = body(reply.answer, None).map_err(wrong)?;
        let limits = &self.registry.options.limits;
        let read = self.registry.transport.read_small(reader, limits.most(Limit::Json));
        self.registry.options.cancel.check()?;
        let bytes = read.map_err(|(obstacle, cause)| {
            let cause = format!("the answer breaks off: {cause}");
            Error::Unreachable { url: request.url.to_string(), obstacle, cause }
        })?;
        limits.check(Limit::Json, bytes.len() as u64).map_err(|exceeded| wrong(exceeded.to_string()))?;
        Ok(bytes)
    }
}

/// The media type in the text of a manifest.
fn media_type_of(bytes: &[u8]) -> Option<String> {
    let value: serde_json::Value = serde_json::from_slice(bytes).ok()?;
    Some(value.get("mediaType")?.as_str()?.to_owned())
}
