//! Sources and targets as skopeo writes them, with a name behind the path: `oci:DIR:TAG`, `oci-archive:FILE:TAG`,
//! `docker-archive:FILE:NAME:TAG` (containers-transports(5)). To read from they mean what `#NAME:TAG` means; to write to they
//! are an error, since an image has its name elsewhere.

use crate::{InvalidPlace, Location};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// How the names of archives end.
const ARCHIVES: [&str; 6] = [".tar", ".tar.gz", ".tgz", ".tar.zst", ".oci", ".ociarchive"];

/// Where an image is read from: what `FILE[#NAME:TAG]` says, or else skopeo's words where only these name what exists.
pub fn location(text: &OsStr) -> Location {
    let ours = Location::parse(text);
    if ours.path.exists() {
        return ours;
    }
    let theirs = splits(text).find(|(path, _)| path.exists());
    theirs.map_or(ours, |(path, name)| {
        let mut named = path.as_os_str().to_owned();
        named.push("#");
        named.push(name);
        Location::parse(&named)
    })
}

/// An image is not written to what skopeo would take for a path and a name, unless it exists. `word` stands before it.
///
/// # Errors
///
/// There is a name behind the path.
pub fn refuse_name(word: &str, is_directory: bool, text: &OsStr) -> Result<(), InvalidPlace> {
    if Path::new(text).exists() {
        return Ok(());
    }
    let is_archive = |path: &Path| ARCHIVES.iter().any(|end| path.as_os_str().as_bytes().ends_with(end.as_bytes()));
    let Some((path, name)) = splits(text).find(|(path, _)| is_directory || is_archive(path)) else { return Ok(()) };
    let (path, name) = (path.display(), name.display());
    let kind = if is_directory { "DIR" } else { "FILE" };
    let message = format!(
        "found a name behind {word}{path}: {name}, expected {word}{kind} without one: an image has its own name, or that of \
         --as NAME:TAG"
    );
    Err(InvalidPlace { message, hint: None })
}

/// A path and what stands behind a colon, for each colon in its last component.
fn splits(text: &OsStr) -> impl Iterator<Item = (&Path, &OsStr)> {
    let bytes = text.as_bytes();
    let colons = bytes.iter().enumerate().filter(|(_, byte)| **byte == b':').map(|(at, _)| at);
    colons
        .filter(move |at| *at > 0 && at + 1 < bytes.len())
        .map(move |at| (Path::new(OsStr::from_bytes(&bytes[..at])), OsStr::from_bytes(&bytes[at + 1..])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        for name in ["layout", "a:b"] {
            std::fs::create_dir(at(name)).unwrap();
        }
        for (text, path, name) in [
            ("layout:1", "layout", Some("1")),
            ("layout:example.com/curl:2", "layout", Some("example.com/curl:2")),
            ("layout#x:1", "layout", Some("x:1")),
            ("layout", "layout", None),
            ("a:b", "a:b", None),
            ("a:b:1", "a:b", Some("1")),
            ("absent:1", "absent:1", None),
        ] {
            let found = location(at(text).as_os_str());
            assert_eq!((found.path.clone(), found.reference().as_deref()), (at(path), name), "{text}");
        }
    }

    #[test]
    fn written() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("a:b")).unwrap();
        let refused = |is_directory, text: &str| {
            refuse_name("w:", is_directory, directory.path().join(text).as_os_str()).is_err()
        };
        for text in ["dir:1", "dir:x/y:1"] {
            assert!(refused(true, text), "{text}");
        }
        for text in ["x.tar:1", "x.tar.gz:a:1", "x.oci:1"] {
            assert!(refused(false, text), "{text}");
        }
        for text in ["a:b", "dir", "dir/x", "dir:"] {
            assert!(!refused(true, text), "{text}");
        }
        for text in ["12:30.tar", "x.tar", "a:b"] {
            assert!(!refused(false, text), "{text}");
        }
    }
}
