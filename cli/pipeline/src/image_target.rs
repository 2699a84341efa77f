//! Where an image goes: parses what `-o` says into a target. Does not know how anything is written there.
//!
//! A target is one of the places that layerstone-oci parses, which can be written. There is one table of the endings of
//! file names: an ending of an archive or a compression that is not written is an error, so that no typo makes a file.

mod ending;

use crate::error::{Context, Refused};
use crate::{CompressionChoice, Result, nix_build};
use ending::Ending;
use layerstone_layer::{Compression, CompressionParams};
use layerstone_oci::{
    Engine, PLACES, Place, PlaceKind, Reference, is_like_a_kind, parse_reference, refuse_name, refuse_unknown_kind,
    split_kind,
};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Where an image goes.
#[derive(Clone, Debug)]
pub enum ImageTarget {
    /// A docker archive, compressed as its name says; `-` is stdout.
    Archive(PathBuf),
    /// A docker archive of any name, not compressed unless a flag says so.
    DockerArchive(PathBuf),
    /// The directory of an OCI layout.
    OciLayout(PathBuf),
    /// A tar of an OCI layout.
    OciArchive(PathBuf),
    /// A registry.
    Registry(Reference),
    /// Whatever runs images on this machine.
    Engine(Engine),
}

impl ImageTarget {
    /// Reads what `-o` says. A file that is called like a kind has `./` before its name.
    pub fn parse(text: &OsStr) -> Result<ImageTarget> {
        if text.is_empty() {
            let message = format!("no place: expected {PLACES}");
            return Err(Refused { message, hint: Some("-o NAME.tar writes an archive".to_owned()) }.into());
        }
        let Some((kind, rest)) = split_kind(text) else {
            refuse_unknown_kind(text)?;
            let target = ImageTarget::Archive(text.into());
            // What flags say of its compression may still contradict it.
            target.check_ending(Ending::of(Path::new(text)).map_or(Compression::None, Ending::compression))?;
            return Ok(target);
        };
        let path = || match rest.as_bytes() {
            b"" => {
                let message = format!("no path: {}: expected {PLACES}", text.display());
                let hint = "a name stands behind the colon, such as oci:image".to_owned();
                Err(Refused { message, hint: Some(hint) }.into())
            }
            b"-" if kind != PlaceKind::DockerArchive => {
                let text = text.display();
                bail!("cannot write: {text}: found -, expected a path: only a docker archive goes to stdout")
            }
            path => Ok(path),
        };
        let unnamed = |word, is_directory| -> Result<PathBuf> {
            let path = OsStr::from_bytes(path()?);
            refuse_name(word, is_directory, path)?;
            Ok(PathBuf::from(path))
        };
        Ok(match kind {
            PlaceKind::DockerArchive => ImageTarget::DockerArchive(unnamed("docker-archive:", false)?),
            PlaceKind::Oci => ImageTarget::OciLayout(unnamed("oci:", true)?),
            PlaceKind::OciArchive => {
                let target = ImageTarget::OciArchive(unnamed("oci-archive:", false)?);
                // Its layers are compressed, the tar around them is not.
                target.check_ending(Compression::None)?;
                target
            }
            PlaceKind::Dir => return Err(only_read(text, PLACES)),
            PlaceKind::Registry => {
                let text = rest.to_str().with_context(|| format!("not UTF-8: {}", rest.display()))?;
                let reference = parse_reference(text)?;
                refuse_no_registry(text)?;
                if reference.digest().is_some() {
                    bail!("found a digest, expected HOST/NAME:TAG to write to: {text}");
                }
                ImageTarget::Registry(reference)
            }
            PlaceKind::Engine(_) if !rest.is_empty() => {
                let message = format!("found a name behind {}, expected none: the image has its own", text.display());
                let hint =
                    format!("-t NAME:TAG, or --as NAME:TAG of copies, names it: {} stands alone", engine_word(text));
                return Err(Refused { message, hint: Some(hint) }.into());
            }
            PlaceKind::Engine(engine) => ImageTarget::Engine(engine),
        })
    }

    /// Reads what `-o` of a command says that writes a docker archive, into an engine too if it is `loaded`.
    pub fn parse_archive(text: &OsStr, loaded: bool) -> Result<ImageTarget> {
        match ImageTarget::parse(text)? {
            target @ (ImageTarget::Archive(_) | ImageTarget::DockerArchive(_)) => Ok(target),
            target @ ImageTarget::Engine(_) if loaded => Ok(target),
            _ if loaded => Err(only_files(text, "FILE, docker-archive:FILE, - for stdout, docker: or podman:")),
            _ => Err(only_files(text, "FILE, docker-archive:FILE or - for stdout")),
        }
    }

    /// How an archive is compressed: as flags say, or else its name; an error if they contradict each other. None
    /// elsewhere, where layers are compressed.
    pub fn compression(&self, choice: &CompressionChoice) -> Result<Option<CompressionParams>> {
        let named = match self {
            ImageTarget::Archive(path) => Ending::of(path).and_then(|ending| ending.compression().usual()),
            ImageTarget::DockerArchive(_) | ImageTarget::Engine(_) => None,
            ImageTarget::OciLayout(_) | ImageTarget::OciArchive(_) | ImageTarget::Registry(_) => return Ok(None),
        };
        // A table is one layer's.
        let params = choice.or(named).map(CompressionParams::without_table);
        if let ImageTarget::Archive(_) = self {
            self.check_ending(params.into())?;
        }
        Ok(params)
    }

    /// Refuses an archive whose name does not end as one does that is compressed so.
    fn check_ending(&self, compression: Compression) -> Result<()> {
        let path = self.path().expect("it is a file");
        let hint = format!("names end in .tar, .tar.gz or .tar.zst; docker-archive:{} takes any name", path.display());
        ending::check(path, compression).map_err(|message| Refused { message, hint: Some(hint) }.into())
    }

    /// Whether layers and manifests are kept there as registries have them, which docker archives do not.
    pub fn keeps_oci_images(&self) -> bool {
        matches!(self, ImageTarget::OciLayout(_) | ImageTarget::OciArchive(_) | ImageTarget::Registry(_))
    }

    /// The file of an archive, or the directory, if it is one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            ImageTarget::Archive(path) | ImageTarget::DockerArchive(path) => Some(path),
            ImageTarget::OciLayout(path) | ImageTarget::OciArchive(path) => Some(path),
            ImageTarget::Registry(_) | ImageTarget::Engine(_) => None,
        }
    }

    /// The repositories of its registry, if it is one, that these places are in.
    pub(crate) fn mounts<'a>(&self, from: impl IntoIterator<Item = &'a Place>) -> Vec<String> {
        let in_registry = |place: &Place| match (place, self) {
            (Place::Registry(from), ImageTarget::Registry(to)) if from.host() == to.host() => Some(from.repository()),
            _ => None,
        };
        from.into_iter().filter_map(in_registry).collect()
    }

    /// What stands before its path or name.
    fn prefix(&self) -> &'static str {
        match self {
            ImageTarget::Archive(_) => "",
            ImageTarget::DockerArchive(_) => "docker-archive:",
            ImageTarget::OciLayout(_) => "oci:",
            ImageTarget::OciArchive(_) => "oci-archive:",
            ImageTarget::Registry(_) => "registry:",
            ImageTarget::Engine(Engine::Docker) => "docker:",
            ImageTarget::Engine(Engine::Podman) => "podman:",
        }
    }

    /// The file that exists when the image does.
    pub fn files(&self) -> Vec<PathBuf> {
        match self {
            ImageTarget::OciLayout(directory) => vec![directory.join("index.json")],
            other => other.path().map(Path::to_owned).into_iter().collect(),
        }
    }

    /// What `-o` says of it, byte for byte.
    pub fn to_word(&self) -> OsString {
        let Some(path) = self.path() else { return self.to_string().into() };
        let needs_dot = matches!(self, ImageTarget::Archive(_)) && is_like_a_kind(path.as_os_str());
        let mut word = OsString::from(if needs_dot { "./" } else { self.prefix() });
        word.push(path);
        word
    }

    /// Whether stdout is the image.
    pub fn is_stdout(&self) -> bool {
        matches!(self, ImageTarget::Archive(path) | ImageTarget::DockerArchive(path) if path == Path::new("-"))
    }
}

impl fmt::Display for ImageTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.prefix())?;
        match (self, self.path()) {
            (ImageTarget::Registry(reference), _) => reference.fmt(f),
            (_, Some(path)) => path.display().fmt(f),
            (_, None) => Ok(()),
        }
    }
}

/// Refuses the name of a tar that is to be written, compressed so, by a command that writes nothing but files: one that
/// begins with a word, and one with the ending of something else.
pub fn check_tar(path: &Path, params: Option<CompressionParams>) -> Result<()> {
    if split_kind(path.as_os_str()).is_some() {
        return Err(only_files(path.as_os_str(), "the file of a tar"));
    }
    refuse_unknown_kind(path.as_os_str())?;
    // The name of a Nix build's output is its derivation's, as dockerTools names what exportImage makes of a .tar.gz.
    if nix_build::outputs().iter().any(|output| output == path) {
        return Ok(());
    }
    ending::check(path, params.into()).map_err(|message| Refused { message, hint: None }.into())
}

/// Refuses the name of a target that names no registry: nobody but docker writes to `docker.io/library`.
pub fn refuse_no_registry(text: &str) -> Result<()> {
    if text.contains('/') {
        return Ok(());
    }
    let message = format!("no registry: {text}: expected HOST/NAME:TAG to write to");
    Err(Refused { message, hint: Some(format!("docker.io/USER/{text} is a place at docker.io")) }.into())
}

/// Refuses the name of an image in a registry that is rather a target of another kind.
pub fn refuse_other_kind(text: &str) -> Result<()> {
    match split_kind(OsStr::new(text)) {
        None | Some((PlaceKind::Registry, _)) => Ok(()),
        _ => bail!("found the place {text}, expected HOST/NAME:TAG of a registry: `layerstone copy` writes elsewhere"),
    }
}

/// The word that names an engine, as it was written.
fn engine_word(text: &OsStr) -> String {
    let text = text.to_string_lossy();
    text.split(':').next().map(|word| format!("{word}:")).unwrap_or_default()
}

/// The error for a directory of skopeo's own form.
fn only_read(text: &OsStr, expected: &str) -> crate::Error {
    let message = format!("cannot write: {}: found dir:, which is only read, expected {expected}", text.display());
    Refused { message, hint: Some("write oci:DIR; skopeo reads it too".to_owned()) }.into()
}

fn only_files(text: &OsStr, expected: &str) -> crate::Error {
    if let Some((PlaceKind::Dir, _)) = split_kind(text) {
        return only_read(text, expected);
    }
    let text = text.display();
    let hint = format!("`layerstone copy FILE {text}` puts an image there; ./{text} is a file of this name");
    let message = format!("cannot write: {text}: found another kind of place, expected {expected}");
    Refused { message, hint: Some(hint) }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        for text in ["x.tar", "-", "oci:d", "oci-archive:x.tar", "registry:h:1/n:t", "docker:", "podman:"] {
            assert_eq!(ImageTarget::parse(text.as_ref()).unwrap().to_string(), text);
        }
        assert_eq!(ImageTarget::parse("docker-archive:x".as_ref()).unwrap().to_word(), "docker-archive:x");
        assert_eq!(ImageTarget::parse("./oci:x".as_ref()).unwrap().to_string(), "./oci:x");
        let registry = ImageTarget::parse("docker://h:1/n".as_ref()).unwrap();
        assert_eq!(registry.to_string(), "registry:h:1/n");
        for bad in [
            "",
            "oci:",
            "registry:",
            "registry:h/N",
            "docker:x",
            "podman:x:1",
            "docker-daemon:x:1",
            "oci-archive:",
            "oci:-",
        ] {
            assert!(ImageTarget::parse(bad.as_ref()).is_err(), "{bad}");
        }
        let digest = format!("registry:h/n@sha256:{}", "0".repeat(64));
        assert!(ImageTarget::parse(digest.as_ref()).is_err());
    }

    #[test]
    fn words_that_are_not_written() {
        for (text, expected) in
            [("dokcer:", "write docker:; ./dokcer: "), ("dir:x", "write oci:DIR; "), ("myname:2", "./myname:2 ")]
        {
            let error = ImageTarget::parse(text.as_ref()).unwrap_err();
            let crate::Error::Refused(refused) = error else { panic!("{error}") };
            assert!(refused.hint.as_deref().unwrap().starts_with(expected), "{refused:?}");
            assert!(ImageTarget::parse(format!("./{text}").as_ref()).is_ok());
        }
        assert!(ImageTarget::parse("registry:app:1".as_ref()).is_err());
    }

    /// What an archive of this name is compressed with, if it may have it.
    #[track_caller]
    fn check_name(name: &str, expected: Option<Compression>) {
        let target = ImageTarget::parse(name.as_ref());
        let found = target.and_then(|target| target.compression(&CompressionChoice::default()));
        assert_eq!(found.ok().map(Compression::from), expected, "{name}");
    }

    #[test]
    fn endings() {
        for plain in ["x.tar", "x", "x.json", "-", "/dev/null", "x.1", "docker-archive:x.gz", "docker-archive:x.zip"] {
            check_name(plain, Some(Compression::None));
        }
        for (name, compression) in
            [("x.tar.gz", Compression::Gzip), ("X.TGZ", Compression::Gzip), ("x.tzst", Compression::Zstd)]
        {
            check_name(name, Some(compression));
        }
        for other in ["x.tar.xz", "x.zip", "x.IMG", "x.7z", "oci-archive:x.tar.gz", "oci-archive:x.zip"] {
            check_name(other, None);
        }
        assert!(check_tar(Path::new("x.tar.gz"), None).is_err() && check_tar(Path::new("x.tar.gz/"), None).is_ok());
        assert!(check_tar(Path::new("x.tar"), Some(CompressionParams::GZIP)).is_err());
        assert!(
            check_tar(Path::new("oci:x"), None).is_err()
                && check_tar(Path::new("x"), Some(CompressionParams::ZSTD)).is_ok()
        );
    }
}
