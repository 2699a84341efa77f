//! A blob on its way into a registry (distribution-spec, "Push"): asked for, taken over from another repository if that
//! is possible, or sent; taken up again where the registry says it stopped, and cancelled where it cannot be finished.
//!
//! docker-registry 2.8 knows an upload no longer whose connection broke, not even to cancel it: such a blob is sent again.

use crate::client::{Ask, header, refusal};
use crate::error::is_transient_status;
use crate::transport::{Answer, Payload};
use crate::url::{Url, encode};
use crate::{Error, Repository, Result, backoff, pipe};
use layerstone_oci::{Content, Descriptor, Error as OciError, Put};
use std::io::Read;
use std::time::SystemTime;

/// A blob up to this size, in bytes, goes in one request with its digest; a bigger one before its digest, so that it can
/// be taken up again.
const SMALL: u64 = 1 << 20;
const WHAT: &str = "cannot send the blob";
const OCTETS: (&str, &str) = ("content-type", "application/octet-stream");

/// An upload that the registry has begun.
struct Session {
    url: Url,
    /// Bytes that the registry has.
    at: u64,
}

impl Repository {
    /// Puts a blob there unless it is there.
    pub(crate) fn upload(&self, descriptor: &Descriptor, content: &dyn Content, mounts: &[String]) -> Result<Put> {
        self.registry.stop().check()?;
        if self.has(&descriptor.digest)? {
            return Ok(Put::There);
        }
        let mut begun = None;
        for source in mounts {
            match self.begin(Some((descriptor, source)))? {
                None => {
                    begun.iter().for_each(|session| self.cancel(session));
                    return Ok(Put::Mounted);
                }
                // Whoever does not mount begins an upload instead, of which one is enough.
                Some(session) => begun.replace(session).iter().for_each(|session| self.cancel(session)),
            }
        }
        self.send_blob(descriptor, content, begun)?;
        Ok(Put::Sent)
    }

    fn send_blob(&self, descriptor: &Descriptor, content: &dyn Content, begun: Option<Session>) -> Result<()> {
        let mut session = match begun {
            Some(session) => session,
            None => self.begin(None)?.expect("nothing can be mounted"),
        };
        let (mut attempt, mut best) = (0, session.at);
        loop {
            let error = match self.send_rest(&mut session, descriptor, content) {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            attempt += 1;
            let may_try = may_try_again(&error) && attempt <= self.registry.retries();
            let wait = backoff::wait(attempt, None, SystemTime::now()).filter(|_| may_try);
            let waited = wait.ok_or(error).and_then(|wait| self.registry.stop().wait(wait));
            if let Err(error) = waited {
                self.cancel(&session);
                return Err(error);
            }
            session = match self.taken_up(&session, descriptor.size) {
                Some(session) => {
                    if session.at > best {
                        // Progress is as good as a new beginning.
                        (attempt, best) = (0, session.at);
                    }
                    session
                }
                None => {
                    self.cancel(&session);
                    self.begin(None)?.expect("nothing can be mounted")
                }
            };
        }
    }

    /// Begins an upload, or takes a blob over from another repository; none if there is nothing to be sent any more.
    fn begin(&self, mount: Option<(&Descriptor, &String)>) -> Result<Option<Session>> {
        let mut url = self.registry.url(&format!("{}/blobs/uploads/", self.name));
        if let Some((descriptor, source)) = mount {
            url = url.with("mount", &encode(&descriptor.digest.to_string())).with("from", &encode(source));
        }
        let ask = Ask { what: WHAT, method: "POST", url: &url, headers: &[("content-length", "0")] };
        let answer = self.registry.ask(&self.scope, &ask)?;
        match answer.status().as_u16() {
            201 if mount.is_some() => Ok(None),
            202 => Ok(Some(Session { url: self.registry.location(&ask, &answer)?, at: 0 })),
            _ => Err(refusal(&ask, answer)),
        }
    }

    /// Sends what is missing, and the digest at last.
    fn send_rest(&self, session: &mut Session, descriptor: &Descriptor, content: &dyn Content) -> Result<()> {
        let Descriptor { digest, size, .. } = descriptor;
        if session.at == 0 && *size <= SMALL {
            let mut bytes = Vec::new();
            content.write_to(0, &mut bytes)?;
            self.check(descriptor, layerstone_stage::Digest::of(&bytes), bytes.len() as u64)?;
            return self.commit(session, digest, &mut &bytes[..], *size);
        }
        if session.at == *size {
            return self.commit(session, digest, &mut std::io::empty(), 0);
        }
        let range = format!("{}-{}", session.at, size - 1);
        let headers = [OCTETS, ("content-range", range.as_str())];
        // A first piece is the whole, which not every registry knows to be a range.
        let headers = if session.at == 0 { &headers[..1] } else { &headers[..] };
        let url = session.url.clone();
        let ask = Ask { what: WHAT, method: "PATCH", url: &url, headers };
        let left = size - session.at;
        let (answer, told) = pipe::read(content, session.at, self.registry.stop(), |reader| {
            // One byte more than there may be shows that there are too many.
            let mut reader = reader.take(left);
            self.registry.send(&self.scope, &ask, Payload { reader: &mut reader, size: left })
        });
        if let Some(error) = told.error {
            return Err(error.into());
        }
        let answer = answer?;
        if answer.status().as_u16() != 202 {
            return Err(refusal(&ask, answer));
        }
        if session.at == 0 {
            self.check(descriptor, told.digest, told.size)?;
        }
        session.url = self.registry.location(&ask, &answer)?;
        session.at = *size;
        self.commit(session, digest, &mut std::io::empty(), 0)
    }

    /// Ends an upload with its digest, and the bytes if they were not sent before.
    fn commit(
        &self,
        session: &Session,
        digest: &layerstone_stage::Digest,
        reader: &mut dyn Read,
        size: u64,
    ) -> Result<()> {
        let url = session.url.clone().with("digest", &encode(&digest.to_string()));
        let ask = Ask { what: WHAT, method: "PUT", url: &url, headers: &[OCTETS] };
        let answer: Answer = self.registry.send(&self.scope, &ask, Payload { reader, size })?;
        match answer.status().as_u16() {
            201 | 204 => Ok(()),
            _ => Err(refusal(&ask, answer)),
        }
    }

    /// Asks how far an upload is that broke off; none if it cannot go on.
    fn taken_up(&self, session: &Session, size: u64) -> Option<Session> {
        let ask = Ask { what: WHAT, method: "GET", url: &session.url, headers: &[] };
        let answer = self.registry.ask(&self.scope, &ask).ok().filter(|answer| answer.status().as_u16() == 204)?;
        let url = self.registry.location(&ask, &answer).unwrap_or_else(|_| session.url.clone());
        let last = header(&answer, "range")?.trim_start_matches("bytes=").rsplit('-').next()?.parse::<u64>().ok()?;
        // `0-0` is said of no byte as well as of one: one byte more costs nothing.
        let at = if last == 0 { 0 } else { last + 1 };
        // A registry that has one byte of it, and means it, would get that byte twice.
        (at > 0 && at <= size).then_some(Session { url, at })
    }

    /// Lets the registry forget an upload. Nothing can be done if that fails: it forgets by itself later.
    fn cancel(&self, session: &Session) {
        let ask = Ask { what: WHAT, method: "DELETE", url: &session.url, headers: &[] };
        let _ = self.registry.ask(&self.scope, &ask);
    }

    fn check(&self, descriptor: &Descriptor, found: layerstone_stage::Digest, found_size: u64) -> Result<()> {
        if (found, found_size) == (descriptor.digest, descriptor.size) {
            return Ok(());
        }
        let label = format!("{}/{}", self.registry.host(), self.name);
        let (expected, size) = (descriptor.digest, descriptor.size);
        Err(OciError::Blob { label, found, found_size, expected, size }.into())
    }
}

/// A token may have run out while a big blob was sent; a session may have been lost.
fn may_try_again(error: &Error) -> bool {
    match error {
        Error::Unauthorized { .. } => true,
        Error::Status { status, .. } => is_transient_status(*status) || matches!(status, 404 | 416),
        error => error.is_transient(),
    }
}
