//! Pulls: requests of one client for one repository, of which no two are far from each other in time. Does not know who
//! tells them.

use crate::screen::table::{counted, size};
use layerstone_registry::{Asked, Outcome};
use layerstone_store::Digest;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

/// How long a client asks for nothing, and is given nothing, when its pull has ended.
const QUIET: Duration = Duration::from_secs(1);

/// What became of a request.
pub struct Event {
    client: IpAddr,
    repository: String,
    reference: String,
    digest: Digest,
    is_blob: bool,
    change: Change,
}

enum Change {
    Begun,
    Gave(u64),
    Ended,
}

impl Event {
    /// Of this request.
    pub fn of(asked: Asked<'_>, outcome: Outcome<'_>) -> Event {
        let change = match outcome {
            Outcome::Begun => Change::Begun,
            Outcome::Gave(bytes) => Change::Gave(bytes),
            Outcome::Broken | Outcome::Failed(_) => Change::Ended,
        };
        let (repository, reference) = (asked.repository.to_owned(), asked.reference.to_owned());
        let is_blob = asked.kind == "blob";
        Event { client: asked.client, repository, reference, digest: *asked.digest, is_blob, change }
    }
}

/// The pulls that have not ended.
pub struct Pulls<'a> {
    /// Images by the digests of what their names lead to.
    names: &'a BTreeMap<Digest, String>,
    /// By client and repository.
    open: BTreeMap<(IpAddr, String), Pull>,
}

struct Pull {
    /// The image, once that is known.
    name: Option<String>,
    /// Requests that are being answered.
    busy: u64,
    blobs: u64,
    bytes: u64,
    begin: Instant,
    last: Instant,
}

impl<'a> Pulls<'a> {
    /// Of these images.
    pub fn new(names: &'a BTreeMap<Digest, String>) -> Pulls<'a> {
        Pulls { names, open: BTreeMap::new() }
    }

    /// Tells each pull that has ended, until there are no more events.
    pub fn tell(mut self, events: Receiver<Event>, tell: &dyn Fn(&str)) {
        loop {
            let event = match self.open.is_empty() {
                true => events.recv().map_err(|_| RecvTimeoutError::Disconnected),
                false => events.recv_timeout(QUIET),
            };
            match event {
                Ok(event) => self.add(event, Instant::now()),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            let now = Instant::now();
            self.ended(now).iter().for_each(|line| tell(line));
        }
        let all = std::mem::take(&mut self.open);
        all.iter().for_each(|((client, repository), pull)| tell(&pull.line(*client, repository)));
    }

    fn add(&mut self, event: Event, now: Instant) {
        let Event { client, repository, reference, digest, is_blob, change } = event;
        let tagged = || (!reference.starts_with("sha256:")).then(|| format!("{repository}:{reference}"));
        let name = if is_blob { None } else { tagged().or_else(|| self.names.get(&digest).cloned()) };
        let new = Pull { name: None, busy: 0, blobs: 0, bytes: 0, begin: now, last: now };
        let pull = self.open.entry((client, repository)).or_insert(new);
        pull.name = pull.name.take().or(name);
        pull.last = now;
        match change {
            Change::Begun => pull.busy += 1,
            Change::Ended => pull.busy = pull.busy.saturating_sub(1),
            Change::Gave(bytes) => {
                pull.busy = pull.busy.saturating_sub(1);
                pull.blobs += u64::from(is_blob);
                pull.bytes += bytes;
            }
        }
    }

    /// Takes the pulls that have ended: a line of each.
    fn ended(&mut self, now: Instant) -> Vec<String> {
        let has_ended = |pull: &Pull| pull.busy == 0 && now.saturating_duration_since(pull.last) >= QUIET;
        let ended = self.open.extract_if(.., |_, pull| has_ended(pull));
        ended.map(|((client, repository), pull)| pull.line(client, &repository)).collect()
    }
}

impl Pull {
    fn line(&self, client: IpAddr, repository: &str) -> String {
        let what = match self.blobs {
            0 => "its manifest alone".to_owned(),
            count => format!("{}, {}", counted(count, "blob"), size(self.bytes)),
        };
        let name = self.name.as_deref().unwrap_or(repository);
        let time = self.last.saturating_duration_since(self.begin);
        format!("gave {name} to {client}: {what}, {:.1} s", time.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(client: u8, reference: &str, is_blob: bool, change: Change) -> Event {
        let client = IpAddr::from([10, 0, 0, client]);
        let digest = Digest::of(reference.as_bytes());
        Event { client, repository: "a/b".to_owned(), reference: reference.to_owned(), digest, is_blob, change }
    }

    #[test]
    fn pulls_of_two_clients() {
        let (begin, names) = (Instant::now(), BTreeMap::new());
        let at = |ms| begin + Duration::from_millis(ms);
        let mut pulls = Pulls::new(&names);
        pulls.add(event(1, "1", false, Change::Begun), at(0));
        pulls.add(event(1, "1", false, Change::Gave(500)), at(10));
        pulls.add(event(2, "1", false, Change::Begun), at(20));
        pulls.add(event(2, "1", false, Change::Gave(500)), at(20));
        pulls.add(event(1, "sha256:x", true, Change::Begun), at(900));
        // What is long in coming is no end.
        assert_eq!(pulls.ended(at(5000)), ["gave a/b:1 to 10.0.0.2: its manifest alone, 0.0 s"]);
        pulls.add(event(1, "sha256:x", true, Change::Gave(1_000_000)), at(5000));
        pulls.add(event(1, "sha256:y", true, Change::Begun), at(5500));
        pulls.add(event(1, "sha256:y", true, Change::Ended), at(5510));
        assert!(pulls.ended(at(6000)).is_empty());
        assert_eq!(pulls.ended(at(7000)), ["gave a/b:1 to 10.0.0.1: 1 blob, 1.00 MB, 5.5 s"]);
    }

    /// Clients that were told the digest of a tag ask for that.
    #[test]
    fn names_by_digest() {
        let begin = Instant::now();
        let names = BTreeMap::from([(Digest::of(b"sha256:x"), "a/b:2".to_owned())]);
        let mut pulls = Pulls::new(&names);
        pulls.add(event(1, "sha256:x", false, Change::Begun), begin);
        pulls.add(event(1, "sha256:x", false, Change::Gave(7)), begin);
        assert_eq!(pulls.ended(begin + QUIET), ["gave a/b:2 to 10.0.0.1: its manifest alone, 0.0 s"]);
        pulls.add(event(1, "sha256:y", false, Change::Gave(7)), begin);
        assert_eq!(pulls.ended(begin + QUIET), ["gave a/b to 10.0.0.1: its manifest alone, 0.0 s"]);
    }
}
