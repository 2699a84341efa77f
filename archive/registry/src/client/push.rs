//! Pushes images into a repository.

use crate::client::referrer_list::Unlisted;
use crate::client::transport::LOG;
use crate::client::{Body, Request, refusal};
use crate::url::Url;
use crate::{Error, PushStats, Repository, Result};
use layerstone_layer::CompressedBlob;
use layerstone_oci::{
    BlobStore, BlobWriter, Content, Descriptor, ExpectedImage, Manifest, PutOutcome, Reference, Referrer, media_type,
    spool_to_temp,
};
use layerstone_store::{Cancel, Digest};
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

/// Layers of an image for which blobs are asked for one by one, rather than by the image that it takes its tag from.
const FEW: usize = 2;

/// Times that a manifest is sent again because the registry lacks a blob of it, which was put before.
const MOST_LACKING: u32 = 3;

/// A repository as a destination of images.
#[derive(Debug)]
pub struct Push {
    repository: Repository,
    /// Repositories of the same registry that blobs are mounted from.
    sources: Mutex<Vec<String>>,
    tag: Option<String>,
    done: Mutex<Done>,
}

#[derive(Debug, Default)]
struct Done {
    sent: PushStats,
    /// Blobs that the registry has, as far as it was asked.
    existing: BTreeSet<Digest>,
    /// Blobs that a manifest lists which it has.
    listed: BTreeSet<Digest>,
    /// Manifests with a subject, until they are in the list of its referrers.
    unlisted: Unlisted,
}

impl Push {
    /// Pushes images into this repository under this tag, or under their digests alone; blobs may be mounted from
    /// `mounts`, repositories of the same registry.
    pub fn new(repository: &Repository, tag: Option<&str>, mounts: &[String]) -> Push {
        let mounts: Vec<String> = mounts.iter().filter(|name| **name != repository.name).cloned().collect();
        let repository = repository.for_pushes();
        Push { repository, sources: Mutex::new(mounts), tag: tag.map(str::to_owned), done: Mutex::default() }
    }

    /// Statistics so far.
    pub fn sent(&self) -> PushStats {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).sent
    }

    /// What [`BlobStore::put`] would do with a blob, asked without sending anything. A blob would be mounted if a repository
    /// has it that blobs are mounted from; whether the registry then mounts it is known only when it is asked to.
    ///
    /// # Errors
    ///
    /// The registry does not answer, or refuses.
    pub fn would_put(&self, descriptor: &Descriptor) -> Result<PutOutcome> {
        if self.repository.has(&descriptor.digest)? {
            return Ok(PutOutcome::Existing);
        }
        let sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for name in sources {
            match self.repository.registry.repository(&name).has(&descriptor.digest) {
                Ok(true) => return Ok(PutOutcome::Mounted),
                Err(Error::Cancelled) => return Err(Error::Cancelled),
                // What may not be read is not mounted either.
                Ok(false) | Err(_) => {}
            }
        }
        Ok(PutOutcome::Sent)
    }

    /// Whether a manifest or an index would be sent that is to be found under a tag or its digest.
    ///
    /// # Errors
    ///
    /// The registry does not answer, or refuses.
    pub fn would_send(&self, descriptor: &Descriptor, bytes: &[u8], target: &str) -> Result<bool> {
        let Repository { registry, name, .. } = &self.repository;
        Ok(!self.has_manifest(&registry.url(&format!("{name}/manifests/{target}")), descriptor, bytes, target)?)
    }

    /// What [`BlobStore::finish`] stores a manifest under: the tag of the push, or that of its name, or its digest.
    pub fn target(&self, descriptor: &Descriptor, name: Option<&Reference>) -> String {
        let tag = self.tag.as_deref().or(name.map(Reference::tag_or_latest));
        tag.map_or_else(|| descriptor.digest.to_string(), str::to_owned)
    }

    fn put_blob(&self, descriptor: &Descriptor, content: &dyn Content) -> Result<PutOutcome> {
        let done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        let (exists, is_listed) =
            (done.existing.contains(&descriptor.digest), done.listed.contains(&descriptor.digest));
        drop(done);
        if exists {
            return Ok(PutOutcome::Existing);
        }
        let put = match is_listed {
            true => PutOutcome::Existing,
            false => self.repository.upload(descriptor, content, &self.sources)?,
        };
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        done.existing.insert(descriptor.digest);
        let counted = match put {
            PutOutcome::Sent => &mut done.sent.sent,
            PutOutcome::Existing => &mut done.sent.existing,
            PutOutcome::Mounted => &mut done.sent.mounted,
        };
        tracing::debug!(target: LOG, bytes = descriptor.size, "blob {}: {put:?}", descriptor.digest);
        *counted = (counted.0 + 1, counted.1.saturating_add(descriptor.size));
        Ok(put)
    }

    /// Stores a manifest, and notes if it refers to another one.
    fn put_named(&self, descriptor: &Descriptor, bytes: &[u8], target: &str) -> Result<()> {
        self.send_named(descriptor, bytes, target)?;
        if let Some(referrer) = Referrer::of(descriptor, bytes) {
            self.done.lock().unwrap_or_else(PoisonError::into_inner).unlisted.add(referrer);
        }
        Ok(())
    }

    /// Has manifests with a subject listed among that one's referrers.
    fn list_referrers(&self) -> Result<()> {
        let unlisted = mem::take(&mut self.done.lock().unwrap_or_else(PoisonError::into_inner).unlisted);
        self.repository.list(unlisted)
    }

    fn send_named(&self, descriptor: &Descriptor, bytes: &[u8], target: &str) -> Result<()> {
        let Repository { registry, name, .. } = &self.repository;
        let url = registry.url(&format!("{name}/manifests/{target}"));
        if self.has_manifest(&url, descriptor, bytes, target)? {
            return Ok(());
        }
        let headers = [("content-type", descriptor.media_type.as_str())];
        let request = Request { what: "cannot send the manifest", method: "PUT", url: &url, headers: &headers };
        let (policy, mut tries) = (registry.retry(), 0);
        let mut attempts = policy.attempts();
        loop {
            // What was sent may have arrived though its answer did not; a tag that must not change is refused then.
            let is_there = tries > 0 && self.has_manifest(&url, descriptor, bytes, target)?;
            let sent = if is_there { Ok(()) } else { self.send_manifest(&request, bytes) };
            let Err(error) = sent else { break };
            tries += 1;
            attempts.again(error, |it| it.is_transient() || tries <= MOST_LACKING && lacks_blob(it))?;
        }
        attempts.succeed();
        self.done.lock().unwrap_or_else(PoisonError::into_inner).sent.manifests += 1;
        Ok(())
    }

    fn send_manifest(&self, request: &Request<'_>, bytes: &[u8]) -> Result<()> {
        let Repository { registry, scope, .. } = &self.repository;
        let reply = registry.send(scope, request, &Body::Bytes(bytes))?;
        match reply.status() {
            200..=299 => Ok(()),
            _ => Err(refusal(request, reply)),
        }
    }

    /// Whether the registry has this manifest under this name. If it sends no digest, the bytes are compared.
    fn has_manifest(&self, url: &Url, descriptor: &Descriptor, bytes: &[u8], target: &str) -> Result<bool> {
        let Repository { registry, scope, .. } = &self.repository;
        let accept = media_type::MANIFESTS.join(", ");
        let request =
            Request { what: "cannot ask for the manifest", method: "HEAD", url, headers: &[("accept", &accept)] };
        let reply = registry.request(scope, &request)?;
        if reply.status() != 200 {
            return Ok(false);
        }
        match reply.header("docker-content-digest") {
            Some(digest) => Ok(digest == descriptor.digest.to_string()),
            None => match self.repository.manifest(target) {
                Ok(found) => Ok(found.bytes == bytes),
                // Whatever it is, it is not this one.
                Err(Error::NotFound { .. } | Error::Protocol { .. } | Error::Digest { .. }) => Ok(false),
                Err(error) => Err(error),
            },
        }
    }
}

impl Push {
    /// Whether the registry has this manifest by its digest.
    fn has_by_digest(&self, manifest: &Descriptor) -> Result<bool> {
        let Repository { registry, name, scope } = &self.repository;
        let url = registry.url(&format!("{name}/manifests/{}", manifest.digest));
        let headers = [("accept", manifest.media_type.as_str())];
        let request = Request { what: "cannot ask for the manifest", method: "HEAD", url: &url, headers: &headers };
        Ok(registry.request(scope, &request)?.status() == 200)
    }

    /// What the image lists that has this tag now; nothing if there is none, or whatever it is instead.
    fn blobs_of(&self, tag: &str) -> Result<Vec<Descriptor>> {
        let found = match self.repository.manifest(tag) {
            Err(error @ (Error::Unreachable { .. } | Error::Cancelled)) => return Err(error),
            found => found.ok(),
        };
        let limits = &self.repository.registry.options.limits;
        let manifest = found.filter(|found| media_type::is_image(&found.descriptor.media_type));
        let manifest = manifest.and_then(|found| Manifest::parse(&found.bytes, tag, limits).ok());
        Ok(manifest.map(|manifest| [&[manifest.config], &manifest.layers[..]].concat()).unwrap_or_default())
    }

    /// Notes what the registry has because it has a manifest that lists it.
    fn add_listed(&self, blobs: &[Descriptor]) {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        done.listed.extend(blobs.iter().map(|blob| blob.digest));
    }
}

impl BlobStore for Push {
    fn verb(&self) -> &'static str {
        "pushing"
    }

    /// A registry takes no manifest whose blobs it lacks, and keeps them as long as it has it (distribution-spec, "Pushing
    /// Manifests"): one question instead of one a blob, for this image, or for the one that it takes its tag from.
    fn expect_image(&self, image: &ExpectedImage<'_>) -> layerstone_oci::Result<()> {
        if let Some((manifest, blobs)) = image.known
            && self.has_by_digest(manifest)?
        {
            self.add_listed(blobs);
        } else if let Some(tag) = self.tag.as_deref().or(image.name.and_then(Reference::tag))
            && image.layers > FEW
        {
            self.add_listed(&self.blobs_of(tag)?);
        }
        Ok(())
    }

    fn put(&self, descriptor: &Descriptor, content: &Arc<dyn Content>) -> layerstone_oci::Result<PutOutcome> {
        Ok(self.put_blob(descriptor, &**content)?)
    }

    /// Writes a temporary file first: only with its digest can the registry be asked for the blob.
    fn put_streaming(&self, write: &mut BlobWriter<'_>) -> layerstone_oci::Result<(CompressedBlob, PutOutcome)> {
        let cancel = &self.repository.registry.options.cancel;
        let mut until_cancelled = |out: &mut (dyn Write + Send)| write(&mut CancelWriter { out, cancel });
        let (blob, part) = spool_to_temp(&mut until_cancelled)
            .map_err(|error| cancel.check().map_or_else(|e| Error::from(e).into(), |()| error))?;
        let part: Arc<dyn Content> = Arc::new(part);
        let put = self.put(&Descriptor::layer(None, blob.digest, blob.size), &part)?;
        Ok((blob, put))
    }

    fn put_manifest(&self, descriptor: &Descriptor, bytes: &[u8]) -> layerstone_oci::Result<()> {
        Ok(self.put_named(descriptor, bytes, &descriptor.digest.to_string())?)
    }

    fn finish_referrers(&self) -> layerstone_oci::Result<()> {
        Ok(self.list_referrers()?)
    }

    /// The tag of the push overrides the one of the name. What refers to the image is listed before the image has its name.
    fn finish(&self, descriptor: &Descriptor, bytes: &[u8], name: Option<&Reference>) -> layerstone_oci::Result<()> {
        self.list_referrers()?;
        self.put_named(descriptor, bytes, &self.target(descriptor, name))?;
        Ok(self.list_referrers()?)
    }
}

/// Whether a manifest was refused for want of a blob (distribution-spec, "Error Codes"). docker-registry loses sight of a blob
/// for a moment while another client sends the same one, as many do with the config of artifacts.
fn lacks_blob(error: &Error) -> bool {
    matches!(error, Error::Status { status: 400 | 404, explanation, .. } if explanation.contains("BLOB_UNKNOWN"))
}

/// Writes until the work is cancelled.
struct CancelWriter<'a> {
    out: &'a mut (dyn Write + Send),
    cancel: &'a Cancel,
}

impl Write for CancelWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.cancel.check().map_err(io::Error::other)?;
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
