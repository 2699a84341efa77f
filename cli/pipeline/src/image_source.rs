//! Where an image comes from, for the commands that take one wherever it is.

use crate::error::Context;
use crate::image_target::{Engine, Kind, check_source, parse_reference, split_kind};
use crate::{Result, skopeo};
use layerstone_oci::{Location, Reference};
use layerstone_store::open_regular;
use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Where an image comes from.
#[derive(Clone, Debug)]
pub enum ImageSource {
    /// What is to be made of a spec.
    Spec(PathBuf),
    /// A docker archive, an OCI archive, the directory of an OCI layout, or a `dir:` directory.
    File(Location),
    /// A registry; and what it was called on the command line.
    Registry(Reference),
    /// What loads images on this machine, and what it calls the image.
    Engine(Engine, String),
}

/// What may stand before a `dir:` directory of skopeo or podman.
const DIR: &[u8] = b"dir:";
/// Bytes of a file that are looked at to tell a spec from an archive.
const LOOK: u64 = 64;

impl ImageSource {
    /// Reads what an argument says.
    pub fn parse(text: &OsStr) -> Result<ImageSource> {
        if let Some(rest) = text.as_bytes().strip_prefix(DIR).filter(|_| !Path::new(text).exists()) {
            if rest.is_empty() {
                bail!("no path: {}", text.display());
            }
            return Ok(ImageSource::File(Location::parse(OsStr::from_bytes(rest))));
        }
        let Some((kind, rest)) = split_kind(text) else {
            check_source(text)?;
            return Ok(ImageSource::of_file(text));
        };
        let name =
            || rest.to_str().filter(|name| !name.is_empty()).with_context(|| format!("no image: {}", text.display()));
        Ok(match kind {
            Kind::DockerArchive | Kind::Oci | Kind::OciArchive if rest.is_empty() => {
                bail!("no path: {}", text.display())
            }
            Kind::DockerArchive | Kind::Oci | Kind::OciArchive => ImageSource::File(skopeo::location(&rest)),
            Kind::Registry => ImageSource::Registry(parse_reference(name()?)?),
            Kind::Engine(engine) => ImageSource::Engine(engine, name()?.to_owned()),
        })
    }

    /// The file or directory that it is, or that a spec is in.
    pub fn path(&self) -> Option<&Path> {
        match self {
            ImageSource::Spec(path) => Some(path),
            ImageSource::File(location) => Some(&location.path),
            ImageSource::Registry(_) | ImageSource::Engine(..) => None,
        }
    }

    fn of_file(text: &OsStr) -> ImageSource {
        let path = Path::new(text);
        if is_spec(path) { ImageSource::Spec(path.to_owned()) } else { ImageSource::File(Location::parse(text)) }
    }
}

/// Whether a file is JSON, as specs are and archives are not.
fn is_spec(path: &Path) -> bool {
    let mut begin = Vec::new();
    // Before it is opened, as whoever writes to a pipe would notice.
    let is_file = path.is_file();
    let read = is_file && open_regular(path).is_ok_and(|file| file.take(LOOK).read_to_end(&mut begin).is_ok());
    read && begin.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        let directory = tempfile::tempdir().unwrap();
        let spec = directory.path().join("image.json");
        std::fs::write(&spec, " \n{\"name\": \"x\"}").unwrap();
        let parse = |text: &str| ImageSource::parse(text.as_ref());
        assert!(matches!(parse(spec.to_str().unwrap()).unwrap(), ImageSource::Spec(path) if path == spec));
        assert!(
            matches!(parse("x.tar#a:1").unwrap(), ImageSource::File(at) if at.reference().as_deref() == Some("a:1"))
        );
        assert!(matches!(parse("oci:dir#1").unwrap(), ImageSource::File(at) if at.path == Path::new("dir")));
        assert!(matches!(parse("docker://a/b:1").unwrap(), ImageSource::Registry(_)));
        assert!(matches!(parse("docker:a:1").unwrap(), ImageSource::Engine(Engine::Docker, name) if name == "a:1"));
        assert!(matches!(parse("dir:x").unwrap(), ImageSource::File(at) if at.path == Path::new("x")));
        for bad in ["dir:", "docker:", "podman:", "oci:", "registry:", "registry:A"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
