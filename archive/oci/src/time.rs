//! Parses a point in time as `created` and `mtime` give it, and writes it as RFC 3339 or whole seconds.
//!
//! The forms are those of `date -d` (GNU coreutils, "Date input formats") that do not depend on today's date, and one
//! more that Nix flakes have (`lastModifiedDate`); the text is parsed by jiff. Without a zone a time is in UTC, whatever
//! `TZ` says. `now` honours SOURCE_DATE_EPOCH.

use crate::{Error, Result};
use jiff::civil::Time as TimeOfDay;
use jiff::fmt::temporal::Pieces;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};
use std::str::FromStr;

/// The variable that stands in for the clock (reproducible-builds.org, "SOURCE_DATE_EPOCH specification").
const EPOCH_VARIABLE: &str = "SOURCE_DATE_EPOCH";

/// The forms that are read, as messages list them.
pub const TIME_FORMS: &str = "\"now\", a date (\"2024-05-01\" or \"20240501\"), a date with a time and a zone (UTC if \
    there is none; \"2024-05-01 12:00\", \"2024-05-01T12:00:00+02:00\"), \"20240501120000\", or \"@SECONDS\" since the epoch";

/// The first instant of the years 0 to 9999, which RFC 3339 can write; a tar can hold all of them. jiff ends them at 22:00
/// of 9999-12-30, so that an instant has a year of four digits in every zone.
const FIRST: Timestamp = Timestamp::constant(-62_167_219_200, 0);

/// A point in time, or whenever it is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Time {
    /// SOURCE_DATE_EPOCH if it is set, otherwise the clock.
    Now,
    /// This instant.
    At(Timestamp),
}

impl Time {
    /// One second after the epoch: the default of dockerTools. Some programs take 0 for "unknown".
    pub fn one_second() -> Time {
        Time::At(Timestamp::constant(1, 0))
    }

    /// So many seconds since the epoch.
    ///
    /// # Errors
    ///
    /// That is not within the years 0 to 9999.
    pub fn from_seconds(seconds: i64) -> Result<Time> {
        Timestamp::from_second(seconds).ok().filter(in_range).map(Time::At).ok_or_else(|| Error::Time {
            text: seconds.to_string(),
            cause: "expected seconds since the epoch, within the years 0 to 9999".to_owned(),
        })
    }

    /// The instant, which for [`Time::Now`] is another one at each call unless SOURCE_DATE_EPOCH is set.
    pub fn timestamp(self) -> Result<Timestamp> {
        match self {
            Time::At(timestamp) => Ok(timestamp),
            Time::Now => now(std::env::var_os(EPOCH_VARIABLE).map(|text| text.to_string_lossy().into_owned())),
        }
    }

    /// Whole seconds since the epoch, as a tar holds them: the second that the instant is in.
    pub fn seconds(self) -> Result<i64> {
        let instant = self.timestamp()?;
        // jiff cuts towards zero.
        Ok(instant.as_second() - i64::from(instant.subsec_nanosecond() < 0))
    }

    /// RFC 3339 in UTC, as an image config holds it: `1970-01-01T00:00:01Z`.
    pub fn rfc3339(self) -> Result<String> {
        Ok(self.timestamp()?.to_string())
    }
}

impl FromStr for Time {
    type Err = Error;

    /// Reads the forms that [`TIME_FORMS`] lists.
    fn from_str(text: &str) -> Result<Time> {
        let trimmed = text.trim_ascii();
        if trimmed.eq_ignore_ascii_case("now") {
            return Ok(Time::Now);
        }
        let instant = match trimmed.strip_prefix('@') {
            Some(seconds) => since_epoch(seconds.trim_ascii_start()),
            None => date(trimmed),
        };
        let error = || Error::Time { text: text.to_owned(), cause: format!("expected {TIME_FORMS}") };
        instant.filter(in_range).map(Time::At).ok_or_else(error)
    }
}

/// Seconds with a sign and a fraction of nine digits at most. jiff reads them as a duration, which may be much else.
fn since_epoch(text: &str) -> Option<Timestamp> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let is_number = digits.starts_with(|c: char| c.is_ascii_digit())
        && digits.ends_with(|c: char| c.is_ascii_digit())
        && digits.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b','));
    let duration: SignedDuration = is_number.then(|| format!("{text}s").parse().ok())??;
    Timestamp::from_duration(duration).ok()
}

/// A date, with a time and a zone or without.
fn date(text: &str) -> Option<Timestamp> {
    let (text, is_utc) = without_utc(text);
    let text = separated(text)?;
    // date(1) refuses leap seconds where jiff takes the second before.
    if text.contains(":60") {
        return None;
    }
    let pieces = Pieces::parse(&text).ok()?;
    if pieces.time_zone_annotation().is_some() || (is_utc && pieces.offset().is_some()) {
        return None;
    }
    let civil = pieces.date().to_datetime(pieces.time().unwrap_or(TimeOfDay::midnight()));
    pieces.to_numeric_offset().unwrap_or(Offset::UTC).to_timestamp(civil).ok()
}

/// The text without a zone at its end that is UTC by name, and whether there was one.
fn without_utc(text: &str) -> (&str, bool) {
    for zone in ["utc", "gmt", "z"] {
        let at = text.len().saturating_sub(zone.len());
        if text.get(at..).is_some_and(|end| end.eq_ignore_ascii_case(zone)) {
            return (text[..at].trim_ascii_end(), true);
        }
    }
    (text, false)
}

/// The text as jiff reads it: dashes and colons where there are none, no space before the zone. Behind `YYYYMMDD` a `T`
/// must have `HHMMSS` behind it (ISO 8601), because date(1) takes it for a time zone where anything else follows.
fn separated(text: &str) -> Option<String> {
    let part = |from: usize, to: usize| text.get(from..to).filter(|it| it.bytes().all(|byte| byte.is_ascii_digit()));
    let mut separated = text.to_owned();
    if let (Some(year), Some(month), Some(day)) = (part(0, 4), part(4, 6), part(6, 8)) {
        let start = if text[8..].starts_with(['T', 't']) { 9 } else { 8 };
        let time = part(start, start + 2).zip(part(start + 2, start + 4)).zip(part(start + 4, start + 6));
        let rest = match time {
            Some(((hour, minute), second)) => format!("T{hour}:{minute}:{second}{}", &text[start + 6..]),
            None if start == 8 => text[8..].to_owned(),
            None => return None,
        };
        separated = format!("{year}-{month}-{day}{rest}");
    }
    if let Some((time, zone)) = separated.rsplit_once([' ', '\t']).filter(|(_, zone)| zone.starts_with(['+', '-'])) {
        separated = format!("{}{zone}", time.trim_ascii_end());
    }
    Some(separated)
}

fn in_range(instant: &Timestamp) -> bool {
    *instant >= FIRST
}

/// The instant that the variable names, or the clock's.
fn now(epoch: Option<String>) -> Result<Timestamp> {
    let Some(text) = epoch else { return Ok(Timestamp::now()) };
    let seconds = text.parse().ok();
    let instant = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok()).filter(in_range);
    instant.ok_or_else(|| Error::Time {
        text: format!("{EPOCH_VARIABLE}={text}"),
        cause: "expected whole seconds since the epoch, within the years 0 to 9999".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        for (text, instant) in [
            ("1970-01-01T00:00:01Z", "1970-01-01T00:00:01Z"),
            ("1970-01-01T01:00:01+01:00", "1970-01-01T00:00:01Z"),
            ("2024-05-01T12:00:00.5Z", "2024-05-01T12:00:00.5Z"),
            ("20240501", "2024-05-01T00:00:00Z"),
            ("20240501123456", "2024-05-01T12:34:56Z"),
            ("20240501123456Z", "2024-05-01T12:34:56Z"),
            ("20240501T123456.25 +0200", "2024-05-01T10:34:56.25Z"),
            ("2024-05-01 12:00 -05", "2024-05-01T17:00:00Z"),
            (" 2024-05-01 gmt\n", "2024-05-01T00:00:00Z"),
            ("@-1.5", "1969-12-31T23:59:58.5Z"),
            ("@ 1,25", "1970-01-01T00:00:01.25Z"),
            ("0000-01-01", "0000-01-01T00:00:00Z"),
            ("9999-12-30 21:59:59.999999999", "9999-12-30T21:59:59.999999999Z"),
        ] {
            let time: Time = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(time.rfc3339().unwrap(), instant, "{text}");
        }
        assert_eq!("NOW".parse::<Time>().unwrap(), Time::Now);
    }

    #[test]
    fn what_is_no_time() {
        for bad in [
            "",
            "@",
            "@1h",
            "@1s",
            "@1e3",
            "@.5",
            "@1.2.3",
            "@999999999999999999999",
            "@-62167219200.5",
            "@253402300800",
            "yesterday",
            "1714564800",
            "2024",
            "202405",
            "2024-05",
            "2024-13-01T00:00:00Z",
            "2024-02-30",
            "20240230",
            "20240501T1200",
            "20240501T12:00",
            "2024050112000",
            "2024-05-01T24:00",
            "2016-12-31T23:59:60Z",
            "20161231235960",
            "2024-05-01T12:00[UTC]",
            "2024-05-01T12:00+02:00Z",
            "-000001-01-01",
            "9999-12-31T23:59:59-01:00",
            "é0240501",
            "2024-05-0é",
        ] {
            assert!(bad.parse::<Time>().is_err(), "{bad}");
        }
    }

    #[test]
    fn seconds_are_those_that_the_instant_is_in() {
        for (text, seconds) in [("@1.9", 1), ("@-0.5", -1), ("@-1", -1), ("2024-05-01T12:00:00.5Z", 1714564800)] {
            assert_eq!(text.parse::<Time>().unwrap().seconds().unwrap(), seconds, "{text}");
        }
        let [first, last] = [FIRST, Timestamp::MAX].map(Timestamp::as_second);
        assert!(Time::from_seconds(first).is_ok() && Time::from_seconds(last).is_ok());
        assert!(Time::from_seconds(first - 1).is_err() && Time::from_seconds(last + 1).is_err());
    }

    #[test]
    fn now_honours_the_variable() {
        assert_eq!(now(Some("315532800".to_owned())).unwrap().to_string(), "1980-01-01T00:00:00Z");
        let error = now(Some("soon".to_owned())).unwrap_err().to_string();
        let expected = "expected whole seconds since the epoch, within the years 0 to 9999";
        assert_eq!(error, format!("not a time: \"SOURCE_DATE_EPOCH=soon\": {expected}"));
        assert!(now(None).unwrap().as_second() > 1_700_000_000);
    }
}
