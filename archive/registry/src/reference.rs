//! An image in a registry: `HOST[:PORT]/NAME[:TAG][@sha256:HEX]`.

use crate::{Error, Result};
use layerstone_oci::name::{A_TAG, REGISTRIES, check, full, is_tag, split};
use layerstone_store::Digest;
use std::fmt;
use std::str::FromStr;

/// The tag of names that tell none (distribution/reference, `TagNameOnly`).
const LATEST: &str = "latest";
/// Where docker.io's registry answers.
const HUB: &str = "registry-1.docker.io";

/// What an image is called in a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    /// The host, with its port if one is told.
    pub host: String,
    /// The repository.
    pub name: String,
    /// The tag, if one is told.
    pub tag: Option<String>,
    /// The digest of its manifest, if it is told.
    pub digest: Option<Digest>,
}

impl Reference {
    /// The tag, or the one that stands for none.
    pub fn tag_or_latest(&self) -> &str {
        self.tag.as_deref().unwrap_or(LATEST)
    }

    /// What a registry is asked for: the digest, or else the tag.
    pub fn target(&self) -> String {
        self.digest.map_or_else(|| self.tag_or_latest().to_owned(), |digest| digest.to_string())
    }

    /// Host and repository.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.host, self.name)
    }

    /// What one calls the repository: without docker's own host and folder.
    pub fn short_name(&self) -> String {
        if !REGISTRIES.contains(&self.host.as_str()) {
            return self.full_name();
        }
        self.name.strip_prefix("library/").unwrap_or(&self.name).to_owned()
    }

    /// Where the registry answers.
    pub(crate) fn authority(host: &str) -> &str {
        if REGISTRIES.contains(&host) { HUB } else { host }
    }
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Reference> {
        let wrong = |cause: String| Error::Reference { text: text.to_owned(), cause };
        let (named, digest) = match text.split_once('@') {
            Some((named, digest)) => (
                named,
                Some(
                    digest
                        .parse()
                        .map_err(|_| wrong("expected @sha256: and 64 lower-case hexadecimal digits".to_owned()))?,
                ),
            ),
            None => (text, None),
        };
        let (name, tag) = split(named);
        check(name).map_err(wrong)?;
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(wrong(A_TAG.to_owned()));
        }
        let full = full(name);
        let (host, name) = full.split_once('/').expect("a full name has a host");
        if name.bytes().any(|byte| byte.is_ascii_uppercase() || byte == b':') {
            return Err(wrong("expected HOST/NAME, the name in lower case".to_owned()));
        }
        let tag = tag.map(str::to_owned);
        Ok(Reference { host: host.to_owned(), name: name.to_owned(), tag, digest })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.full_name())?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        self.digest.map_or(Ok(()), |digest| write!(f, "@{digest}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, host: &str, name: &str, tag: Option<&str>) {
        let found: Reference = text.parse().unwrap();
        assert_eq!((found.host.as_str(), found.name.as_str(), found.tag.as_deref()), (host, name, tag), "{text}");
    }

    #[test]
    fn hosts_names_and_tags() {
        check("localhost:5000/a/b:1", "localhost:5000", "a/b", Some("1"));
        check("localhost/a", "localhost", "a", None);
        check("debian:12", "docker.io", "library/debian", Some("12"));
        check("nixos/nix", "docker.io", "nixos/nix", None);
        check("[::1]:5000/a", "[::1]:5000", "a", None);
        let digest = Digest::of(b"x");
        let both: Reference = format!("r.example/a:1@{digest}").parse().unwrap();
        assert_eq!((both.digest, both.target()), (Some(digest), digest.to_string()));
        assert_eq!(both.to_string(), format!("r.example/a:1@{digest}"));
    }

    #[test]
    fn what_is_none() {
        for bad in
            ["", "r.example/", "r.example/A", "r.example/a:", "r.example/a@sha256:00", "r.example/a:b:c", "a@sha512:0"]
        {
            assert!(bad.parse::<Reference>().is_err(), "{bad}");
        }
    }
}
