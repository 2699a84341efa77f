//! Parses the words that say where an image is: `FILE[#NAME:TAG]`, `oci:DIR`, `registry:REF`, `docker:NAME`. There is one table
//! of the kinds, for all that is read and all that is written; does not open anything.
//!
//! A place is `KIND:REST` or the name of a file. A word before the first colon that is no kind is an error, so that no typo
//! makes a file; `./` before a name makes it a file's.

use crate::{InvalidReference, Location, Reference, skopeo};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Where an image is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A docker archive, an OCI archive, the directory of an OCI layout, or a `dir:` directory.
    File(Location),
    /// A registry.
    Registry(Reference),
    /// What runs images on this machine, and what it calls the image.
    Engine(Engine, String),
}

/// A program that runs images, and loads and saves them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// `docker load`.
    Docker,
    /// `podman load`.
    Podman,
}

impl Engine {
    /// The program.
    pub fn program(self) -> &'static str {
        match self {
            Engine::Docker => "docker",
            Engine::Podman => "podman",
        }
    }
}

/// What stands before the first colon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlaceKind {
    /// `docker-archive:`
    DockerArchive,
    /// `oci:`
    Oci,
    /// `oci-archive:`
    OciArchive,
    /// `dir:`, which is read and not written.
    Dir,
    /// `registry:`
    Registry,
    /// `docker:` or `podman:`
    Engine(Engine),
}

/// A text that is no place, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct InvalidPlace {
    /// What was found and what was expected.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

/// The kinds that are written, for messages and help.
pub const PLACES: &str =
    "FILE, docker-archive:FILE, oci:DIR, oci-archive:FILE, registry:HOST/NAME:TAG, docker: or podman:";
/// The kinds that are read.
const SOURCES: &str = "FILE[#NAME:TAG], docker-archive:FILE, oci:DIR, oci-archive:FILE, dir:DIR, registry:HOST/NAME:TAG, \
                       docker:NAME or podman:NAME";

/// The kinds by what a place begins with, skopeo's words among them (containers-transports(5)). `docker://` is its word for a
/// registry, and comes before `docker:`.
const PREFIXES: [(&str, PlaceKind); 10] = [
    ("docker-archive:", PlaceKind::DockerArchive),
    ("oci:", PlaceKind::Oci),
    ("oci-archive:", PlaceKind::OciArchive),
    ("dir:", PlaceKind::Dir),
    ("registry:", PlaceKind::Registry),
    ("docker://", PlaceKind::Registry),
    ("docker-daemon:", PlaceKind::Engine(Engine::Docker)),
    ("docker:", PlaceKind::Engine(Engine::Docker)),
    ("containers-storage:", PlaceKind::Engine(Engine::Podman)),
    ("podman:", PlaceKind::Engine(Engine::Podman)),
];

/// Words of other programs (URLs), and the kind that does what they mean.
const FOREIGN: [(&str, &str); 3] =
    [("http", "registry:HOST/NAME:TAG"), ("https", "registry:HOST/NAME:TAG"), ("file", "FILE")];

impl Place {
    /// Reads the place of an image that is there.
    ///
    /// # Errors
    ///
    /// The text begins with a word that is no kind and is no file, or what is behind the word is not what the kind has there.
    pub fn parse(text: &OsStr) -> Result<Place, InvalidPlace> {
        Place::parse_in(Path::new(""), text)
    }

    /// The same, files being relative to a directory.
    ///
    /// # Errors
    ///
    /// As for [`Place::parse`].
    pub fn parse_in(directory: &Path, text: &OsStr) -> Result<Place, InvalidPlace> {
        let whole = directory.join(text);
        let Some((kind, rest)) = split_kind(text).filter(|(kind, _)| *kind != PlaceKind::Dir || !whole.exists()) else {
            check_source(&whole, text)?;
            return Ok(Place::File(Location::parse(whole.as_os_str())));
        };
        let name = || match rest.to_str() {
            Some("") => {
                let hint = "a name stands behind the colon, such as registry:HOST/NAME:TAG or docker:NAME".to_owned();
                Err(InvalidPlace { message: format!("no image: {}", text.display()), hint: Some(hint) })
            }
            Some(name) => Ok(name),
            None => Err(invalid(format!("not UTF-8: {}", text.display()))),
        };
        Ok(match kind {
            PlaceKind::Registry => Place::Registry(parse_reference(name()?)?),
            PlaceKind::Engine(engine) => Place::Engine(engine, name()?.to_owned()),
            _ if rest.is_empty() => {
                let message = format!("no path: {}", text.display());
                return Err(InvalidPlace {
                    message,
                    hint: Some("a path stands behind the colon, such as oci:image".to_owned()),
                });
            }
            PlaceKind::Dir => Place::File(Location::parse(directory.join(rest).as_os_str())),
            PlaceKind::DockerArchive | PlaceKind::Oci | PlaceKind::OciArchive => {
                Place::File(skopeo::location(directory.join(rest).as_os_str()))
            }
        })
    }

    /// The file or directory that it is.
    pub fn path(&self) -> Option<&Path> {
        if let Place::File(location) = self { Some(&location.path) } else { None }
    }
}

/// As it is written, but for the word of a file's kind.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File(location) => location.fmt(f),
            Place::Registry(reference) => write!(f, "registry:{reference}"),
            Place::Engine(engine, name) => write!(f, "{}:{name}", engine.program()),
        }
    }
}

impl From<Location> for Place {
    fn from(location: Location) -> Place {
        Place::File(location)
    }
}

fn invalid(message: String) -> InvalidPlace {
    InvalidPlace { message, hint: None }
}

/// The kind that a text begins with, and the rest.
pub fn split_kind(text: &OsStr) -> Option<(PlaceKind, OsString)> {
    let begins = |(prefix, _): &(&str, PlaceKind)| text.as_bytes().starts_with(prefix.as_bytes());
    let (prefix, kind) = PREFIXES.into_iter().find(begins)?;
    Some((kind, OsStr::from_bytes(&text.as_bytes()[prefix.len()..]).to_owned()))
}

/// Reads the name of an image in a registry: `HOST/NAME:TAG`, not a URL.
///
/// # Errors
///
/// It is none.
pub fn parse_reference(text: &str) -> Result<Reference, InvalidPlace> {
    if let Some((word, _)) = text.split_once("://") {
        refuse_word(OsStr::new(text), Some(word.as_bytes()), PLACES)?;
    }
    let wrong = |e: InvalidReference| invalid(format!("not an image in a registry: {:?}: {}", e.text, e.cause));
    let reference: Reference = text.parse().map_err(wrong)?;
    // docker would look for `localhost` at docker.io, and no image of docker's own has a dot in its name.
    if is_host(reference.name()) {
        let message = format!("not an image in a registry: {text:?}: found no name, expected HOST/NAME:TAG");
        let hint = match Path::new(text).is_file() {
            true => format!("`layerstone copy {text} PLACE` reads the file"),
            false => format!("{text}/NAME:TAG is an image at {text}"),
        };
        let hint = Some(hint);
        return Err(InvalidPlace { message, hint });
    }
    Ok(reference.full())
}

/// Whether a name is that of a host alone, or of a file.
fn is_host(name: &str) -> bool {
    !name.contains('/') && (name == "localhost" || name.contains('.'))
}

/// Refuses the name of a file to write that begins with a word which is no kind.
///
/// # Errors
///
/// It does.
pub fn refuse_unknown_kind(text: &OsStr) -> Result<(), InvalidPlace> {
    refuse_word(text, word_of(text), PLACES)
}

/// Whether a name would be read as a place of another kind, or as none, if it stood alone.
pub fn is_like_a_kind(name: &OsStr) -> bool {
    word_of(name).is_some()
}

/// Refuses the name of a file to read that does not exist and begins with a word that is no kind.
fn check_source(path: &Path, text: &OsStr) -> Result<(), InvalidPlace> {
    // Behind a # stands the name of an image.
    let word = word_of(text).filter(|word| !word.contains(&b'#'));
    if path.exists() { Ok(()) } else { refuse_word(text, word, SOURCES) }
}

/// What stands before the first colon, if it is not a path.
fn word_of(text: &OsStr) -> Option<&[u8]> {
    let bytes = text.as_bytes();
    let colon = bytes.iter().position(|&byte| byte == b':')?;
    Some(&bytes[..colon]).filter(|word| !word.contains(&b'/'))
}

fn refuse_word(text: &OsStr, word: Option<&[u8]>, expected: &str) -> Result<(), InvalidPlace> {
    let Some(word) = word else { return Ok(()) };
    let small = String::from_utf8_lossy(word).to_ascii_lowercase();
    let foreign = FOREIGN.into_iter().find(|(word, _)| *word == small).map(|(_, kind)| kind.to_owned());
    let mut prefixes = PREFIXES.into_iter().map(|(prefix, _)| prefix);
    let own = prefixes.find(|prefix| *prefix == format!("{small}:")).map(str::to_owned);
    // Of what is read, `debian:12` is the name of an image rather than that of a file.
    let is_name = expected == SOURCES && text.to_str().is_some_and(|text| text.parse::<Reference>().is_ok());
    let rest = text.as_bytes().get(word.len() + 1..).unwrap_or_default();
    // `localhost:5000/x:1` and `r.example:5000/x` are images in a registry.
    let is_address = rest.iter().take_while(|byte| byte.is_ascii_digit()).count() > 0
        && rest.contains(&b'/')
        && !rest.starts_with(b"//");
    let is_name = is_name || is_address;
    let text = text.display();
    let message = format!("unknown kind of place: {text}: found {}:, expected {expected}", word.escape_ascii());
    let meant =
        PREFIXES.into_iter().map(|(prefix, _)| prefix).find(|prefix| is_near(&small, prefix.trim_end_matches(':')));
    let kind = own.or(foreign).or_else(|| is_name.then(|| format!("registry:{text}"))).or(meant.map(str::to_owned));
    let kind = kind.map(|kind| format!("write {kind}; ")).unwrap_or_default();
    Err(InvalidPlace { message, hint: Some(format!("{kind}./{text} is a file of this name")) })
}

/// Whether a word has the letters of another one, two neighbours of which may have changed places, or lacks one of them.
fn is_near(word: &str, other: &str) -> bool {
    let lacks_one = |short: &str, long: &str| {
        short.len() + 1 == long.len()
            && (0..long.len()).any(|at| format!("{}{}", &long[..at], &long[at + 1..]) == short)
    };
    let is_swapped = |at: usize| {
        let mut letters: Vec<u8> = other.bytes().collect();
        letters.swap(at, at + 1);
        letters == word.as_bytes()
    };
    lacks_one(word, other) || lacks_one(other, word) || (0..other.len() - 1).any(is_swapped)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Place, InvalidPlace> {
        Place::parse(text.as_ref())
    }

    #[test]
    fn kinds() {
        let at = |path: &str| Place::File(Location::of(path));
        for (text, expected) in [
            ("x.tar", at("x.tar")),
            ("-", at("-")),
            ("oci:d", at("d")),
            ("docker-archive:x", at("x")),
            ("dir:x", at("x")),
            ("./oci:x", at("./oci:x")),
            ("oci:d#1", Place::File(Location { name: Some("1".into()), ..Location::of("d") })),
            ("registry:h:1/n:t", Place::Registry("h:1/n:t".parse().unwrap())),
            ("docker://h:1/n:t", Place::Registry("h:1/n:t".parse().unwrap())),
            ("docker:a:1", Place::Engine(Engine::Docker, "a:1".into())),
            ("docker-daemon:a:1", Place::Engine(Engine::Docker, "a:1".into())),
            ("containers-storage:a", Place::Engine(Engine::Podman, "a".into())),
        ] {
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
        for text in ["localhost:5000", "registry.example:5000", "x.tar", "localhost"] {
            let error = parse_reference(text).unwrap_err().to_string();
            assert!(error.contains("found no name, expected HOST/NAME:TAG"), "{text}: {error}");
        }
        assert!(parse_reference("debian:13").is_ok());
        for bad in ["dir:", "docker:", "podman:", "oci:", "registry:", "registry:A", "debian:12", "https://h/x"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        for text in ["x.tar#a:1", "registry:h:1/n:t", "docker:a:1"] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn in_a_directory() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("a:b"), "").unwrap();
        let parse = |text: &str| Place::parse_in(directory.path(), text.as_ref());
        for (text, name) in [("b.tar", "b.tar"), ("oci:d", "d"), ("a:b", "a:b")] {
            assert_eq!(parse(text), Ok(Place::File(Location::of(directory.path().join(name)))), "{text}");
        }
        assert_eq!(parse("registry:h:1/x:2"), Ok(Place::Registry("h:1/x:2".parse().unwrap())));
        assert!(parse("a:c").is_err());
    }

    /// What is said to whoever writes a place that is none.
    #[track_caller]
    fn check_hint(result: Result<(), InvalidPlace>, expected: &str) {
        let hint = result.unwrap_err().hint.unwrap();
        assert!(hint.starts_with(expected), "{hint}");
    }

    #[test]
    fn words_that_are_no_kinds() {
        for (text, expected) in [
            ("dokcer:", "write docker:; ./dokcer: is a file"),
            ("myname:2", "./myname:2 is"),
            ("OCI:x", "write oci:; "),
            ("https://h:1/x", "write registry:HOST/NAME:TAG; "),
        ] {
            check_hint(refuse_unknown_kind(text.as_ref()), expected);
        }
        check_hint(parse("debian:12").map(drop), "write registry:debian:12; ");
        check_hint(parse("localhost:5000/x:1").map(drop), "write registry:localhost:5000/x:1; ");
        check_hint(parse("dokcer:").map(drop), "write docker:; ./dokcer: is a file");
        assert!(parse("x.tar#a:1").is_ok() && parse("./dokcer:").is_ok());
        assert!(parse_reference("https://h/x").is_err() && parse_reference("h:1/x:2").is_ok());
    }
}
