//! Splits the version and the output from a store path's name, and compares versions in Nix's order.

use layerstone_store::StorePath;

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

impl<'a> Version<'a> {
    /// The version in a path's name, its output's name left out.
    pub(super) fn of(path: &'a StorePath) -> Version<'a> {
        Version::parse(split(path).0)
    }

    fn parse(text: &'a str) -> Version<'a> {
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

/// The output's name behind the version; empty if there is none.
pub(super) fn output(path: &StorePath) -> &str {
    split(path).1
}

/// Version and output. What follows the last dash is an output if it is of small letters alone, or `lib32` or `lib64`
/// (nix, src/nix/diff-closures.cc); so `unstable` passes for an output, which still keeps like with like.
fn split(path: &StorePath) -> (&str, &str) {
    let version = path.name()[path.package().len()..].trim_start_matches('-');
    let is_output = |text: &str| {
        matches!(text, "lib32" | "lib64") || (!text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase()))
    };
    version.rsplit_once('-').filter(|(_, output)| is_output(output)).unwrap_or((version, ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_parts() {
        for (name, package, version, output) in [
            ("openssl-3.0.11", "openssl", "3.0.11", ""),
            ("openssl-3.0.11-dev", "openssl", "3.0.11", "dev"),
            ("glibc-2.39-52-lib64", "glibc", "2.39-52", "lib64"),
            ("bash-5.2-p15", "bash", "5.2-p15", ""),
            ("foo-dev", "foo-dev", "", ""),
            ("foo-", "foo-", "", ""),
            ("foo-1-", "foo", "1-", ""),
            ("foo--", "foo", "", ""),
            ("source", "source", "", ""),
        ] {
            let path = StorePath::parse(&format!("/nix/store/{}-{name}", "0".repeat(32))).unwrap();
            assert_eq!((path.package(), split(&path)), (package, (version, output)), "{name}");
        }
    }

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
