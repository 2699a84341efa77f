//! A repository as a place to put images into.

use crate::auth::Scope;
use crate::client::{Ask, Body, refusal};
use crate::retry::Stop;
use crate::upload::Sources;
use crate::url::Url;
use crate::{Error, Repository, Result};
use layerstone_layer::Packed;
use layerstone_oci::{Content, Descriptor, Destination, Error as OciError, Given, Name, Put, media_type, spool};
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

/// What a push has done so far, by how blobs got there: how many, and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sent {
    /// Blobs that were sent.
    pub sent: (u64, u64),
    /// Blobs that were there.
    pub there: (u64, u64),
    /// Blobs that were taken over from another repository.
    pub mounted: (u64, u64),
    /// Manifests and indexes that were sent.
    pub manifests: u64,
}

/// A repository that images are put into.
#[derive(Debug)]
pub struct Push {
    repository: Repository,
    sources: Sources,
    tag: Option<String>,
    done: Mutex<Done>,
}

#[derive(Debug, Default)]
struct Done {
    sent: Sent,
    /// Blobs that are there for certain.
    known: BTreeSet<layerstone_store::Digest>,
}

impl Push {
    /// Puts images into this repository under this tag, or under their digests alone; blobs may be taken over from
    /// `mounts`, repositories of the same registry.
    pub fn new(repository: &Repository, tag: Option<&str>, mounts: &[String]) -> Push {
        let mounts: Vec<String> = mounts.iter().filter(|name| **name != repository.name).cloned().collect();
        let scope = Scope { name: repository.name.clone(), is_push: true, sources: Vec::new() };
        let repository = Repository { scope, ..repository.clone() };
        Push { repository, sources: Sources::new(mounts), tag: tag.map(str::to_owned), done: Mutex::default() }
    }

    /// What was done so far.
    pub fn sent(&self) -> Sent {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).sent
    }

    fn put_blob(&self, descriptor: &Descriptor, content: &dyn Content) -> Result<Put> {
        let is_known = self.done.lock().unwrap_or_else(PoisonError::into_inner).known.contains(&descriptor.digest);
        if is_known {
            return Ok(Put::There);
        }
        let put = self.repository.upload(descriptor, content, &self.sources)?;
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        done.known.insert(descriptor.digest);
        let counted = match put {
            Put::Sent => &mut done.sent.sent,
            Put::There => &mut done.sent.there,
            Put::Mounted => &mut done.sent.mounted,
        };
        *counted = (counted.0 + 1, counted.1.saturating_add(descriptor.size));
        Ok(put)
    }

    fn put_named(&self, descriptor: &Descriptor, bytes: &[u8], target: &str) -> Result<()> {
        let Repository { registry, name, scope } = &self.repository;
        let url = registry.url(&format!("{name}/manifests/{target}"));
        if self.is_there(&url, descriptor, bytes, target)? {
            return Ok(());
        }
        let headers = [("content-type", descriptor.media_type.as_str())];
        let ask = Ask { what: "cannot send the manifest", method: "PUT", url: &url, headers: &headers };
        let mut is_first = true;
        registry.policy().run(|| {
            // What was sent may have arrived though its answer did not; a tag that must not change is refused then.
            if !std::mem::take(&mut is_first) && self.is_there(&url, descriptor, bytes, target)? {
                return Ok(());
            }
            let reply = registry.send(scope, &ask, &Body::Bytes(bytes))?;
            match reply.status() {
                200..=299 => Ok(()),
                _ => Err(refusal(&ask, reply)),
            }
        })?;
        self.done.lock().unwrap_or_else(PoisonError::into_inner).sent.manifests += 1;
        Ok(())
    }

    /// Whether the registry has this manifest there. One that does not tell the digest is asked for the bytes.
    fn is_there(&self, url: &Url, descriptor: &Descriptor, bytes: &[u8], target: &str) -> Result<bool> {
        let Repository { registry, scope, .. } = &self.repository;
        let accept = media_type::MANIFESTS.join(", ");
        let ask = Ask { what: "cannot ask for the manifest", method: "HEAD", url, headers: &[("accept", &accept)] };
        let reply = registry.ask(scope, &ask)?;
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

impl Destination for Push {
    fn put(&self, descriptor: &Descriptor, content: &Arc<dyn Content>) -> layerstone_oci::Result<Put> {
        self.put_blob(descriptor, &**content).map_err(outer)
    }

    /// Into a temporary file first: what is there already is known by its digest alone.
    fn put_given(&self, write: &mut Given<'_>) -> layerstone_oci::Result<(Packed, Put)> {
        let stop = self.repository.registry.stop();
        let mut until_stopped = |out: &mut (dyn Write + Send)| write(&mut Stopping { out, stop });
        let (packed, part) = spool(&mut until_stopped).map_err(|error| stop.check().map_or_else(outer, |()| error))?;
        let part: Arc<dyn Content> = Arc::new(part);
        let put = self.put(&Descriptor::layer(None, packed.digest, packed.size), &part)?;
        Ok((packed, put))
    }

    fn is_near(&self) -> bool {
        false
    }

    fn put_manifest(&self, descriptor: &Descriptor, bytes: &[u8]) -> layerstone_oci::Result<()> {
        self.put_named(descriptor, bytes, &descriptor.digest.to_string()).map_err(outer)
    }

    /// Its own tag goes first.
    fn finish(&self, descriptor: &Descriptor, bytes: &[u8], name: Option<&Name>) -> layerstone_oci::Result<()> {
        let digest = descriptor.digest.to_string();
        let tag = self.tag.as_deref().or(name.map(|name| name.tag.as_str()));
        self.put_named(descriptor, bytes, tag.unwrap_or(&digest)).map_err(outer)
    }
}

/// Takes bytes until it is time to end.
struct Stopping<'a> {
    out: &'a mut (dyn Write + Send),
    stop: &'a Stop,
}

impl Write for Stopping<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stop.check().map_err(io::Error::other)?;
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn outer(error: Error) -> OciError {
    match error {
        Error::Content(error) => error,
        error => OciError::destination(error),
    }
}
