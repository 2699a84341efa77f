//! The rates that come with the program: how often Debian's source packages were updated.
//!
//! The table is `data/debian-12.txt`, which `cargo xtask updates` writes. A package is called there as Debian calls its
//! source and what is built of it; where a name ends in a version (`postgresql-15`, `python3.11`), the name without it
//! means the same (`postgresql`, `python3`, `python`), as other stores call it so.

use super::ONE;
use crate::change_count::NEVER;
use crate::{Pattern, Rates};
use std::collections::BTreeMap;

/// Lines of `SOURCE [BINARY…]: WEEK…`.
const TABLE: &str = include_str!("../../data/debian-12.txt");

/// The word that means these rates instead of a file's name.
pub(super) const NAME: &str = "builtin";

/// The table as rates: a change for each week with an update.
pub(super) fn rates() -> Rates {
    let mut by_name: BTreeMap<&str, u64> = BTreeMap::new();
    let lines = || TABLE.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(": "));
    let rate = |weeks: &str| NEVER + ONE * weeks.split(' ').count() as u64;
    for (names, weeks) in lines() {
        names.split(' ').for_each(|name| _ = by_name.insert(name, rate(weeks)));
    }
    // A source's own name without its version; of several that share one, the one that changed most.
    for (source, weeks) in lines().filter_map(|(names, weeks)| Some((names.split(' ').next()?, weeks))) {
        for name in without_versions(source) {
            let known = by_name.entry(name).or_default();
            *known = rate(weeks).max(*known);
        }
    }
    let all = ("*".parse().expect("a star is a pattern"), NEVER);
    let rates = by_name.iter().map(|(name, rate)| (pattern(name), *rate));
    Rates { name: NAME.to_owned(), rates: std::iter::once(all).chain(rates).collect() }
}

/// `python3.11`: `python3`, `python`; `postgresql-15`: `postgresql`.
fn without_versions(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(without_version(name), |name| without_version(name))
}

fn without_version(name: &str) -> Option<&str> {
    let cut = name.trim_end_matches(|letter: char| letter.is_ascii_digit());
    let cut = cut.strip_suffix(['-', '.']).unwrap_or(cut);
    (cut.len() < name.len() && cut.len() > 1).then_some(cut)
}

/// The paths of a package: by the name up to the version, or, where it looks as if it had one itself, by what follows it.
fn pattern(name: &str) -> Pattern {
    let has_version =
        name.match_indices('-').any(|(dash, _)| !name[dash + 1..].starts_with(|c: char| c.is_ascii_alphabetic()));
    match has_version {
        true => format!("{}-[0-9]*", Pattern::literal(name)).parse().expect("a name and a class are a pattern"),
        false => Pattern::literal(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::path;

    /// In changes, rounded.
    fn rate(name: &str) -> u64 {
        rates().of(&[&path(name)]).unwrap()[0] / ONE
    }

    #[test]
    fn names_with_versions() {
        assert_eq!(without_versions("python3.11").collect::<Vec<_>>(), ["python3", "python"]);
        assert_eq!(without_versions("postgresql-15").collect::<Vec<_>>(), ["postgresql"]);
        assert_eq!(without_versions("x264").collect::<Vec<_>>(), Vec::<&str>::new());
        assert_eq!(without_versions("openssl").count(), 0);
    }

    #[test]
    fn what_is_updated_often() {
        for (often, seldom) in
            [("openssl-3.0.11", "coreutils-9.1"), ("libssl3-3.0.11-1", "openssl-tool-1"), ("systemd-255", "bash-5.2")]
        {
            assert!(rate(often) > 9 && rate(seldom) == 0, "{often} {}, {seldom} {}", rate(often), rate(seldom));
        }
        let same = ["postgresql-15.4", "postgresql-15-15.4-0", "libpq5-15.4", "postgresql-client-15-15.20-0"].map(rate);
        assert!(same[0] > 9 && same.iter().all(|rate| *rate == same[0]), "{same:?}");
        assert_eq!(rate("python3-3.11.9"), rate("python3.11-3.11.2-6"));
        assert_eq!(rate("postgresql-client-common-248"), 2);
    }
}
