//! Where an image goes: what `-o` may say.

use anyhow::{Context, Result, bail};
use layerstone_registry::Reference;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Where an image goes.
#[derive(Clone, Debug)]
pub enum Place {
    /// A docker archive; `-` is stdout.
    Archive(PathBuf),
    /// The folder of an OCI layout.
    OciLayout(PathBuf),
    /// A tar of an OCI layout.
    OciArchive(PathBuf),
    /// A registry.
    Registry(Reference),
    /// Whatever runs images on this machine.
    Engine(Engine),
}

/// A program that loads images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Docker,
    Podman,
}

/// The kinds, for messages and help.
pub const KINDS: &str = "FILE, oci:DIR, oci-archive:FILE, registry:HOST/NAME:TAG, docker: or podman:";

impl Engine {
    /// The program.
    pub fn program(self) -> &'static str {
        match self {
            Engine::Docker => "docker",
            Engine::Podman => "podman",
        }
    }
}

impl Place {
    /// Reads what `-o` says. A file that is called like a kind has `./` before its name.
    pub fn parse(text: &OsStr) -> Result<Place> {
        let Some((kind, rest)) = split_kind(text) else { return Ok(Place::Archive(text.into())) };
        let path = || match rest.is_empty() {
            true => bail!("no path: {}: expected {KINDS}", text.display()),
            false => Ok(PathBuf::from(&rest)),
        };
        Ok(match kind {
            Kind::DockerArchive => Place::Archive(path()?),
            Kind::Oci => Place::OciLayout(path()?),
            Kind::OciArchive => Place::OciArchive(path()?),
            Kind::Registry => {
                let text = rest.to_str().with_context(|| format!("not UTF-8: {}", rest.display()))?;
                let reference: Reference = text.parse()?;
                if reference.digest.is_some() {
                    bail!("found a digest, expected HOST/NAME:TAG to write to: {text}");
                }
                Place::Registry(reference)
            }
            Kind::Engine(_) if !rest.is_empty() => {
                bail!("found a name behind {}, expected none: the image has its own", text.display())
            }
            Kind::Engine(engine) => Place::Engine(engine),
        })
    }

    /// The file of an archive or its folder, if it is one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Place::Archive(path) | Place::OciLayout(path) | Place::OciArchive(path) => Some(path),
            Place::Registry(_) | Place::Engine(_) => None,
        }
    }

    /// The file that is there when the image is.
    pub fn files(&self) -> Vec<PathBuf> {
        match self {
            Place::Archive(path) | Place::OciArchive(path) => vec![path.clone()],
            Place::OciLayout(folder) => vec![folder.join("index.json")],
            Place::Registry(_) | Place::Engine(_) => Vec::new(),
        }
    }

    /// What `-o` says of it, byte for byte.
    pub fn to_word(&self) -> OsString {
        let with = |kind: &str, path: &Path| {
            let mut word = OsString::from(kind);
            word.push(path);
            word
        };
        match self {
            Place::Archive(path) if split_kind(path.as_os_str()).is_some() => with("./", path),
            Place::Archive(path) => path.clone().into(),
            Place::OciLayout(path) => with("oci:", path),
            Place::OciArchive(path) => with("oci-archive:", path),
            other => other.to_string().into(),
        }
    }

    /// Whether stdout is the image.
    pub fn is_stdout(&self) -> bool {
        matches!(self, Place::Archive(path) if path == Path::new("-"))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Archive(path) => write!(f, "{}", path.display()),
            Place::OciLayout(path) => write!(f, "oci:{}", path.display()),
            Place::OciArchive(path) => write!(f, "oci-archive:{}", path.display()),
            Place::Registry(reference) => write!(f, "registry:{reference}"),
            Place::Engine(engine) => write!(f, "{}:", engine.program()),
        }
    }
}

/// What stands before the first colon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    DockerArchive,
    Oci,
    OciArchive,
    Registry,
    Engine(Engine),
}

/// The kind that a text begins with, and the rest; `docker://` is skopeo's word for a registry.
pub fn split_kind(text: &OsStr) -> Option<(Kind, OsString)> {
    const PREFIXES: [(&[u8], Kind); 7] = [
        (b"docker-archive:", Kind::DockerArchive),
        (b"oci:", Kind::Oci),
        (b"oci-archive:", Kind::OciArchive),
        (b"registry:", Kind::Registry),
        (b"docker://", Kind::Registry),
        (b"docker:", Kind::Engine(Engine::Docker)),
        (b"podman:", Kind::Engine(Engine::Podman)),
    ];
    let (prefix, kind) = PREFIXES.into_iter().find(|(prefix, _)| text.as_bytes().starts_with(prefix))?;
    Some((kind, OsStr::from_bytes(&text.as_bytes()[prefix.len()..]).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        for text in ["x.tar", "-", "oci:d", "oci-archive:x.tar", "registry:h:1/n:t", "docker:", "podman:"] {
            assert_eq!(Place::parse(text.as_ref()).unwrap().to_string(), text);
        }
        assert_eq!(Place::parse("docker-archive:x".as_ref()).unwrap().to_string(), "x");
        assert_eq!(Place::parse("./oci:x".as_ref()).unwrap().to_string(), "./oci:x");
        let registry = Place::parse("docker://h:1/n".as_ref()).unwrap();
        assert_eq!(registry.to_string(), "registry:h:1/n");
        for bad in ["oci:", "registry:", "registry:h/N", "docker:x", "podman:x:1", "oci-archive:"] {
            assert!(Place::parse(bad.as_ref()).is_err(), "{bad}");
        }
        let digest = format!("registry:h/n@sha256:{}", "0".repeat(64));
        assert!(Place::parse(digest.as_ref()).is_err());
    }
}
