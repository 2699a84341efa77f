//! Times as image.json has them: RFC 3339, or `now`, which honours SOURCE_DATE_EPOCH.

use crate::{Error, Result};
use jiff::Timestamp;
use std::str::FromStr;

/// The variable that stands in for the clock (reproducible-builds.org, "SOURCE_DATE_EPOCH specification").
const EPOCH_VARIABLE: &str = "SOURCE_DATE_EPOCH";

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
    pub fn from_seconds(seconds: i64) -> Result<Time> {
        Timestamp::from_second(seconds).map(Time::At).map_err(|_| Error::Time {
            text: seconds.to_string(),
            cause: "expected seconds since the epoch, within the years -9999 to 9999".to_owned(),
        })
    }

    /// The instant, which for [`Time::Now`] is another one at each call unless SOURCE_DATE_EPOCH is set.
    pub fn timestamp(self) -> Result<Timestamp> {
        match self {
            Time::At(timestamp) => Ok(timestamp),
            Time::Now => now(std::env::var_os(EPOCH_VARIABLE).map(|text| text.to_string_lossy().into_owned())),
        }
    }

    /// Whole seconds since the epoch, as a tar holds them.
    pub fn seconds(self) -> Result<i64> {
        Ok(self.timestamp()?.as_second())
    }

    /// RFC 3339 in UTC, as an image config holds it: `1970-01-01T00:00:01Z`.
    pub fn rfc3339(self) -> Result<String> {
        Ok(self.timestamp()?.to_string())
    }
}

impl FromStr for Time {
    type Err = Error;

    /// `now`, or date, time and offset, such as `2024-05-01T12:00:00Z` (RFC 3339).
    fn from_str(text: &str) -> Result<Time> {
        if text == "now" {
            return Ok(Time::Now);
        }
        text.parse().map(Time::At).map_err(|_| Error::Time {
            text: text.to_owned(),
            cause: "expected \"now\" or a time such as \"1970-01-01T00:00:01Z\" (RFC 3339)".to_owned(),
        })
    }
}

/// The instant that the variable names, or the clock's.
fn now(epoch: Option<String>) -> Result<Timestamp> {
    let Some(text) = epoch else { return Ok(Timestamp::now()) };
    let seconds = text.parse().ok();
    seconds.and_then(|seconds| Timestamp::from_second(seconds).ok()).ok_or_else(|| Error::Time {
        text: format!("{EPOCH_VARIABLE}={text}"),
        cause: "expected whole seconds since the epoch".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        let time: Time = "1970-01-01T00:00:01Z".parse().unwrap();
        assert_eq!(time, Time::one_second());
        assert_eq!("1970-01-01T01:00:01+01:00".parse::<Time>().unwrap(), time);
        assert_eq!(time.rfc3339().unwrap(), "1970-01-01T00:00:01Z");
        assert_eq!("now".parse::<Time>().unwrap(), Time::Now);
        let half: Time = "2024-05-01T12:00:00.5Z".parse().unwrap();
        assert_eq!((half.rfc3339().unwrap().as_str(), half.seconds().unwrap()), ("2024-05-01T12:00:00.5Z", 1714564800));
        for bad in ["", "yesterday", "2024-05-01", "2024-05-01T12:00:00", "2024-13-01T00:00:00Z", "Now"] {
            assert!(bad.parse::<Time>().is_err(), "{bad}");
        }
    }

    #[test]
    fn now_honours_the_variable() {
        assert_eq!(now(Some("315532800".to_owned())).unwrap().to_string(), "1980-01-01T00:00:00Z");
        let error = now(Some("soon".to_owned())).unwrap_err().to_string();
        assert_eq!(error, "not a time: \"SOURCE_DATE_EPOCH=soon\": expected whole seconds since the epoch");
        assert!(now(None).unwrap().as_second() > 1_700_000_000);
    }
}
