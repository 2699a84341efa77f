//! A blob in a registry, read as it comes; a connection that breaks is taken up where it broke (distribution-spec,
//! "Pulling blobs"; RFC 9110, section 14).

use crate::client::{Ask, Reply};
use crate::retry::PROGRESS;
use crate::{Error, Repository, Result, encoding};
use layerstone_oci::{Content, Descriptor};
use std::io::{Read, Write};

/// A blob in a registry.
#[derive(Clone, Debug)]
pub struct Remote {
    repository: Repository,
    descriptor: Descriptor,
}

impl Remote {
    pub(crate) fn new(repository: Repository, descriptor: Descriptor) -> Remote {
        Remote { repository, descriptor }
    }

    /// The repository that it is in.
    pub fn repository(&self) -> &Repository {
        &self.repository
    }

    fn copy(&self, from: u64, out: &mut (dyn Write + Send)) -> Result<()> {
        if from > 0 && from >= self.descriptor.size {
            return Ok(());
        }
        let policy = self.repository.registry.policy();
        let (mut attempts, mut at) = (policy.attempts(), from);
        loop {
            let begin = at;
            let Err(error) = self.copy_once(&mut at, out) else { return Ok(()) };
            if at - begin >= PROGRESS {
                attempts.reset();
            }
            attempts.again(error, Error::is_transient)?;
        }
    }

    /// Asks for what is missing, `at` being how far the blob is.
    fn copy_once(&self, at: &mut u64, out: &mut (dyn Write + Send)) -> Result<()> {
        let Remote { repository, descriptor } = self;
        let url = repository.registry.url(&format!("{}/blobs/{}", repository.name, descriptor.digest));
        let range = format!("bytes={at}-");
        let headers: &[(&str, &str)] = if *at > 0 { &[("range", &range)] } else { &[] };
        let ask = Ask { what: "cannot read the blob", method: "GET", url: &url, headers };
        let reply = repository.registry.ask_once(&repository.scope, &ask)?;
        let reply = repository.found(&ask, reply, &descriptor.digest.to_string())?;
        self.take(&ask, reply, at, out)
    }

    /// Takes what an answer brings.
    fn take(&self, ask: &Ask<'_>, reply: Reply, at: &mut u64, out: &mut (dyn Write + Send)) -> Result<()> {
        let url = || ask.url.to_string();
        let wrong = |cause: String| Error::Protocol { what: ask.what, url: url(), cause };
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
        let mut reader = encoding::reader(reply.answer, Some(self.descriptor.size + skip - *at)).map_err(&wrong)?;
        let mut buffer = vec![0; 1 << 18];
        loop {
            let read = reader.read(&mut buffer);
            registry.stop().check()?;
            let count = read.map_err(|e| {
                let cause = registry.transport().broken(&e);
                let cause = format!("the answer breaks off after {at} of {} bytes: {cause}", self.descriptor.size);
                Error::Unreachable { url: url(), cause }
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
            let cause = format!("the answer breaks off after {at} of {} bytes", self.descriptor.size);
            return Err(Error::Unreachable { url: url(), cause });
        }
        Ok(())
    }
}

impl Content for Remote {
    fn write_to(&self, from: u64, out: &mut (dyn Write + Send)) -> layerstone_oci::Result<()> {
        self.copy(from, out).map_err(|error| match error {
            Error::Content(error) => error,
            error => layerstone_oci::Error::destination(error),
        })
    }
}
