//! Where an image comes from, for the commands that take one wherever it is: a place, or a spec that it is made of.

use crate::Result;
use layerstone_oci::{Location, Place, is_like_a_kind};
use layerstone_store::open_regular;
use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Where an image comes from.
#[derive(Clone, Debug)]
pub enum ImageSource {
    /// What is to be made of a spec.
    Spec(PathBuf),
    /// An image that is there.
    Image(Place),
}

/// Bytes of a file that are looked at to tell a spec from an archive.
const LOOK: u64 = 64;

impl ImageSource {
    /// Reads what an argument says.
    ///
    /// # Errors
    ///
    /// It is no place.
    pub fn parse(text: &OsStr) -> Result<ImageSource> {
        let place = Place::parse(text)?;
        // Behind a word stands an image.
        let is_bare = Path::new(text).exists() || !is_like_a_kind(text);
        Ok(match place {
            Place::File(Location { path, .. }) if is_bare && is_spec(&path) => ImageSource::Spec(path),
            place => ImageSource::Image(place),
        })
    }

    /// The file or directory that it is, or that a spec is in.
    pub fn path(&self) -> Option<&Path> {
        match self {
            ImageSource::Spec(path) => Some(path),
            ImageSource::Image(place) => place.path(),
        }
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
    fn specs_and_images() {
        let directory = tempfile::tempdir().unwrap();
        let spec = directory.path().join("image.json");
        std::fs::write(&spec, " \n{\"name\": \"x\"}").unwrap();
        let parse = |text: &str| ImageSource::parse(text.as_ref()).unwrap();
        let text = spec.to_str().unwrap();
        assert!(matches!(parse(text), ImageSource::Spec(path) if path == spec));
        let at = |source| if let ImageSource::Image(Place::File(at)) = source { at } else { panic!("{source:?}") };
        assert_eq!(at(parse(&format!("docker-archive:{text}"))).path, spec);
        assert_eq!(at(parse("x.tar#a:1")).reference().as_deref(), Some("a:1"));
        assert!(matches!(parse("docker://a/b:1"), ImageSource::Image(Place::Registry(_))));
    }
}
