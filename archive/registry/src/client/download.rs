//! Downloads blobs; resumes where a connection broke (distribution-spec, "Pulling blobs"; RFC 9110, section 14).

use crate::client::answer::body;
use crate::client::retry::PROGRESS;
use crate::client::{Reply, Request};
use crate::{Error, Repository, Result};
use layerstone_oci::{Content, Descriptor};
use layerstone_store::{Digest, Limit};
use std::io::{Read, Write};

/// A blob in a registry.
#[derive(Clone, Debug)]
pub struct RemoteBlob {
    repository: Repository,
    descriptor: Descriptor,
}

impl Repository {
    /// A blob to download.
    pub fn blob(&self, descriptor: &Descriptor) -> RemoteBlob {
        RemoteBlob { repository: self.clone(), descriptor: descriptor.clone() }
    }

    /// Downloads a small blob, and compares its bytes with its descriptor.
    ///
    /// # Errors
    ///
    /// It does not exist, is too big, or has another digest.
    pub fn small_blob(&self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        let wrong = |cause| {
            let url = self.blob_url(&descriptor.digest).to_string();
            Error::Protocol { what: "cannot read the config", url, cause }
        };
        let limits = &self.registry.options.limits;
        limits.check(Limit::Json, descriptor.size).map_err(|exceeded| wrong(exceeded.to_string()))?;
        let mut bytes = Vec::new();
        self.blob(descriptor).copy(0, &mut bytes)?;
        let (found, expected) = (Digest::of(&bytes), descriptor.digest);
        if found != expected {
            let name = format!("{}/{}", self.registry.host, self.name);
            return Err(Error::Digest { name, found, expected });
        }
        limits.check_json(&bytes).map_err(|exceeded| wrong(exceeded.to_string()))?;
        Ok(bytes)
    }
}

impl RemoteBlob {
    fn copy(&self, from: u64, out: &mut (dyn Write + Send)) -> Result<()> {
        if from > 0 && from >= self.descriptor.size {
            return Ok(());
        }
        let policy = self.repository.registry.retry();
        let (mut attempts, mut at) = (policy.attempts(), from);
        loop {
            let begin = at;
            let Err(error) = self.copy_once(&mut at, out) else {
                attempts.succeed();
                return Ok(());
            };
            if at - begin >= PROGRESS {
                attempts.reset();
            }
            attempts.again(error, Error::is_transient)?;
        }
    }

    /// Requests the rest of the blob from offset `at`.
    fn copy_once(&self, at: &mut u64, out: &mut (dyn Write + Send)) -> Result<()> {
        let RemoteBlob { repository, descriptor } = self;
        let url = repository.blob_url(&descriptor.digest);
        let range = format!("bytes={at}-");
        let headers: &[(&str, &str)] = if *at > 0 { &[("range", &range)] } else { &[] };
        let request = Request { what: "cannot read the blob", method: "GET", url: &url, headers };
        let reply = repository.registry.request_once(&repository.scope, &request)?;
        let reply = repository.found(&request, reply, &descriptor.digest.to_string())?;
        self.take(&request, reply, at, out)
    }

    /// Copies the body of an answer, and advances `at`.
    fn take(&self, request: &Request<'_>, reply: Reply, at: &mut u64, out: &mut (dyn Write + Send)) -> Result<()> {
        let url = || request.url.to_string();
        let wrong = |cause: String| Error::Protocol { what: request.what, url: url(), cause };
        let mut skip = match reply.status() {
            206 => {
                let range = reply.header("content-range").unwrap_or_default();
                let begins = range.strip_prefix("bytes ").and_then(|range| range.split('-').next()?.parse().ok());
                if begins != Some(*at) {
                    return Err(wrong(format!("found Content-Range {range:?}, expected it to begin at {at}")));
                }
                0
            }
            // Whoever knows no ranges sends all of it.
            _ => *at,
        };
        let registry = &self.repository.registry;
        let mut reader = body(reply.answer, Some(self.descriptor.size + skip - *at)).map_err(&wrong)?;
        let mut buffer = vec![0; 1 << 18];
        loop {
            let read = reader.read(&mut buffer);
            registry.options.cancel.check()?;
            let count = read.map_err(|e| {
                let (obstacle, cause) = registry.transport.broken(&e);
                let cause = format!("the answer breaks off after {at} of {} bytes: {cause}", self.descriptor.size);
                Error::Unreachable { url: url(), obstacle, cause }
            })?;
            if count == 0 {
                break;
            }
            let passed = usize::try_from(skip).unwrap_or(usize::MAX).min(count);
            skip -= passed as u64;
            *at += (count - passed) as u64;
            if *at > self.descriptor.size {
                return Err(wrong(format!("found more than {} bytes", self.descriptor.size)));
            }
            let write = out.write_all(&buffer[passed..count]);
            write.map_err(|e| layerstone_oci::Error::from(layerstone_layer::Error::write("blob".as_ref())(e)))?;
        }
        if *at < self.descriptor.size {
            return Err(Error::broken(
                url(),
                format!("the answer breaks off after {at} of {} bytes", self.descriptor.size),
            ));
        }
        Ok(())
    }
}

impl Content for RemoteBlob {
    fn write_to(&self, from: u64, out: &mut (dyn Write + Send)) -> layerstone_layer::Result<()> {
        self.copy(from, out).map_err(|error| match error {
            Error::Content(layerstone_oci::Error::Layer(error)) => error,
            error => layerstone_layer::Error::content(error),
        })
    }
}
