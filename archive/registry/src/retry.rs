//! Retries: which failed requests are sent again, how often, and after which wait (RFC 9110, section 10.2.3).
//!
//! Every request of the client goes through here, so that `--retries`, `Retry-After` and a signal mean the same for all of
//! them. Does not know what a request is.

use crate::{Error, Result};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

/// How often a wait looks for a signal.
pub(crate) const TICK: Duration = Duration::from_millis(50);
/// The wait before the first retry; it doubles with each one.
const FIRST: Duration = Duration::from_millis(250);
/// The longest wait that no registry asked for.
const LONGEST: Duration = Duration::from_secs(15);
/// Bytes of a blob that count as progress: what breaks off after as many is counted from the beginning again.
pub(crate) const PROGRESS: u64 = 1 << 16;
/// The longest `Retry-After` that is waited for; with a longer one the request fails at once.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(120);

/// Tells whether a signal asked the program to end.
#[derive(Clone)]
pub struct Stop(pub Arc<dyn Fn() -> bool + Send + Sync>);

impl std::fmt::Debug for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stop(…)")
    }
}

impl Stop {
    /// Never stops: for requests that clean up.
    pub(crate) fn never() -> Stop {
        Stop(Arc::new(|| false))
    }

    /// An error once a signal has come.
    pub(crate) fn check(&self) -> Result<()> {
        if self.is_set() { Err(Error::Stopped) } else { Ok(()) }
    }

    pub(crate) fn is_set(&self) -> bool {
        (self.0)()
    }

    /// Waits, unless a signal comes.
    fn wait(&self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        loop {
            self.check()?;
            match end.saturating_duration_since(Instant::now()) {
                Duration::ZERO => return Ok(()),
                left => sleep(left.min(TICK)),
            }
        }
    }
}

/// How often requests are tried again.
#[derive(Clone, Debug)]
pub(crate) struct Policy {
    /// Retries after the first attempt.
    pub retries: u32,
    pub stop: Stop,
}

impl Policy {
    /// Tries until it succeeds or a retry cannot help.
    pub(crate) fn run<T>(&self, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
        let mut attempts = self.attempts();
        loop {
            match attempt() {
                Ok(done) => return Ok(done),
                Err(error) => attempts.again(error, Error::is_transient)?,
            }
        }
    }

    /// Begins to count attempts.
    pub(crate) fn attempts(&self) -> Attempts<'_> {
        Attempts { policy: self, failed: 0 }
    }
}

/// The attempts of one request.
pub(crate) struct Attempts<'a> {
    policy: &'a Policy,
    failed: u32,
}

impl Attempts<'_> {
    /// Waits for the next attempt; the error comes back where there is none, because it is not transient, because the
    /// registry asks for too long a wait, or because there were enough attempts.
    pub(crate) fn again(&mut self, error: Error, is_transient: impl Fn(&Error) -> bool) -> Result<()> {
        self.policy.stop.check()?;
        if !is_transient(&error) {
            return Err(error);
        }
        self.failed += 1;
        match wait(self.failed, error.retry_after()).filter(|_| self.failed <= self.policy.retries) {
            Some(time) => self.policy.stop.wait(time),
            None => Err(error),
        }
    }

    /// Counts from the beginning, after [`PROGRESS`].
    pub(crate) fn reset(&mut self) {
        self.failed = 0;
    }
}

/// How long to wait before this retry, the first being 1; none if the registry asks for too long a wait.
fn wait(retry: u32, retry_after: Option<Duration>) -> Option<Duration> {
    match retry_after {
        Some(time) => Some(time).filter(|time| *time <= LONGEST_RETRY_AFTER),
        None => Some(FIRST.saturating_mul(1 << (retry - 1).min(16)).min(LONGEST)),
    }
}

/// Parses a `Retry-After` header: seconds, or a date; none if it is neither.
pub(crate) fn parse_retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(text.parse().map_or(Duration::MAX, Duration::from_secs));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?;
    let seconds = u64::try_from(date.timestamp().as_second()).ok()?;
    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    Some(then.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn waits() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let seconds = |retry, header: Option<&str>| {
            wait(retry, header.and_then(|text| parse_retry_after(text, now))).map(|wait| wait.as_secs_f64())
        };
        assert_eq!([1, 2, 3, 9, 99].map(|retry| seconds(retry, None).unwrap()), [0.25, 0.5, 1.0, 15.0, 15.0]);
        for (header, expected) in [
            ("7", Some(7.0)),
            (" 0 ", Some(0.0)),
            ("121", None),
            ("99999999999999999999999", None),
            ("Sun, 06 Nov 1994 08:49:50 GMT", Some(13.0)),
            ("Sun, 06 Nov 1994 08:49:00 GMT", Some(0.0)),
            ("Sun, 06 Nov 1994 09:49:00 GMT", None),
            ("soon", Some(0.25)),
            ("-1", Some(0.25)),
            ("", Some(0.25)),
        ] {
            assert_eq!(seconds(1, Some(header)), expected, "{header:?}");
        }
    }

    fn unreachable() -> Error {
        Error::Unreachable { url: String::new(), cause: String::new() }
    }

    fn status(status: u16, retry_after: u64) -> Error {
        let retry_after = Some(Duration::from_secs(retry_after));
        Error::Status { what: "", url: String::new(), status, told: String::new(), retry_after }
    }

    /// Runs attempts that always fail so; how many there were.
    fn attempts(retries: u32, stop: Stop, error: impl Fn() -> Error) -> (u32, Error) {
        let count = Cell::new(0);
        let failed = Policy { retries, stop }.run(|| -> Result<()> {
            count.set(count.get() + 1);
            Err(error())
        });
        (count.get(), failed.unwrap_err())
    }

    #[test]
    fn how_often() {
        for (retries, error, expected) in [
            (0, unreachable as fn() -> Error, 1),
            (1, unreachable, 2),
            (3, || status(503, 0), 4),
            (3, || status(500, 0), 4),
            (3, || status(429, 121), 1),
            (3, || status(400, 0), 1),
            (3, || status(403, 0), 1),
        ] {
            let (count, last) = attempts(retries, Stop::never(), error);
            assert_eq!((count, last.to_string()), (expected, error().to_string()), "{retries}");
        }
        let (count, last) = attempts(9, Stop(Arc::new(|| true)), unreachable);
        assert!(count == 1 && matches!(last, Error::Stopped), "{count} {last}");
    }
}
