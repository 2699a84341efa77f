//! When to ask again: later each time, or when the registry says (RFC 9110, section 10.2.3).

use std::time::{Duration, SystemTime};

/// The first wait.
const FIRST: Duration = Duration::from_millis(250);
/// The longest wait that nobody asked for.
const LONGEST: Duration = Duration::from_secs(15);
/// The longest wait that a registry may ask for; a longer one is an error at once.
const LONGEST_TOLD: Duration = Duration::from_secs(120);

/// How long to wait before this try, the first again being 1; none to give up.
pub(crate) fn wait(attempt: u32, retry_after: Option<&str>, now: SystemTime) -> Option<Duration> {
    match retry_after.and_then(|text| told(text, now)) {
        Some(told) => Some(told).filter(|told| *told <= LONGEST_TOLD),
        None => Some(FIRST.saturating_mul(1 << (attempt - 1).min(16)).min(LONGEST)),
    }
}

/// What `Retry-After` says: seconds, or a date.
fn told(text: &str, now: SystemTime) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(text.trim()).ok()?;
    let seconds = u64::try_from(date.timestamp().as_second()).ok()?;
    let then = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    Some(then.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let seconds = |attempt, header| wait(attempt, header, now).map(|wait| wait.as_secs_f64());
        assert_eq!([1, 2, 3, 9, 99].map(|attempt| seconds(attempt, None).unwrap()), [0.25, 0.5, 1.0, 15.0, 15.0]);
        assert_eq!(seconds(1, Some("7")), Some(7.0));
        assert_eq!(seconds(5, Some(" 0 ")), Some(0.0));
        assert_eq!(seconds(1, Some("121")), None);
        assert_eq!(seconds(1, Some("Sun, 06 Nov 1994 08:49:50 GMT")), Some(13.0));
        assert_eq!(seconds(1, Some("Sun, 06 Nov 1994 08:49:00 GMT")), Some(0.0));
        assert_eq!(seconds(1, Some("soon")), Some(0.25));
    }
}
