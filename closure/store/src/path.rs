//! Parses store paths: `/nix/store/HASH-NAME`, as text, in any store directory.

use crate::Error;
use crate::text::as_text;
use std::fmt;
use std::str::FromStr;

/// Length of a store path's hash part: 160 bits in Nix's base 32. Nix and Guix agree on it; another length would be
/// another store format.
pub const HASH_LEN: usize = 32;

/// The logical name of one entry of a store: the store directory, `/`, and a name. What it names need not exist.
///
/// The name is any UTF-8 text without `/`; Nix and Guix only make `HASH-NAME` of `[0-9a-zA-Z+._?=-]`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StorePath(Box<str>);

impl StorePath {
    /// Takes an absolute path as a store path; its parent is taken as the store directory.
    pub fn parse(text: &str) -> Result<StorePath, Error> {
        let error = |cause: &str| Error::StorePath { text: text.to_owned(), cause: cause.to_owned() };
        let (store, name) = text.rsplit_once('/').ok_or_else(|| error("it is not absolute"))?;
        if !store.starts_with('/') {
            return Err(error("expected an absolute path below a store directory, such as /nix/store/HASH-NAME"));
        }
        if store[1..].split('/').any(|part| matches!(part, "" | "." | "..")) || matches!(name, "" | "." | "..") {
            return Err(error("expected no empty, `.` or `..` component"));
        }
        if text.contains('\0') {
            return Err(error("it holds a NUL byte"));
        }
        Ok(StorePath(text.into()))
    }

    /// The whole path.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The store directory.
    pub fn store_dir(&self) -> &str {
        self.split().0
    }

    /// Last component: hash and name.
    pub fn base_name(&self) -> &str {
        self.split().1
    }

    /// The 32 characters of the hash, if the base name begins with 32 and a dash (or ends there).
    pub fn hash_part(&self) -> Option<&str> {
        let base = self.base_name();
        match base.as_bytes().get(HASH_LEN) {
            None | Some(b'-') => base.get(..HASH_LEN),
            _ => None,
        }
    }

    /// The base name without the hash and its dash; the whole base name if it has no dash.
    pub fn name(&self) -> &str {
        self.base_name().split_once('-').map_or(self.base_name(), |(_, name)| name)
    }

    /// The name up to its version: `openssl` of `openssl-3.0.11-bin`. The version begins behind the first dash that no
    /// letter follows, as for `nix-env` (nix, src/libstore/names.cc); a name without one is given whole.
    pub fn package(&self) -> &str {
        let name = self.name();
        let begins_version =
            |&(dash, _): &(usize, &str)| name.as_bytes().get(dash + 1).is_some_and(|next| !next.is_ascii_alphabetic());
        name.match_indices('-').find(begins_version).map_or(name, |(dash, _)| &name[..dash])
    }

    fn split(&self) -> (&str, &str) {
        self.0.rsplit_once('/').expect("checked in parse")
    }
}

impl fmt::Display for StorePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for StorePath {
    type Err = Error;

    fn from_str(text: &str) -> Result<StorePath, Error> {
        StorePath::parse(text)
    }
}

as_text!(StorePath);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts() {
        let path = StorePath::parse("/nix/store/516z65g5d2g7yfc9yv6n2g1q21jqv0m1-libc-2.36").unwrap();
        assert_eq!(path.store_dir(), "/nix/store");
        assert_eq!(path.hash_part(), Some("516z65g5d2g7yfc9yv6n2g1q21jqv0m1"));
        assert_eq!(path.name(), "libc-2.36");
        assert_eq!(StorePath::parse("/s/x").unwrap().hash_part(), None);
    }

    #[test]
    fn what_is_no_store_path() {
        for bad in ["", "x", "nix/store/x", "/x", "/nix/store/", "/nix//x", "/nix/../x", "/nix/store/..", "/a/b\0"] {
            assert!(StorePath::parse(bad).is_err(), "{bad:?}");
        }
    }
}
