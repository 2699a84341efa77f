//! Keeps the list of a subject's referrers where the registry does not: under its tag, changed by reading, adding and
//! writing (distribution-spec, "Pushing Manifests with Subject", "Deleting Manifests").
//!
//! Nothing in the protocol makes these three one step, so that of two clients at the same moment the one that writes last
//! would undo the other. A change counts as made only if the list still has it after a pause that is longer than whoever
//! read the list before may take to write it; otherwise it is made again. Registries that compare `If-Match` are told what was
//! read (RFC 9110, section 13.1).

use crate::client::referrers::TaggedList;
use crate::client::{Body, Request, refusal};
use crate::pause::{PAUSE, pause};
use crate::{Error, Repository, Result};
use layerstone_oci::{Descriptor, Index, Referrer, media_type, referrers_tag};
use layerstone_store::Digest;
use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

const WHAT: &str = "cannot write the list of referrers";
/// What was read longer ago is read again before it is written.
const FRESH: Duration = PAUSE.checked_div(4).expect("four is not zero");
/// Lists that are changed at a time.
const AT_ONCE: usize = 8;
/// Times that a change is made.
const MOST_ROUNDS: u32 = 64;
/// The first of them that ask the registry to compare; one that always refuses does not know what it compares.
const MOST_CONDITIONAL: u32 = 16;

/// Referrers that were stored, and are to be listed: by their subjects.
#[derive(Debug, Default)]
pub(crate) struct Unlisted(BTreeMap<Digest, Vec<Descriptor>>);

impl Unlisted {
    pub(crate) fn add(&mut self, referrer: Referrer) {
        self.0.entry(referrer.subject).or_default().push(referrer.entry);
    }
}

impl Repository {
    /// Has stored referrers listed, by the registry itself or under the tags of their subjects.
    pub(crate) fn list(&self, unlisted: Unlisted) -> Result<()> {
        let all: Vec<(&Digest, &Vec<Descriptor>)> = unlisted.0.iter().collect();
        // Several at a time, since each list has a pause.
        all.chunks(AT_ONCE).try_for_each(|some| {
            thread::scope(|scope| {
                let mut running = Vec::new();
                for (subject, entries) in some {
                    running.push(scope.spawn(|| self.list_of(subject, entries)));
                }
                let join =
                    |it: ScopedJoinHandle<'_, Result<()>>| it.join().unwrap_or_else(|panic| resume_unwind(panic));
                let done: Vec<Result<()>> = running.into_iter().map(join).collect();
                done.into_iter().collect()
            })
        })
    }

    fn list_of(&self, subject: &Digest, entries: &[Descriptor]) -> Result<()> {
        let policy = self.registry.retry();
        let mut attempts = policy.attempts();
        loop {
            let Some(listed) = self.referrers_of_api(subject, None)? else {
                return self.change_list(subject, |index| index.add_missing(entries));
            };
            let missing = entries.iter().find(|entry| listed.iter().all(|it| it.digest != entry.digest));
            let Some(missing) = missing else { return Ok(()) };
            // Some registries take a moment.
            let (host, digest) = (self.registry.host.clone(), missing.digest);
            let name = format!("{host}/{}", self.name);
            attempts.again(Error::NotListed { name, digest, subject: *subject }, |_| true)?;
        }
    }

    /// Deletes referrers of a manifest: takes them from the list under its tag, where the registry has no list of its own, and
    /// then deletes their manifests. Which of them were deleted: where the list is a tag, the registry need not allow it, and
    /// what has another subject, or none, was listed wrongly and stays.
    ///
    /// # Errors
    ///
    /// One does not exist, or is of another subject, and the registry lists it by itself; the registry allows no deletion.
    pub fn delete_referrers(&self, subject: &Digest, referrers: &[Digest]) -> Result<Vec<bool>> {
        let has_api = self.referrers_of_api(subject, None)?.is_some();
        let are_ours = referrers.iter().map(|it| self.is_referrer(subject, it, has_api)).collect::<Result<Vec<_>>>()?;
        if !has_api {
            self.for_pushes().change_list(subject, |index| index.remove(referrers))?;
        }
        let delete = |(referrer, is_ours): (&Digest, bool)| match is_ours.then(|| self.delete(referrer)) {
            None => Ok(false),
            Some(Err(Error::NoDeletion { .. } | Error::NotFound { .. })) if !has_api => Ok(false),
            Some(done) => done.map(|()| true),
        };
        referrers.iter().zip(are_ours).map(delete).collect()
    }

    /// Whether a manifest that is listed has this subject; an error if it has not, and the registry lists it by itself.
    fn is_referrer(&self, subject: &Digest, referrer: &Digest, has_api: bool) -> Result<bool> {
        let found = match self.manifest(&referrer.to_string()) {
            Err(Error::NotFound { .. }) if !has_api => return Ok(false),
            found => found?,
        };
        let is_ours = Referrer::of(&found.descriptor, &found.bytes).is_some_and(|it| it.subject == *subject);
        if has_api && !is_ours {
            let name = format!("{}/{}@{referrer}", self.registry.host, self.name);
            return Err(Error::OtherSubject { name, subject: *subject });
        }
        Ok(is_ours)
    }

    /// Changes the list under a subject's tag until it stays changed. `change` tells whether there was something to change.
    fn change_list(&self, subject: &Digest, change: impl Fn(&mut Index) -> bool) -> Result<()> {
        let policy = self.registry.retry();
        let mut attempts = policy.attempts();
        for round in 0..MOST_ROUNDS {
            let begin = Instant::now();
            let mut list = self.tagged_list(subject)?;
            let read = Instant::now();
            if !change(&mut list.index) {
                return Ok(());
            }
            if read.elapsed() > FRESH {
                continue;
            }
            match self.put_list(subject, &list, round < MOST_CONDITIONAL) {
                Err(error) => attempts.again(error, Error::is_transient)?,
                // Whether it was written or somebody else came first, the next round tells.
                Ok(()) => {
                    let last = list.index.manifests.last().map(|entry| entry.digest);
                    policy.cancel.sleep(pause(begin.elapsed(), last.as_ref(), round))?;
                }
            }
        }
        let tag = referrers_tag(subject);
        let cause = format!("found it changed by others {MOST_ROUNDS} times");
        Err(Error::Protocol { what: WHAT, url: format!("{}/{}:{tag}", self.registry.host, self.name), cause })
    }

    /// Writes a list; if it is asked to look, a registry may refuse because it is another one by now.
    fn put_list(&self, subject: &Digest, list: &TaggedList, is_conditional: bool) -> Result<()> {
        let url = self.registry.url(&format!("{}/manifests/{}", self.name, referrers_tag(subject)));
        let condition = match &list.version {
            Some(version) => ("if-match", version.as_str()),
            None => ("if-none-match", "*"),
        };
        let headers = [("content-type", media_type::INDEX), condition];
        let headers = if is_conditional { &headers[..] } else { &headers[..1] };
        let request = Request { what: WHAT, method: "PUT", url: &url, headers };
        let reply = self.registry.send(&self.scope, &request, &Body::Bytes(&list.index.to_bytes()))?;
        match reply.status() {
            200..=299 | 412 => Ok(()),
            _ => Err(refusal(&request, reply)),
        }
    }
}
