//! Parses and matches patterns of store paths: `glibc`, `python3*`, `/nix/store/*-source`.

use crate::{Error, Result};
use layerstone_store::StorePath;
use std::fmt;
use std::str::FromStr;

/// A glob (`*`, `?`, `[…]`) over the whole name of a store path, its name without the version, or, if it begins with
/// `/`, over the whole path. `openssl` chooses every version and output of openssl, `openssl-3*` those of version 3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(glob::Pattern);

impl Pattern {
    /// The pattern of these very letters.
    pub fn literal(text: &str) -> Pattern {
        Pattern(glob::Pattern::new(&glob::Pattern::escape(text)).expect("what is escaped is a pattern"))
    }

    /// Whether the pattern chooses the path.
    pub fn matches(&self, path: &StorePath) -> bool {
        if self.0.as_str().starts_with('/') {
            return self.0.matches(path.as_str());
        }
        self.0.matches(path.name()) || self.0.matches(path.package())
    }
}

impl FromStr for Pattern {
    type Err = Error;

    fn from_str(text: &str) -> Result<Pattern> {
        let bad = |cause: String| Error::Pattern { pattern: text.to_owned(), cause };
        if text.is_empty() {
            return Err(bad("it is empty".to_owned()));
        }
        glob::Pattern::new(text).map(Pattern).map_err(|e| bad(e.to_string()))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

/// Patterns separated by commas: all that any of them chooses. No store path has a comma in its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patterns(Vec<Pattern>);

impl Patterns {
    /// Whether one of the patterns chooses the path.
    pub fn matches(&self, path: &StorePath) -> bool {
        self.0.iter().any(|pattern| pattern.matches(path))
    }

    /// The patterns, as they were written; at least one.
    pub fn iter(&self) -> impl Iterator<Item = &Pattern> {
        self.0.iter()
    }
}

impl FromStr for Patterns {
    type Err = Error;

    fn from_str(text: &str) -> Result<Patterns> {
        text.split(',').map(str::parse).collect::<Result<_>>().map(Patterns)
    }
}

impl fmt::Display for Patterns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.iter().map(Pattern::to_string).collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::path;

    #[track_caller]
    fn check(pattern: &str, name: &str, expected: bool) {
        assert_eq!(pattern.parse::<Pattern>().unwrap().matches(&path(name)), expected, "{pattern} {name}");
    }

    #[test]
    fn names_packages_and_paths() {
        check("openssl", "openssl-3.0.11-bin", true);
        check("openssl", "openssl", true);
        check("openssl", "openssl-doc", false);
        check("openssl-3.0.11", "openssl-3.0.11-bin", false);
        check("openssl-3*", "openssl-3.0.11-bin", true);
        check("*-bin", "openssl-3.0.11-bin", true);
        check("?ash", "bash-5.2", true);
        check("/nix/store/*-bash-5.?", "bash-5.2", true);
        check("/nix/store/bash", "bash-5.2", false);
        check("*", "any", true);
    }

    #[test]
    fn several_patterns() {
        let patterns: Patterns = "openssl,*-bin".parse().unwrap();
        assert!(patterns.matches(&path("openssl-3")) && patterns.matches(&path("curl-8-bin")));
        assert!(!patterns.matches(&path("curl-8")));
        assert_eq!(patterns.to_string(), "openssl,*-bin");
        assert_eq!("a,,b".parse::<Patterns>().unwrap_err().to_string(), "not a pattern: \"\": it is empty");
    }

    #[test]
    fn what_is_no_pattern() {
        for (text, cause) in
            [("", "it is empty"), ("a[", "Pattern syntax error near position 1: invalid range pattern")]
        {
            let error = text.parse::<Pattern>().unwrap_err().to_string();
            assert_eq!(error, format!("not a pattern: {text:?}: {cause}"));
        }
    }
}
