//! Retries failed requests with exponential backoff or after `Retry-After` (RFC 9110, section 10.2.3). Does not know what a
//! request is.
//!
//! All requests of the client use this policy, so that `--retries`, `Retry-After` and cancellation mean the same for each.

use crate::client::transport::LOG;
use crate::{Error, Notify, Result};
use layerstone_store::Cancel;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
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
    pub notices: Arc<Notices>,
}

/// Tells of retries: each attempt at a host once, however many requests to it fail at a time.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    notify: Notify,
    /// The last attempt that was told, by the host. A host to which a failed request got through is not in it.
    told: Mutex<BTreeMap<String, u32>>,
}

impl Notices {
    pub(crate) fn new(notify: Notify) -> Notices {
        Notices { notify, told: Mutex::default() }
    }

    /// Tells that a request is tried for the `attempt`th time after this wait, unless that was told.
    fn tell(&self, error: &Error, wait: Duration, attempt: u32, most: u32) {
        let Some((host, cause)) = error.host_and_cause() else { return };
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let last = told.entry(host.to_owned()).or_default();
        if attempt <= *last {
            return;
        }
        *last = attempt;
        let wait = match wait.as_secs_f64() {
            0.0 => String::new(),
            seconds => format!(" in {} s", (seconds * 100.0).round() / 100.0),
        };
        self.notify.tell(&format!("{host}: {cause}, trying again{wait} ({attempt} of {most})"));
    }

    /// A request got through that had failed.
    fn forget(&self) {
        self.told.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Retry {
    /// Tries until it succeeds or a retry cannot help.
    pub(crate) fn run<T>(&self, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
        let mut attempts = self.attempts();
        loop {
            match attempt() {
                Ok(done) => {
                    attempts.succeed();
                    return Ok(done);
                }
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
            Some(time) => {
                let most = self.retry.retries.saturating_add(1);
                let ms = time.as_millis() as u64;
                tracing::debug!(target: LOG, ms, cause = error.to_string(), "waiting to try again");
                self.retry.notices.tell(&error, time, self.failed.saturating_add(1), most);
                Ok(self.retry.cancel.sleep(time)?)
            }
            None => Err(error),
        }
    }

    /// Restarts the count, after [`PROGRESS`].
    pub(crate) fn reset(&mut self) {
        self.succeed();
        self.failed = 0;
    }

    /// The request got through.
    pub(crate) fn succeed(&self) {
        if self.failed > 0 {
            self.retry.notices.forget();
        }
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
    use crate::Obstacle;
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
        Error::broken("http://h:1/v2/", "connection refused")
    }

    fn unresolved() -> Error {
        Error::Unreachable { url: "http://h:1/v2/".to_owned(), obstacle: Obstacle::Name, cause: String::new() }
    }

    fn status(status: u16, retry_after: u64) -> Error {
        let retry_after = Some(Duration::from_secs(retry_after));
        Error::Status { what: "", url: "http://h:1/v2/".to_owned(), status, explanation: String::new(), retry_after }
    }

    /// Runs attempts that always fail so; how many there were.
    fn attempts(retries: u32, cancel: Cancel, error: impl Fn() -> Error) -> (u32, Error) {
        let count = Cell::new(0);
        let failed = Retry { retries, cancel, notices: Arc::default() }.run(|| -> Result<()> {
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
            (1, unresolved, 1),
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

    /// Each attempt is told once, and again after a request got through.
    #[test]
    fn notices() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&told);
        let notify = Notify::with(move |text| kept.lock().unwrap().push(text.to_owned()));
        let notices = Arc::new(Notices::new(notify));
        let retry = Retry { retries: 5, cancel: Cancel::default(), notices };
        let (mut first, mut second) = (retry.attempts(), retry.attempts());
        let busy = || status(503, 1);
        for (attempts, error) in [(&mut first, unreachable as fn() -> Error), (&mut second, busy)] {
            retry.notices.tell(&error(), FIRST, attempts.failed + 2, 6);
        }
        retry.notices.tell(&busy(), Duration::from_secs(1), 3, 6);
        first.reset();
        retry.notices.tell(&unreachable(), Duration::ZERO, 2, 6);
        second.failed = 1;
        second.reset();
        retry.notices.tell(&unreachable(), Duration::ZERO, 2, 6);
        let refused = "h:1: connection refused, trying again";
        let expected = [
            format!("{refused} in 0.25 s (2 of 6)"),
            "h:1: found status 503, trying again in 1 s (3 of 6)".to_owned(),
            format!("{refused} (2 of 6)"),
        ];
        assert_eq!(*told.lock().unwrap(), expected);
    }
}
