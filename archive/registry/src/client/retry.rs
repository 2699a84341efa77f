//! Retries failed requests with exponential backoff or after `Retry-After` (RFC 9110, section 10.2.3). Does not know what a
//! request is.
//!
//! All requests of the client use this policy, so that `--retries`, `Retry-After` and cancellation mean the same for each.

use crate::{Error, Result};
use layerstone_store::Cancel;
use std::time::{Duration, SystemTime};

/// The wait before the first retry; it doubles with each one.
const FIRST: Duration = Duration::from_millis(250);
/// The longest wait without `Retry-After`.
const LONGEST: Duration = Duration::from_secs(15);
/// Bytes of a blob that count as progress: after as many the count of attempts starts again.
pub(crate) const PROGRESS: u64 = 1 << 16;
/// The longest `Retry-After` that is waited for; with a longer one the request fails at once.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(120);

/// The policy of retries.
#[derive(Clone, Debug)]
pub(crate) struct Retry {
    /// Retries after the first attempt.
    pub retries: u32,
    pub cancel: Cancel,
}

impl Retry {
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
        Attempts { retry: self, failed: 0 }
    }
}

/// The attempts of one request.
pub(crate) struct Attempts<'a> {
    retry: &'a Retry,
    failed: u32,
}

impl Attempts<'_> {
    /// Waits for the next attempt. Returns the error if there is none: it is not transient, the registry asks for too long a
    /// wait, or there were enough attempts.
    pub(crate) fn again(&mut self, error: Error, is_transient: impl Fn(&Error) -> bool) -> Result<()> {
        self.retry.cancel.check()?;
        if !is_transient(&error) {
            return Err(error);
        }
        self.failed += 1;
        match wait(self.failed, error.retry_after()).filter(|_| self.failed <= self.retry.retries) {
            Some(time) => Ok(self.retry.cancel.sleep(time)?),
            None => Err(error),
        }
    }

    /// Restarts the count, after [`PROGRESS`].
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
        Error::Status { what: "", url: String::new(), status, explanation: String::new(), retry_after }
    }

    /// Runs attempts that always fail so; how many there were.
    fn attempts(retries: u32, cancel: Cancel, error: impl Fn() -> Error) -> (u32, Error) {
        let count = Cell::new(0);
        let failed = Retry { retries, cancel }.run(|| -> Result<()> {
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
            let (count, last) = attempts(retries, Cancel::default(), error);
            assert_eq!((count, last.to_string()), (expected, error().to_string()), "{retries}");
        }
        let (count, last) = attempts(9, Cancel::when(|| true), unreachable);
        assert!(count == 1 && matches!(last, Error::Cancelled), "{count} {last}");
    }
}
