//! Compares versions in Nix's order.

use std::cmp::Ordering;

/// A version, part by part; the order is that of `nix-env --upgrade`: `1.9` < `1.10`, `1.0pre2` < `1.0` < `1.0a` <
/// `1.0.1` (nix, src/libstore/names.cc, `compareVersions`).
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version<'a>(Vec<Part<'a>>);

/// A part of a version; they rank as they stand here.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part<'a> {
    /// `pre`: before a release.
    Pre,
    /// Behind the last part.
    End,
    /// Anything that is no number.
    Text(&'a str),
    /// A number, as so many digits, without leading zeros.
    Number(usize, &'a str),
}

/// Compares versions as `nix-env --upgrade` does.
pub fn compare_versions(a: &str, b: &str) -> Ordering {
    Version::parse(a).cmp(&Version::parse(b))
}

impl<'a> Version<'a> {
    pub(super) fn parse(text: &'a str) -> Version<'a> {
        let mut parts = Vec::new();
        for piece in text.split(['.', '-']) {
            let mut rest = piece;
            while let Some(first) = rest.chars().next() {
                let other = |c: char| c.is_ascii_digit() != first.is_ascii_digit();
                let (part, after) = rest.split_at(rest.find(other).unwrap_or(rest.len()));
                parts.push(Part::of(part));
                rest = after;
            }
        }
        parts.push(Part::End);
        Version(parts)
    }
}

impl Part<'_> {
    fn of(text: &str) -> Part<'_> {
        match text.trim_start_matches('0') {
            digits if text.starts_with(|c: char| c.is_ascii_digit()) => Part::Number(digits.len(), digits),
            "pre" => Part::Pre,
            _ => Part::Text(text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_of_versions() {
        let ordered = [
            "1.0pre1",
            "1.0pre2",
            "1.0",
            "1.0a",
            "1.0b",
            "1.0.1",
            "1.9",
            "1.10",
            "1.010.2",
            "2",
            "2.0",
            "20240101",
            "99999999999999999999999",
        ];
        for pair in ordered.windows(2) {
            assert!(Version::parse(pair[0]) < Version::parse(pair[1]), "{pair:?}");
        }
        assert_eq!(Version::parse("1.0"), Version::parse("1-00"));
    }
}
