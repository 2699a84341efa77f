//! Uploads blobs (distribution-spec, "Push"): asks for the blob, mounts it from another repository where that is possible,
//! or sends it; resumes where the registry says the upload stopped, and cancels uploads that cannot be finished.
//!
//! docker-registry 2.8 knows an upload no longer whose connection broke, not even to cancel it: such a blob is sent again.
//!
//! Registries answer less exactly than the specification says; docs/registries.md lists what is accepted.

use crate::client::auth::Scope;
use crate::client::pipe::Part;
use crate::client::retry::PROGRESS;
use crate::client::{Body, Reply, Request, refusal};
use crate::url::{Url, encode};
use crate::{Error, Repository, Result};
use layerstone_oci::{Content, Descriptor, Error as OciError, PutOutcome};
use layerstone_store::Digest;
use std::cell::RefCell;
use std::sync::{Mutex, PoisonError};

/// A blob up to this size, in bytes, goes in one request with its digest; a bigger one before its digest, so that it can
/// be resumed.
const SMALL: u64 = 1 << 20;
const WHAT: &str = "cannot send the blob";
const OCTETS: (&str, &str) = ("content-type", "application/octet-stream");

/// An upload that the registry has begun.
struct Session {
    url: Url,
    /// Bytes that the registry has.
    at: u64,
    /// Whether that has to be asked, since a request failed.
    is_doubtful: bool,
    /// Whether it was resumed at bytes that the registry named.
    is_resumed: bool,
}

impl Session {
    fn new(url: Url) -> Session {
        Session { url, at: 0, is_doubtful: false, is_resumed: false }
    }
}

impl Repository {
    /// Uploads a blob unless it exists.
    pub(crate) fn upload(
        &self,
        descriptor: &Descriptor,
        content: &dyn Content,
        sources: &Mutex<Vec<String>>,
    ) -> Result<PutOutcome> {
        self.registry.options.cancel.check()?;
        if self.has(&descriptor.digest)? {
            return Ok(PutOutcome::Existing);
        }
        let mut session = None;
        let result = self.mount(descriptor, sources, &mut session).and_then(|put| match put {
            Some(put) => Ok(put),
            None => self.send_blob(descriptor, content, &mut session).map(|()| PutOutcome::Sent),
        });
        self.drop_session(&mut session);
        result
    }

    /// Mounts a blob from another repository. A registry that does not mount begins an upload instead. After any
    /// refusal the source is not tried again, and the blob is sent.
    fn mount(
        &self,
        descriptor: &Descriptor,
        sources: &Mutex<Vec<String>>,
        begun: &mut Option<Session>,
    ) -> Result<Option<PutOutcome>> {
        let names = sources.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for source in names {
            match self.mount_from(descriptor, &source) {
                Ok(None) => return Ok(Some(PutOutcome::Mounted)),
                // One upload is enough.
                Ok(Some(session)) => self.drop_session(&mut begun.replace(session)),
                Err(Error::Cancelled) => return Err(Error::Cancelled),
                Err(_) => sources.lock().unwrap_or_else(PoisonError::into_inner).retain(|name| *name != source),
            }
        }
        Ok(None)
    }

    /// Requests a mount, with a token for the source; returns the upload that was begun instead, if any.
    fn mount_from(&self, descriptor: &Descriptor, source: &str) -> Result<Option<Session>> {
        let url = self.registry.url(&format!("{}/blobs/uploads/", self.name));
        let url = url.with("mount", &encode(&descriptor.digest.to_string())).with("from", &encode(source));
        let scope = Scope { sources: vec![source.to_owned()], ..self.scope.clone() };
        let request = Request { what: WHAT, method: "POST", url: &url, headers: &[] };
        let reply = self.registry.retry().run(|| self.registry.send(&scope, &request, &Body::Bytes(&[])))?;
        match reply.status() {
            201 => Ok(None),
            200 | 202 | 204 => Ok(Some(Session::new(self.registry.location(&request, &reply)?))),
            _ => Err(refusal(&request, reply)),
        }
    }

    /// Sends a blob. The caller cancels what is left in `session`.
    fn send_blob(&self, descriptor: &Descriptor, content: &dyn Content, session: &mut Option<Session>) -> Result<()> {
        let policy = self.registry.retry();
        let (mut attempts, mut best, mut is_renewed) = (policy.attempts(), 0, false);
        loop {
            let result = self.send_once(session, descriptor, content);
            let Err(error) = result else {
                *session = None;
                attempts.succeed();
                return Ok(());
            };
            if let Some(session) = session {
                session.is_doubtful = true;
                if session.at >= best + PROGRESS {
                    (best, is_renewed) = (session.at, false);
                    attempts.reset();
                }
            }
            match error {
                // A new token is no failure of the registry's.
                Error::Renewed { .. } if !is_renewed => is_renewed = true,
                Error::Renewed { url } => {
                    let cause = "found status 401, also with a new token".to_owned();
                    return Err(Error::Unauthorized { url, cause });
                }
                error => {
                    let is_resumed = session.as_ref().is_some_and(|session| session.is_resumed);
                    let begins_again = is_resumed && matches!(error, Error::Status { status: 400, .. });
                    if begins_again {
                        // The registry had other bytes than it said.
                        self.drop_session(session);
                    }
                    attempts.again(error, |error| begins_again || may_try_again(error))?;
                }
            }
        }
    }

    /// Sends the rest of a blob, in a new upload if there is none.
    fn send_once(&self, current: &mut Option<Session>, descriptor: &Descriptor, content: &dyn Content) -> Result<()> {
        if current.as_ref().is_some_and(|session| session.is_doubtful) && self.resume(current, descriptor)? {
            return Ok(());
        }
        let session = match current {
            Some(session) => session,
            None => current.insert(self.begin()?),
        };
        if session.at == 0 && descriptor.size <= SMALL {
            let mut bytes = Vec::new();
            content.write_to(0, &mut bytes)?;
            self.check(descriptor, Digest::of(&bytes), bytes.len() as u64)?;
            return self.commit(session, &descriptor.digest, &bytes);
        }
        if session.at < descriptor.size {
            self.send_rest(session, descriptor, content)?;
        }
        self.commit(session, &descriptor.digest, &[])
    }

    /// Begins an upload.
    fn begin(&self) -> Result<Session> {
        let url = self.registry.url(&format!("{}/blobs/uploads/", self.name));
        let request = Request { what: WHAT, method: "POST", url: &url, headers: &[] };
        let reply = self.registry.send(&self.scope, &request, &Body::Bytes(&[]))?;
        match reply.status() {
            200..=204 => Ok(Session::new(self.registry.location(&request, &reply)?)),
            _ => Err(refusal(&request, reply)),
        }
    }

    /// Sends all bytes that the registry does not have.
    fn send_rest(&self, session: &mut Session, descriptor: &Descriptor, content: &dyn Content) -> Result<()> {
        let size = descriptor.size;
        let range = format!("{}-{}", session.at, size - 1);
        let headers = [OCTETS, ("content-range", range.as_str())];
        // A first piece has all bytes, which not every registry accepts as a range.
        let headers = if session.at == 0 { &headers[..1] } else { &headers[..] };
        let url = session.url.clone();
        let request = Request { what: WHAT, method: "PATCH", url: &url, headers };
        let part = Part { content, from: session.at, size: size - session.at, taken: RefCell::default() };
        let reply = self.registry.send(&self.scope, &request, &Body::Part(&part));
        let is_complete = reply.is_ok() && session.at == 0;
        let is_taken = matches!(&reply, Ok(reply) if (200..=204).contains(&reply.status()));
        let next = reply.and_then(|reply| match is_taken {
            true => self.next(&request, &reply, &session.url),
            false => Err(refusal(&request, reply)),
        });
        // Whatever came of the content, the upload goes on at its new address, if only to be cancelled there.
        if let Ok(next) = &next {
            session.url = next.clone();
        }
        if let Some(taken) = part.taken.into_inner() {
            if let Some(error) = taken.error {
                return Err(error.into());
            }
            if taken.is_short || taken.size > part.size || is_complete && taken.size == part.size {
                self.check(descriptor, taken.digest, session.at + taken.size)?;
            }
        }
        next?;
        self.registry.options.cancel.check()?;
        session.at = size;
        Ok(())
    }

    /// Ends an upload with its digest, and the bytes if they were not sent before.
    fn commit(&self, session: &Session, digest: &Digest, bytes: &[u8]) -> Result<()> {
        let url = session.url.clone().with("digest", &encode(&digest.to_string()));
        let request = Request { what: WHAT, method: "PUT", url: &url, headers: &[OCTETS] };
        let reply = self.registry.send(&self.scope, &request, &Body::Bytes(bytes))?;
        match reply.status() {
            201 | 204 => Ok(()),
            // Neither is what the specification says: the registry is asked for the blob.
            200 | 202 if self.has(digest)? => Ok(()),
            _ => Err(refusal(&request, reply)),
        }
    }

    /// Asks how much of an interrupted upload arrived; an upload that cannot be resumed is dropped. Returns whether the blob
    /// exists by now, which not every registry says of a finished upload.
    fn resume(&self, current: &mut Option<Session>, descriptor: &Descriptor) -> Result<bool> {
        let Some(session) = current else { return Ok(false) };
        let request = Request { what: WHAT, method: "GET", url: &session.url, headers: &[] };
        let reply = self.registry.request_once(&self.scope, &request)?;
        let at = reply_at(&reply).filter(|at| (1..=descriptor.size).contains(at));
        if let Some(at) = at {
            let url = self.next(&request, &reply, &session.url)?;
            *session = Session { url, at, is_doubtful: false, is_resumed: true };
            return Ok(false);
        }
        if self.has(&descriptor.digest)? {
            return Ok(true);
        }
        self.drop_session(current);
        Ok(false)
    }

    /// The URL of the next request of an upload: the current one, if the registry sends none.
    fn next(&self, request: &Request<'_>, reply: &Reply, current: &Url) -> Result<Url> {
        if reply.header("location").is_none() {
            return Ok(current.clone());
        }
        self.registry.location(request, reply)
    }

    /// Cancels an upload, if there is one.
    fn drop_session(&self, session: &mut Option<Session>) {
        if let Some(Session { url, .. }) = session.take() {
            self.registry.forget(&self.scope, &Request { what: WHAT, method: "DELETE", url: &url, headers: &[] });
        }
    }

    fn check(&self, descriptor: &Descriptor, found: Digest, found_size: u64) -> Result<()> {
        if (found, found_size) == (descriptor.digest, descriptor.size) {
            return Ok(());
        }
        let label = format!("{}/{}", self.registry.host, self.name);
        let (expected, size) = (descriptor.digest, descriptor.size);
        Err(OciError::Blob { label, found, found_size, expected, size }.into())
    }
}

/// How many bytes of an upload arrived. `Range: 0-0` is ambiguous (0 or 1 byte), so such an upload is restarted from the
/// beginning.
fn reply_at(reply: &Reply) -> Option<u64> {
    if !matches!(reply.status(), 200 | 202 | 204) {
        return None;
    }
    let last = reply.header("range")?.trim_start_matches("bytes=").rsplit('-').next()?.parse::<u64>().ok()?;
    last.checked_add(1).filter(|_| last > 0)
}

/// Whether to send again: after transient errors, and where the registry may have lost the upload. Other refusals are
/// final; an expired token (401) is replaced before this is asked.
fn may_try_again(error: &Error) -> bool {
    match error {
        Error::Status { status, .. } => error.is_transient() || matches!(status, 404 | 410 | 416),
        error => error.is_transient(),
    }
}
