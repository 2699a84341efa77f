//! Parses `FILE[#NAME:TAG]`: a file or directory of images, and which of them is meant. Does not know what it holds.

use crate::Reference;
use crate::reference::split_tag;
use std::convert::Infallible;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A file or directory of images, and the name or tag, or both, that one of them has there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    /// The file or directory; `-` is standard input.
    pub path: PathBuf,
    /// Name that the image must have there.
    pub name: Option<String>,
    /// Tag that the image must have there.
    pub tag: Option<String>,
}

impl Location {
    /// The only image of a file or directory.
    pub fn of(path: impl Into<PathBuf>) -> Location {
        Location { path: path.into(), name: None, tag: None }
    }

    /// Reads `FILE[#NAME:TAG]`. What lies behind the last `#` is a name, unless a file of the whole text is there or the
    /// part is no text; `FILE#` is the file without a name.
    pub fn parse(text: &OsStr) -> Location {
        let bytes = text.as_bytes();
        let hash = bytes.iter().rposition(|&byte| byte == b'#').filter(|_| !Path::new(text).exists());
        let split = hash.map(|hash| (&bytes[..hash], std::str::from_utf8(&bytes[hash + 1..])));
        let Some((path, Ok(name))) = split else { return Location::of(text) };
        let (name, tag) = split_tag(name);
        let text = |part: &str| Some(part.to_owned()).filter(|part| !part.is_empty());
        Location { path: OsStr::from_bytes(path).into(), name: text(name), tag: tag.and_then(text) }
    }

    /// Whether an image of these names is meant; any is if no name is given.
    pub fn means(&self, names: &[String]) -> bool {
        self.reference().is_none() || names.iter().any(|name| self.matches(name))
    }

    /// Whether an image that is listed as this is meant: the given name and tag match, names in their full form.
    pub fn matches(&self, listed: &str) -> bool {
        let reference = Reference::unchecked(listed);
        let tag = reference.tag();
        // Of an OCI layout a tag may be all that is listed.
        let is_word = !listed.contains(['/', ':']);
        let is_same = |wanted: &str| Reference::unchecked(wanted).full().name() == reference.full().name();
        let is_name = |wanted: &str| wanted == reference.name() || (!is_word && is_same(wanted));
        match (&self.name, &self.tag) {
            (None, None) => true,
            (Some(text), None) | (None, Some(text)) if text == listed => true,
            (Some(wanted), None) => is_name(wanted),
            (None, Some(wanted)) => Some(wanted.as_str()) == tag,
            (Some(wanted), Some(wanted_tag)) => is_name(wanted) && Some(wanted_tag.as_str()) == tag,
        }
    }

    /// The name and tag that are given, `NAME:TAG`, if any.
    pub fn reference(&self) -> Option<String> {
        match (&self.name, &self.tag) {
            (None, None) => None,
            (Some(name), None) => Some(name.clone()),
            (name, Some(tag)) => Some(format!("{}:{tag}", name.as_deref().unwrap_or_default())),
        }
    }
}

impl FromStr for Location {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Location, Infallible> {
        Ok(Location::parse(OsStr::new(text)))
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.path.display())?;
        self.reference().map_or(Ok(()), |reference| write!(f, "#{reference}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, path: &str, name: Option<&str>, tag: Option<&str>) {
        let location: Location = text.parse().unwrap();
        let found = (location.path.as_path(), location.name.as_deref(), location.tag.as_deref());
        assert_eq!(found, (Path::new(path), name, tag), "{text}");
    }

    #[test]
    fn files_and_names() {
        check("base.tar", "base.tar", None, None);
        check("base.tar#", "base.tar", None, None);
        check("base.tar#debian:12", "base.tar", Some("debian"), Some("12"));
        check("base.tar#debian", "base.tar", Some("debian"), None);
        check("base.tar#:12", "base.tar", None, Some("12"));
        check("a#b/c.tar#host:5000/x/y", "a#b/c.tar", Some("host:5000/x/y"), None);
        check("c.tar#host:5000/x/y:1", "c.tar", Some("host:5000/x/y"), Some("1"));
        assert_eq!("a.tar#x:1".parse::<Location>().unwrap().to_string(), "a.tar#x:1");
    }

    #[test]
    fn a_file_that_is_there_is_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a#b:c");
        std::fs::write(&path, "").unwrap();
        assert_eq!(Location::parse(path.as_os_str()), Location::of(&path));
        let named = Location::parse(directory.path().join("a#b:c#d").as_os_str());
        assert_eq!((named.path, named.name.as_deref()), (path, Some("d")));
    }

    #[track_caller]
    fn check_match(reference: &str, listed: &str, expected: bool) {
        let location: Location = format!("x#{reference}").parse().unwrap();
        assert_eq!(location.matches(listed), expected, "{reference} {listed}");
    }

    #[test]
    fn matches_are_of_whole_names() {
        check_match("", "anything:1", true);
        check_match("a:b", "a:b", true);
        check_match("a:b", "xa:bc", false);
        check_match("a", "a:b", true);
        check_match("a", "aa:b", false);
        check_match("a", "a", true);
        check_match(":b", "a:b", true);
        check_match("latest", "latest", true);
        check_match(":latest", "latest", true);
        check_match("a:b", "a", false);
        for wanted in ["small:1", "library/small:1", "docker.io/library/small:1", "index.docker.io/small:1", "small"] {
            for listed in ["small:1", "docker.io/library/small:1", "index.docker.io/library/small:1"] {
                check_match(wanted, listed, true);
            }
            check_match(wanted, "reg.example/small:1", false);
            check_match(wanted, "team/small:1", false);
            check_match(wanted, "small:2", wanted == "small");
        }
        check_match("library/latest", "latest", false);
        check_match("docker.io/team/small", "team/small:1", true);
    }
}
