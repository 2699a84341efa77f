//! Parses and shows what an image is called, `[HOST[:PORT]/]PATH[:TAG][@sha256:HEX]`, by the grammar of docker's
//! distribution/reference. Does not know what has the name.

use layerstone_store::Digest;
use std::fmt;
use std::str::FromStr;

/// The host of a name without one, and its older name (distribution/reference, `normalize.go`).
pub const DOCKER_HOSTS: [&str; 2] = ["docker.io", "index.docker.io"];
/// The directory of docker's own images, which names without a directory are in.
const OFFICIAL: &str = "library/";
/// The tag of names without one (distribution/reference, `TagNameOnly`).
const LATEST: &str = "latest";
/// Longest name in bytes (distribution/reference, `RepositoryNameTotalLengthMax`).
const MAX_NAME: usize = 255;
/// Longest tag in bytes (distribution/reference, `TagRegexp`).
const MAX_TAG: usize = 128;
/// What a tag must be.
const A_TAG: &str = "expected a tag of 1 to 128 letters, digits, `_`, `.` and `-`, the first no `.` or `-`";
/// How many digits of the image ID stand in for a tag: as many as a store path's hash has, which dockerTools uses.
const TAG_DIGITS: usize = 32;

/// The name of an image, with a tag, a digest, both or neither. Equal if written equally: see [`Reference::full`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    name: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// A text that docker would not take for a reference.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an image reference: {text:?}: {cause}")]
pub struct InvalidReference {
    /// The text, or the name or tag in it.
    pub text: String,
    /// What was expected.
    pub cause: String,
}

impl Reference {
    /// A reference of this name, which may begin with a host, and this tag.
    ///
    /// # Errors
    ///
    /// Docker would refuse the name or the tag.
    pub fn new(name: &str, tag: Option<&str>) -> Result<Reference, InvalidReference> {
        let wrong = |text: &str, cause| InvalidReference { text: text.to_owned(), cause };
        check_name(name).map_err(|cause| wrong(name, cause))?;
        match tag {
            Some(tag) if !is_tag(tag) => Err(wrong(tag, A_TAG.to_owned())),
            tag => Ok(Reference { name: name.to_owned(), tag: tag.map(str::to_owned), digest: None }),
        }
    }

    /// A reference that stands in a file of others: split, but not checked.
    pub fn unchecked(text: &str) -> Reference {
        let (named, digest) = match text.rsplit_once('@').map(|(named, digest)| (named, digest.parse())) {
            Some((named, Ok(digest))) => (named, Some(digest)),
            _ => (text, None),
        };
        let (name, tag) = split_tag(named);
        Reference { name: name.to_owned(), tag: tag.map(str::to_owned), digest }
    }

    /// Parses `NAME:TAG`, which must have a tag and no digest.
    ///
    /// # Errors
    ///
    /// It has not, or docker would refuse it.
    pub fn parse_tagged(text: &str) -> Result<Reference, InvalidReference> {
        match split_tag(text) {
            (_, None) => Err(InvalidReference { text: text.to_owned(), cause: "expected NAME:TAG".to_owned() }),
            (name, tag) => Reference::new(name, tag),
        }
    }

    /// The name without tag and digest, as it was written.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The tag, if there is one.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The tag, or the one that stands for none.
    pub fn tag_or_latest(&self) -> &str {
        self.tag.as_deref().unwrap_or(LATEST)
    }

    /// The digest, if there is one.
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// What a registry is asked for: the digest, or else the tag.
    pub fn tag_or_digest(&self) -> String {
        self.digest.map_or_else(|| self.tag_or_latest().to_owned(), |digest| digest.to_string())
    }

    /// The registry, with its port if it has one.
    pub fn host(&self) -> &str {
        split_host(&self.name).0
    }

    /// The repository on that registry.
    pub fn repository(&self) -> String {
        let (host, path) = split_host(&self.name);
        let directory = if host == DOCKER_HOSTS[0] && !path.contains('/') { OFFICIAL } else { "" };
        format!("{directory}{path}")
    }

    /// The same with the host and the directory that docker adds to a short name: names that mean the same are equal then.
    /// `tool:1` is `docker.io/library/tool:1` (distribution/reference, `splitDockerDomain`).
    pub fn full(&self) -> Reference {
        Reference { name: format!("{}/{}", self.host(), self.repository()), ..self.clone() }
    }

    /// The same without the host and the directory that docker adds to a short name (distribution/reference,
    /// `FamiliarName`). Otherwise than there it is the full name where the short one would mean another host:
    /// `docker.io/other.example/tool`.
    pub fn familiar(&self) -> Reference {
        let repository = self.repository();
        let name = match repository.strip_prefix(OFFICIAL).filter(|rest| !rest.contains('/')) {
            _ if self.host() != DOCKER_HOSTS[0] => self.full().name,
            Some(short) => short.to_owned(),
            None => repository,
        };
        let (short, full) = (Reference { name, ..self.clone() }, self.full());
        if short.full() == full { short } else { full }
    }

    /// The same as `NAME:TAG`, the tag being `latest` if there is none.
    pub fn tagged(&self) -> Reference {
        Reference { tag: Some(self.tag_or_latest().to_owned()), digest: None, ..self.clone() }
    }

    /// The same with this digest.
    pub fn with_digest(self, digest: Digest) -> Reference {
        Reference { digest: Some(digest), ..self }
    }

    /// The same as `NAME:TAG`, the tag being the first 32 digits of the image's ID if there is none.
    pub fn for_image(&self, image_id: &Digest) -> Reference {
        let tag = self.tag.clone().unwrap_or_else(|| image_id.hex()[..TAG_DIGITS].to_owned());
        Reference { tag: Some(tag), digest: None, ..self.clone() }
    }
}

impl FromStr for Reference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Reference, InvalidReference> {
        let wrong = |cause: &str| InvalidReference { text: text.to_owned(), cause: cause.to_owned() };
        let (named, digest) = match text.split_once('@') {
            Some((named, digest)) => (named, Some(digest.parse())),
            None => (text, None),
        };
        let digest = digest.transpose().map_err(|_| wrong("expected @sha256: and 64 lower-case hexadecimal digits"))?;
        let (name, tag) = split_tag(named);
        let reference = Reference::new(name, tag).map_err(|error| wrong(&error.cause))?;
        Ok(Reference { digest, ..reference })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        self.digest.map_or(Ok(()), |digest| write!(f, "@{digest}"))
    }
}

/// The host of a name, that of names without one included, and the rest.
fn split_host(name: &str) -> (&str, &str) {
    match name.split_once('/') {
        Some((first, path)) if first.contains(['.', ':']) || first == "localhost" => {
            (if DOCKER_HOSTS.contains(&first) { DOCKER_HOSTS[0] } else { first }, path)
        }
        _ => (DOCKER_HOSTS[0], name),
    }
}

/// Splits off a tag at the colon behind the last slash, since one before it is that of a port.
pub(crate) fn split_tag(text: &str) -> (&str, Option<&str>) {
    match text.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (text, None),
    }
}

/// Checks `[HOST[:PORT]/]COMPONENT[/COMPONENT]…` (distribution/reference, `reference.go`).
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
    if let (true, Some(port)) = (rest.is_some(), impossible_port(first)) {
        return Err(format!("found the port {port}, expected one from 1 to 65535"));
    }
    // A first part that is taken for no host may be one of a host alone.
    let path = split_host(name).1;
    let has_upper_case = path.bytes().any(|byte| byte.is_ascii_uppercase());
    if !fits || !rest.is_none_or(is_path) || !(has_upper_case || is_path(path)) {
        let hint = if name.contains(['@', ':']) { ", and a tag only in its own place" } else { "" };
        return Err(format!(
            "expected a name such as tool or registry.example/team/tool: parts of lower-case letters and digits joined by `.`, \
             `_`, `__` or dashes{hint}"
        ));
    }
    if has_upper_case {
        return Err("expected HOST/NAME, the name in lower case".to_owned());
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

/// The port of a host, if nothing can listen at it: the grammar takes any digits.
fn impossible_port(host: &str) -> Option<&str> {
    let (_, port) = host.rsplit_once(':').filter(|(_, port)| !port.ends_with(']'))?;
    let is_digits = !port.is_empty() && port.bytes().all(|c| c.is_ascii_digit());
    (is_digits && !port.parse::<u16>().is_ok_and(|port| port > 0)).then_some(port)
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
            "localhost:65535/a",
            "Registry.Example.com/team/tool",
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
            "host:0/a",
            "host:65536/a",
            "[::1]:99999/a",
            "host:5000",
            "[::1]",
            "[1]/a",
            "a/b:c",
            "a/-b/c",
            "Tool",
            "Host/tool",
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
            assert_eq!(Reference::parse_tagged(good).unwrap().to_string(), good);
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
            let found = Reference::parse_tagged(bad).unwrap_err().to_string();
            assert!(found.contains(&format!(": {cause}")), "{bad}: {found}");
        }
    }

    #[test]
    fn tags() {
        let id = Digest::of(b"");
        let reference = |tag| Reference::new("synth", tag).unwrap().for_image(&id).to_string();
        assert_eq!(reference(Some("V1.0-rc_1")), "synth:V1.0-rc_1");
        assert_eq!(reference(None), "synth:e3b0c44298fc1c149afbf4c8996fb924");
        for bad in ["", ".a", "-a", "a b", "a/b", "ä", &"a".repeat(129)] {
            assert!(Reference::new("a", Some(bad)).is_err(), "{bad}");
        }
        let error = Reference::new("tool:1", None).unwrap_err().to_string();
        assert!(error.starts_with("not an image reference: \"tool:1\": expected a name such as"), "{error}");
        assert!(error.ends_with("a tag only in its own place"), "{error}");
    }

    #[test]
    fn names_in_full_and_short() {
        for (text, expected_full, expected_familiar) in [
            ("docker.io/other.example/a:1", "docker.io/other.example/a:1", "docker.io/other.example/a:1"),
            ("docker.io/localhost/a", "docker.io/localhost/a", "docker.io/localhost/a"),
            ("tool:1", "docker.io/library/tool:1", "tool:1"),
            ("library/tool:1", "docker.io/library/tool:1", "tool:1"),
            ("docker.io/tool:1", "docker.io/library/tool:1", "tool:1"),
            ("docker.io/library/tool:1", "docker.io/library/tool:1", "tool:1"),
            ("index.docker.io/library/tool:1", "docker.io/library/tool:1", "tool:1"),
            ("team/tool", "docker.io/team/tool", "team/tool"),
            ("docker.io/library/a/b", "docker.io/library/a/b", "library/a/b"),
            ("localhost/tool:1", "localhost/tool:1", "localhost/tool:1"),
            ("reg.example:5000/tool:1", "reg.example:5000/tool:1", "reg.example:5000/tool:1"),
        ] {
            let reference = Reference::unchecked(text);
            let [full, familiar] = [reference.full(), reference.familiar()];
            assert_eq!((&*full.to_string(), &*familiar.to_string()), (expected_full, expected_familiar), "{text}");
            assert_eq!((familiar.full(), full.full()), (full.clone(), full));
        }
    }

    #[track_caller]
    fn check(text: &str, host: &str, repository: &str, tag: Option<&str>) {
        let found: Reference = text.parse().unwrap();
        assert_eq!((found.host(), &*found.repository(), found.tag()), (host, repository, tag), "{text}");
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
        assert_eq!((both.digest(), both.tag_or_digest()), (Some(digest), digest.to_string()));
        assert_eq!(both.to_string(), format!("r.example/a:1@{digest}"));
        assert_eq!(
            (Reference::unchecked(&both.to_string()), both.tagged().to_string()),
            (both, "r.example/a:1".to_owned())
        );
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
