//! What an image is called: `NAME:TAG`, by the grammar of docker's distribution/reference.

use crate::location::split_name;
use crate::{Error, Result};
use layerstone_stage::Digest;

/// Longest name in bytes (distribution/reference, `RepositoryNameTotalLengthMax`).
const MAX_NAME: usize = 255;
/// Longest tag in bytes (distribution/reference, `TagRegexp`).
const MAX_TAG: usize = 128;
/// How many digits of the image ID stand in for a tag: as many as a store path's hash has, which dockerTools uses.
const TAG_DIGITS: usize = 32;
/// What a tag must be.
const A_TAG: &str = "expected a tag of 1 to 128 letters, digits, `_`, `.` and `-`, the first no `.` or `-`";
/// The registry of names that tell none, and its older name (distribution/reference, `normalize.go`).
const REGISTRIES: [&str; 2] = ["docker.io", "index.docker.io"];

/// A name, and a tag unless the image ID is to stand in for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    name: String,
    tag: Option<String>,
}

impl Reference {
    /// Lower-cases the name, as dockerTools does, and checks it and the tag, which is kept as it is.
    pub fn new(name: &str, tag: Option<&str>) -> Result<Reference> {
        let name = name.to_ascii_lowercase();
        check_name(&name).map_err(|cause| Error::Reference { text: name.clone(), cause })?;
        if let Some(tag) = tag.filter(|tag| !is_tag(tag)) {
            return Err(Error::Reference { text: tag.to_owned(), cause: A_TAG.to_owned() });
        }
        Ok(Reference { name, tag: tag.map(str::to_owned) })
    }

    /// The name, lower case.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `NAME:TAG`; without a tag, the first 32 hexadecimal digits of the image ID.
    pub fn for_image(&self, image_id: &Digest) -> String {
        match &self.tag {
            Some(tag) => format!("{}:{tag}", self.name),
            None => format!("{}:{}", self.name, &image_id.hex()[..TAG_DIGITS]),
        }
    }
}

/// Whether docker takes a text as `NAME:TAG`, as it is; if not, why.
pub(crate) fn check_name_and_tag(text: &str) -> Result<(), String> {
    let (name, tag) = split_name(text);
    let tag = tag.ok_or("expected NAME:TAG")?;
    check_name(name)?;
    if is_tag(tag) { Ok(()) } else { Err(A_TAG.to_owned()) }
}

/// A name with the registry and the folder that docker adds to a short one, so that equal names are equal texts:
/// `tool:1` is `docker.io/library/tool:1` (distribution/reference, `splitDockerDomain`).
pub(crate) fn full_name(text: &str) -> String {
    let is_registry = |first: &str| first.contains(['.', ':']) || first == "localhost";
    let (registry, path) = match text.split_once('/') {
        Some((first, path)) if is_registry(first) => (first, path),
        _ => (REGISTRIES[0], text),
    };
    if !REGISTRIES.contains(&registry) {
        return text.to_owned();
    }
    let folder = if path.contains('/') { "" } else { "library/" };
    format!("{}/{folder}{path}", REGISTRIES[0])
}

/// `[host[:port]/]component[/component]…` (distribution/reference, `reference.go`).
fn check_name(name: &str) -> Result<(), String> {
    let (first, rest) = name.split_once('/').map_or((name, None), |(first, rest)| (first, Some(rest)));
    let is_path = |path: &str| path.split('/').all(is_path_component);
    let fits = is_path_component(first) || (rest.is_some() && is_host(first));
    if name.len() > MAX_NAME {
        return Err(format!("found {} bytes, expected at most {MAX_NAME}", name.len()));
    }
    if name.len() == 64 && name.bytes().all(|c| c.is_ascii_hexdigit()) {
        return Err("64 hexadecimal digits would be taken for an image ID".to_owned());
    }
    if !fits || !rest.is_none_or(is_path) {
        let hint = if name.contains(['@', ':']) { ", and a tag only in its own place" } else { "" };
        return Err(format!(
            "expected a name such as tool or registry.example/team/tool: parts of letters and digits joined by `.`, \
             `_`, `__` or dashes{hint}"
        ));
    }
    Ok(())
}

/// Runs of letters and digits joined by `.`, `_`, `__` or any number of dashes.
fn is_path_component(text: &str) -> bool {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let joint = |text: &str| matches!(text, "." | "_" | "__") || text.bytes().all(|c| c == b'-');
    text.starts_with(alphanumeric)
        && text.ends_with(alphanumeric)
        && text.split(alphanumeric).filter(|between| !between.is_empty()).all(joint)
}

/// A host name or address, and a port.
fn is_host(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (text, "0"),
    };
    let label = |text: &str| {
        let alphanumeric = |c: char| c.is_ascii_alphanumeric();
        text.starts_with(alphanumeric)
            && text.ends_with(alphanumeric)
            && text.chars().all(|c| alphanumeric(c) || c == '-')
    };
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_address = address.is_some_and(|a| !a.is_empty() && a.bytes().all(|c| c.is_ascii_hexdigit() || c == b':'));
    let is_port = !port.is_empty() && port.bytes().all(|c| c.is_ascii_digit());
    is_port && (is_address || host.split('.').all(label))
}

fn is_tag(tag: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    tag.len() <= MAX_TAG && tag.starts_with(word) && tag.chars().all(|c| word(c) || matches!(c, '.' | '-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_docker_takes() {
        let long = "a".repeat(255);
        for good in [
            "a",
            "synth",
            "a/b/c",
            "a.b_c__d-e---f",
            "localhost/a",
            "localhost:5000/a",
            "Registry.Example.com/Team/Tool",
            "127.0.0.1:80/x",
            "[2001:db8::1]:5000/x",
            "[::1]/x",
            "xn--n3h.com/myimage",
            "0",
            "my.host.com/a_b",
            &long,
        ] {
            assert!(Reference::new(good, None).is_ok(), "{good}");
        }
    }

    #[test]
    fn names_that_docker_refuses() {
        let (long, hex) = ("a".repeat(256), "ab".repeat(32));
        for bad in [
            "",
            "/a",
            "a/",
            "a//b",
            "a:b",
            "a@b",
            "-a",
            "a-",
            "a..b",
            "a___b",
            "a._b",
            "_a",
            "a b",
            "é",
            "host:/a",
            "host:5000",
            "[::1]",
            "a/b:c",
            "a/-b/c",
            "-host.com/a",
            &long,
            &hex,
        ] {
            assert!(Reference::new(bad, None).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_with_tags() {
        for good in ["a:1", "docker.io/library/a:1", "host:5000/x/y:V1", "Registry.Example.com/team/tool:latest"] {
            assert_eq!(check_name_and_tag(good), Ok(()));
        }
        for (bad, cause) in [
            ("", "expected NAME:TAG"),
            ("latest", "expected NAME:TAG"),
            ("host:5000/x", "expected NAME:TAG"),
            ("Tool:1", "expected a name such as"),
            ("a@sha256:e3b0c442", "expected a name such as"),
            (":1", "expected a name such as"),
            ("a:", "expected a tag of"),
        ] {
            let found = check_name_and_tag(bad).unwrap_err();
            assert!(found.starts_with(cause), "{bad}: {found}");
        }
    }

    #[test]
    fn short_names_in_full() {
        for (short, full) in [
            ("a:1", "docker.io/library/a:1"),
            ("a/b:1", "docker.io/a/b:1"),
            ("library/a:1", "docker.io/library/a:1"),
            ("docker.io/a:1", "docker.io/library/a:1"),
            ("index.docker.io/library/a:1", "docker.io/library/a:1"),
            ("localhost/a:1", "localhost/a:1"),
            ("host:5000/a:1", "host:5000/a:1"),
            ("registry.example/a:1", "registry.example/a:1"),
        ] {
            assert_eq!(full_name(short), full);
            assert_eq!(full_name(full), full);
        }
    }

    #[test]
    fn tags() {
        let id = Digest::of(b"");
        let reference = |tag| Reference::new("Synth", tag).unwrap().for_image(&id);
        assert_eq!(reference(Some("V1.0-rc_1")), "synth:V1.0-rc_1");
        assert_eq!(reference(None), "synth:e3b0c44298fc1c149afbf4c8996fb924");
        for bad in ["", ".a", "-a", "a b", "a/b", "ä", &"a".repeat(129)] {
            assert!(Reference::new("a", Some(bad)).is_err(), "{bad}");
        }
        let error = Reference::new("tool:1", None).unwrap_err().to_string();
        assert!(error.starts_with("not an image reference: \"tool:1\": expected a name such as"), "{error}");
        assert!(error.ends_with("a tag only in its own place"), "{error}");
    }
}
