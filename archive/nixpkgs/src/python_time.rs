//! Times as Python's `datetime.fromisoformat` reads and `isoformat` writes them: the offset is kept as it was given.
//!
//! Accepted is ISO 8601 in its extended and basic forms, calendar and week dates, any one character between date and
//! time, fractions cut to microseconds (Python 3.11's manual, "datetime.fromisoformat"). Python also takes some
//! malformed texts, which are refused here.

use jiff::civil::{Date, DateTime, ISOWeekDate, Time, Weekday};
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};
use layerstone_oci::{Error, Result};

/// Microseconds in a second.
const SECOND: i64 = 1_000_000;

/// A date, a time, and the offset from UTC in microseconds if one was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PythonTime {
    civil: DateTime,
    offset: Option<i64>,
}

impl PythonTime {
    /// Reads what `datetime.fromisoformat` reads.
    pub(crate) fn parse(text: &str) -> Result<PythonTime> {
        parse(text.as_bytes()).ok_or_else(|| Error::Time {
            text: text.to_owned(),
            cause: "expected \"now\" or a time such as \"1970-01-01T00:00:01+00:00\" (ISO 8601)".to_owned(),
        })
    }

    /// An instant in UTC, cut to microseconds as Python's clock gives them.
    pub(crate) fn utc(instant: Timestamp) -> PythonTime {
        let civil = Offset::UTC.to_datetime(instant);
        let nanoseconds = civil.subsec_nanosecond() / 1000 * 1000;
        let civil = civil.with().subsec_nanosecond(nanoseconds).build().expect("fewer nanoseconds than before");
        PythonTime { civil, offset: Some(0) }
    }

    /// What `isoformat` writes: `1970-01-01T00:00:01+00:00`, microseconds only if there are some, the offset only if
    /// one was given.
    pub(crate) fn isoformat(&self) -> String {
        let date = self.civil.date();
        let mut text = format!("{:04}-{:02}-{:02}T", date.year(), date.month(), date.day());
        let time = self.civil.time();
        let seconds = i64::from(time.hour()) * 3600 + i64::from(time.minute()) * 60 + i64::from(time.second());
        text += &clock(seconds * SECOND + i64::from(time.subsec_nanosecond()) / 1000, true);
        if let Some(offset) = self.offset {
            text.push(if offset < 0 { '-' } else { '+' });
            text += &clock(offset.abs(), false);
        }
        text
    }

    /// Seconds since the epoch, cut towards zero as `int(timestamp())` does. A time without an offset is taken as
    /// UTC, where Python would ask the machine.
    pub(crate) fn seconds(&self) -> i64 {
        let epoch = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);
        let local = self.civil.duration_since(epoch);
        let offset = SignedDuration::from_micros(self.offset.unwrap_or(0));
        (local - offset).as_secs()
    }
}

/// `HH:MM`, the seconds if asked for or not zero, `.ffffff` if not zero.
fn clock(microseconds: i64, with_seconds: bool) -> String {
    let (seconds, fraction) = (microseconds / SECOND, microseconds % SECOND);
    let mut text = format!("{:02}:{:02}", seconds / 3600, seconds / 60 % 60);
    if with_seconds || seconds % 60 != 0 || fraction != 0 {
        text += &format!(":{:02}", seconds % 60);
    }
    if fraction != 0 {
        text += &format!(".{fraction:06}");
    }
    text
}

fn parse(text: &[u8]) -> Option<PythonTime> {
    let date_end = date_end(text)?;
    let date = date(text.get(..date_end)?)?;
    let rest = text.get(date_end + 1..).unwrap_or_default();
    if rest.is_empty() {
        return Some(PythonTime { civil: date.at(0, 0, 0, 0), offset: None });
    }
    let zone = rest.iter().position(|c| matches!(c, b'+' | b'-' | b'Z')).unwrap_or(rest.len());
    let (time, zone) = rest.split_at(zone);
    let offset = match zone {
        [] => None,
        b"Z" => Some(0),
        [b'+', offset @ ..] => Some(microseconds(offset)?),
        [b'-', offset @ ..] => Some(-microseconds(offset)?),
        _ => return None,
    };
    let time = microseconds(time)?;
    let midnight = Time::midnight();
    let time = midnight.checked_add(SignedDuration::from_micros(time)).ok()?;
    Some(PythonTime { civil: date.to_datetime(time), offset })
}

/// Where the date ends. Its forms are `YYYY-MM-DD`, `YYYYMMDD`, `YYYY-Www[-D]` and `YYYYWww[D]`; as the separator after
/// it may be anything, the week forms take a decision.
fn date_end(text: &[u8]) -> Option<usize> {
    let digits = |from: usize| text[from..].iter().take_while(|c| c.is_ascii_digit()).count();
    match text {
        [_, _, _, _, b'-', b'W', _, _] => Some(8),
        [_, _, _, _, b'-', b'W', _, _, b'-', _] => Some(10),
        [_, _, _, _, b'-', b'W', _, _, b'-', _, after, ..] => Some(if after.is_ascii_digit() { 8 } else { 10 }),
        [_, _, _, _, b'-', b'W', _, _, after, ..] if *after != b'-' => Some(8),
        [_, _, _, _, b'-', b'W', ..] => None,
        [_, _, _, _, b'-', ..] => Some(10),
        [_, _, _, _, b'W', _, _, ..] => match digits(7) {
            short @ (0 | 1) => Some(7 + short),
            // A digit as the separator: hours come in pairs.
            long => Some(if long % 2 == 1 { 7 } else { 8 }),
        },
        _ => Some(8),
    }
}

fn date(text: &[u8]) -> Option<Date> {
    let (year, rest) = (number(text.get(..4)?)?, text.get(4..)?);
    let (year, rest) = (i16::try_from(year).ok().filter(|year| *year > 0)?, rest);
    let (rest, separated) = rest.strip_prefix(b"-").map_or((rest, false), |rest| (rest, true));
    let small = |digits: &[u8]| number(digits).and_then(|n| i8::try_from(n).ok());
    if let Some(week) = rest.strip_prefix(b"W") {
        let (week, day) = week.split_at_checked(2)?;
        let day = match (day, separated) {
            ([], _) => 1,
            ([b'-', day], true) | ([day], false) => small(&[*day])?,
            _ => return None,
        };
        let weekday = Weekday::from_monday_one_offset(day).ok()?;
        return ISOWeekDate::new(year, small(week)?, weekday).ok().map(ISOWeekDate::date);
    }
    let (month, day) = rest.split_at_checked(2)?;
    let day = if separated { day.strip_prefix(b"-")? } else { day };
    if day.len() != 2 {
        return None;
    }
    Date::new(year, small(month)?, small(day)?).ok()
}

/// A time of day or an offset, `HH[:MM[:SS[.f…]]]` with or without colons, in microseconds; less than a day.
fn microseconds(text: &[u8]) -> Option<i64> {
    let end = text.iter().position(|c| matches!(c, b'.' | b',')).unwrap_or(text.len());
    let (clock, fraction) = text.split_at(end);
    let (hour, minute, second): (&[u8], &[u8], &[u8]) = match clock {
        [h @ .., b':', m1, m2, b':', s1, s2] => (h, &[*m1, *m2], &[*s1, *s2]),
        [h @ .., b':', m1, m2] if fraction.is_empty() => (h, &[*m1, *m2], b"00"),
        [h1, h2, m1, m2, s1, s2] => (&[*h1, *h2], &[*m1, *m2], &[*s1, *s2]),
        [h1, h2, m1, m2] if fraction.is_empty() => (&[*h1, *h2], &[*m1, *m2], b"00"),
        [h1, h2] if fraction.is_empty() => (&[*h1, *h2], b"00", b"00"),
        _ => return None,
    };
    if hour.len() != 2 {
        return None;
    }
    let below = |digits, limit| number(digits).filter(|n| *n < limit);
    let seconds = below(hour, 24)? * 3600 + below(minute, 60)? * 60 + below(second, 60)?;
    Some(seconds * SECOND + fraction_microseconds(fraction)?)
}

/// `.f…` or `,f…` in microseconds, digits beyond the sixth cut; nothing is zero.
fn fraction_microseconds(text: &[u8]) -> Option<i64> {
    let [_, digits @ ..] = text else { return Some(0) };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let mut six = *b"000000";
    let kept = digits.len().min(6);
    six[..kept].copy_from_slice(&digits[..kept]);
    number(&six)
}

/// A number of up to six decimal digits and nothing else.
fn number(digits: &[u8]) -> Option<i64> {
    let digit = |c: &u8| c.is_ascii_digit().then(|| i64::from(c - b'0'));
    digits.iter().try_fold(0, |sum, c| Some(sum * 10 + digit(c)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every line is what Python 3.11 printed for `(t := datetime.fromisoformat(left)).isoformat()` and
    /// `int(t.timestamp())`, with TZ=UTC.
    #[test]
    fn times_of_python() {
        for (text, expected, seconds) in [
            ("1970-01-01T00:00:01+00:00", "1970-01-01T00:00:01+00:00", 1),
            ("1970-01-01T00:00:01Z", "1970-01-01T00:00:01+00:00", 1),
            ("2024-05-01 12:30:15.25-05:30", "2024-05-01T12:30:15.250000-05:30", 1714586415),
            ("20240501T123015,1234567+0200", "2024-05-01T12:30:15.123456+02:00", 1714559415),
            ("2024-W18-3", "2024-05-01T00:00:00", 1714521600),
            ("2024W183T12", "2024-05-01T12:00:00", 1714564800),
            ("2024-W18T12:00+00", "2024-04-29T12:00:00+00:00", 1714392000),
            ("2024-05-01T00:00:00+01:02:03.5", "2024-05-01T00:00:00+01:02:03.500000", 1714517876),
            ("2024-05-01T00:00:00-00:00", "2024-05-01T00:00:00+00:00", 1714521600),
            ("1969-12-31T23:59:59.5+00:00", "1969-12-31T23:59:59.500000+00:00", 0),
            ("0001-01-01", "0001-01-01T00:00:00", -62135596800),
        ] {
            let time = PythonTime::parse(text).unwrap();
            assert_eq!((time.isoformat().as_str(), time.seconds()), (expected, seconds), "{text}");
        }
    }

    #[test]
    fn what_is_no_time() {
        for bad in [
            "",
            "now",
            "2024",
            "2024-05",
            "2024-5-1",
            "2024-05-01T24:00",
            "2024-05-01T1",
            "2024-02-30",
            "0000-01-01",
            "2024-05-01T12:00Zx",
            "2024-05-01T12:00+24:00",
            "2024-05-01T12:0000",
            "2024-W54",
            "2024-W18-",
            "2024-0501",
            "2024-05-01T12:00:00.",
            "2024-05-01T+00:00",
            "é024-05-01",
        ] {
            assert!(PythonTime::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn clock_is_cut_to_microseconds() {
        let time = PythonTime::utc(Timestamp::new(1, 123_456_789).unwrap());
        assert_eq!(time.isoformat(), "1970-01-01T00:00:01.123456+00:00");
    }
}
