//! Parses the file of rates, which says by pattern how often paths change.
//!
//! ```json
//! {"*": 1, "glibc": 0.2, "my-app*": 50}
//! ```
//!
//! What a rate is per (a week, a release) does not matter, only how rates compare. They are counted in millionths, so
//! that a plan depends on whole numbers alone.

mod builtin;

use crate::{Error, Pattern, Result};
use layerstone_store::{Digest, Error as StageError, Result as StageResult, StorePath, read_input};
use serde_json::{Map, Value};
use std::path::Path;

/// The rate of a path that no pattern chooses: 1, in millionths.
pub(crate) const ONE: u64 = 1_000_000;
/// The largest rate: sums over a closure must fit into 64 bits.
pub(crate) const MAX: u64 = 1_000_000;

/// Rates by pattern; of several patterns that choose a path, the last one counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// Where they came from, for messages.
    name: String,
    rates: Vec<(Pattern, u64)>,
}

impl Rates {
    /// The word that stands for [`Rates::builtin`] where a file is expected.
    pub const BUILTIN: &str = builtin::NAME;

    /// Those that come with the program: how often Debian's packages were updated.
    pub fn builtin() -> Rates {
        builtin::rates()
    }

    /// Reads a rates file; `-` is standard input, `builtin` are those that come with the program.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or see [`Rates::parse`].
    pub fn read(path: &Path) -> StageResult<Rates> {
        if path.as_os_str() == Rates::BUILTIN {
            return Ok(Rates::builtin());
        }
        Rates::parse(&read_input(path)?, &path.display().to_string())
    }

    /// Rates in memory: a JSON object of patterns and numbers from 0 to a million; `name` stands in messages.
    ///
    /// # Errors
    ///
    /// It is something else, or one of the patterns is none.
    pub fn parse(bytes: &[u8], name: &str) -> StageResult<Rates> {
        let malformed = |cause| StageError::Malformed { format: "rates file", name: name.to_owned(), cause };
        let map: Map<String, Value> =
            serde_json::from_slice(bytes).map_err(|source| StageError::Json { name: name.to_owned(), source })?;
        let rates = map.iter().map(|(pattern, rate)| {
            let parsed: Pattern = pattern.parse().map_err(|e: Error| malformed(e.to_string()))?;
            Ok((parsed, millionths(rate).map_err(|cause| malformed(format!("{pattern}: {cause}")))?))
        });
        Ok(Rates { name: name.to_owned(), rates: rates.collect::<StageResult<_>>()? })
    }

    /// The digest of the patterns and their rates, as a rates file in millionths has them; none if there are none.
    pub fn digest(&self) -> Option<Digest> {
        let rates: Map<String, Value> =
            self.by_pattern().map(|(pattern, rate)| (pattern.to_string(), rate.into())).collect();
        (!rates.is_empty()).then(|| Digest::of(Value::Object(rates).to_string().as_bytes()))
    }

    /// The patterns and their rates, in millionths, in their order.
    pub(crate) fn by_pattern(&self) -> impl Iterator<Item = (&Pattern, u64)> {
        self.rates.iter().map(|(pattern, rate)| (pattern, *rate))
    }

    /// The rate of each path, in millionths.
    ///
    /// # Errors
    ///
    /// There are patterns and none of them chooses a path.
    pub(crate) fn of(&self, paths: &[&StorePath]) -> Result<Vec<u64>> {
        let chosen = |path: &StorePath| self.rates.iter().rev().find(|(pattern, _)| pattern.matches(path));
        let chosen: Vec<_> = paths.iter().map(|path| chosen(path)).collect();
        if !self.rates.is_empty() && !paths.is_empty() && chosen.iter().all(Option::is_none) {
            return Err(Error::UselessRates { name: self.name.clone() });
        }
        Ok(chosen.into_iter().map(|found| found.map_or(ONE, |(_, rate)| *rate)).collect())
    }
}

/// A rate of a file as millionths, or what is wrong with it.
fn millionths(rate: &Value) -> Result<u64, String> {
    match rate.as_f64() {
        Some(number) if (0.0..=MAX as f64).contains(&number) => Ok((number * ONE as f64).round() as u64),
        _ => Err(format!("found {rate}, expected a number from 0 to {MAX}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::path;

    #[test]
    fn the_last_pattern_counts() {
        let rates = Rates::parse(br#"{"*": 2, "glibc": 0.25, "app*": 50}"#, "r").unwrap();
        let paths = [path("glibc-2.38"), path("zlib-1"), path("app"), path("app-lib-2")];
        let paths: Vec<&StorePath> = paths.iter().collect();
        assert_eq!(rates.of(&paths), Ok(vec![250_000, 2_000_000, 50_000_000, 50_000_000]));
        assert_eq!(Rates::default().of(&paths), Ok(vec![ONE; 4]));
    }

    #[track_caller]
    fn check_error(text: &str, expected: &str) {
        assert_eq!(Rates::parse(text.as_bytes(), "r.json").unwrap_err().to_string(), expected);
    }

    #[test]
    fn what_is_no_rates_file() {
        let malformed = |cause: &str| format!("malformed rates file: r.json: {cause}");
        check_error(r#"{"a": -1}"#, &malformed("a: found -1, expected a number from 0 to 1000000"));
        check_error(r#"{"a": "x"}"#, &malformed("a: found \"x\", expected a number from 0 to 1000000"));
        check_error(r#"{"": 1}"#, &malformed("not a pattern: \"\": it is empty"));
        check_error("[1]", "not JSON: r.json: invalid type: sequence, expected a map at line 1 column 0");
    }

    #[test]
    fn rates_that_match_nothing() {
        let rates = Rates::parse(br#"{"glibc": 3}"#, "r.json").unwrap();
        let error = rates.of(&[&path("musl")]).unwrap_err().to_string();
        assert_eq!(error, "no rate is used: r.json: none of its patterns matches a path of the closure");
    }
}
