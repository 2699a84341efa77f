//! A blob in a registry, read as it comes; a connection that breaks is taken up where it broke (distribution-spec,
//! "Pulling blobs"; RFC 9110, section 14).

use crate::client::{Ask, header};
use crate::transport::Answer;
use crate::{Error, Repository, Result, backoff, encoding};
use layerstone_oci::{Content, Descriptor};
use std::io::{Read, Write};
use std::time::SystemTime;

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
        let Remote { repository, descriptor } = self;
        let url = repository.registry.url(&format!("{}/blobs/{}", repository.name, descriptor.digest));
        let (mut at, mut attempt) = (from, 0);
        while at < descriptor.size || attempt == 0 {
            let range = format!("bytes={at}-");
            let headers: &[(&str, &str)] = if at > 0 { &[("range", &range)] } else { &[] };
            let ask = Ask { what: "cannot read the blob", method: "GET", url: &url, headers };
            let answer = repository.registry.ask(&repository.scope, &ask)?;
            let answer = repository.found(&ask, answer, &descriptor.digest.to_string())?;
            let begin = at;
            match self.take(&ask, answer, &mut at, out) {
                Err(error) if error.is_transient() => {
                    // Progress is as good as a new beginning.
                    attempt = if at > begin { 1 } else { attempt + 1 };
                    let wait = backoff::wait(attempt, None, SystemTime::now());
                    match wait.filter(|_| attempt <= repository.registry.retries()) {
                        Some(wait) => repository.registry.stop().wait(wait)?,
                        None => return Err(error),
                    }
                }
                result => return result,
            }
        }
        Ok(())
    }

    /// Takes what an answer brings, `at` being how far the blob is.
    fn take(&self, ask: &Ask<'_>, answer: Answer, at: &mut u64, out: &mut (dyn Write + Send)) -> Result<()> {
        let url = || ask.url.to_string();
        let wrong = |cause: String| Error::Protocol { what: ask.what, url: url(), cause };
        let mut skip = match answer.status().as_u16() {
            206 => {
                let range = header(&answer, "content-range").unwrap_or_default();
                let begins = range.strip_prefix("bytes ").and_then(|range| range.split('-').next()?.parse().ok());
                if begins != Some(*at) {
                    return Err(wrong(format!("found Content-Range {range:?}, expected it to begin at {at}")));
                }
                0
            }
            // Whoever knows no ranges sends all of it.
            _ => *at,
        };
        let mut reader = encoding::reader(answer, Some(self.descriptor.size + skip - *at)).map_err(&wrong)?;
        let mut buffer = vec![0; 1 << 18];
        loop {
            let count = reader.read(&mut buffer).map_err(|e| Error::Unreachable {
                url: url(),
                cause: format!("the answer breaks off after {at} of {} bytes: {e}", self.descriptor.size),
            })?;
            if count == 0 {
                break;
            }
            self.repository.registry.stop().check()?;
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
