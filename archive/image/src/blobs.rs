//! Where the pieces of an image lie: the members of a tar, or the files of a directory, found by name.

use crate::manifest::MANIFEST_NAME;
use crate::tar_file::{TarFile, read_members};
use crate::{Compression, Error, Result};
use layerstone_oci::{INDEX_NAME, blob_name};
use layerstone_store::{Digest, Directory, Error as StageError, Limit, Limits};
use layerstone_tar::Part;
use serde_json::Value;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Pieces by name.
#[derive(Debug)]
pub(crate) enum Blobs {
    /// Members of a tar.
    Tar(TarFile),
    /// Files of a directory.
    Directory(PieceDirectory),
}

/// A directory of pieces.
#[derive(Debug)]
pub(crate) struct PieceDirectory {
    pub directory: Directory,
    /// What messages call it.
    pub shown: PathBuf,
    /// What may be read of it.
    pub limits: Limits,
    /// Whether it is a `dir:` directory of skopeo and podman, where blobs are called by their digests alone
    /// (containers/image, directory/directory_transport.go).
    pub is_flat: bool,
}

impl Blobs {
    /// Opens a tar, compressed or not (`-` is standard input), or a directory; messages call it `shown`.
    pub(crate) fn open(path: &Path, shown: &Path, limits: Limits) -> Result<Blobs> {
        // What is wrong with anything but a directory, its own reader says.
        if path != Path::new("-")
            && let Ok(directory) = Directory::open(path)
        {
            let exists = |name: &str| directory.has_below(Path::new(name));
            let is_flat = exists(MANIFEST_NAME) && !exists(INDEX_NAME);
            let shown = shown.to_owned();
            return Ok(Blobs::Directory(PieceDirectory { directory, shown, limits, is_flat }));
        }
        let mut tar = TarFile::open(path, limits, read_members)?;
        tar.path = shown.to_owned();
        Ok(Blobs::Tar(tar))
    }

    /// Whether it is a `dir:` directory.
    pub(crate) fn is_flat(&self) -> bool {
        matches!(self, Blobs::Directory(PieceDirectory { is_flat: true, .. }))
    }

    /// The name of a blob.
    pub(crate) fn blob_name(&self, digest: &Digest) -> String {
        if self.is_flat() { digest.hex() } else { blob_name(digest) }
    }

    /// The name of a manifest that an index lists.
    pub(crate) fn manifest_name(&self, digest: &Digest) -> String {
        if self.is_flat() { format!("{}.manifest.json", digest.hex()) } else { blob_name(digest) }
    }

    /// Whether there is a piece of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        match self {
            Blobs::Tar(tar) => tar.find(name).is_some(),
            Blobs::Directory(pieces) => pieces.directory.has_below(Path::new(name)),
        }
    }

    /// Whether a piece that is listed is kept elsewhere.
    ///
    /// # Errors
    ///
    /// It is not there and the tar has no end, so that it was cut.
    pub(crate) fn is_elsewhere(&self, name: &str) -> Result<bool> {
        if self.has(name) {
            return Ok(false);
        }
        match self {
            Blobs::Tar(TarFile { has_end: false, .. }) => {
                Err(self.error(format!("the archive ends before {name}, without the zeros that end a tar")))
            }
            _ => Ok(true),
        }
    }

    /// A piece.
    pub(crate) fn part(&self, name: &str) -> Result<Part> {
        let pieces = match self {
            Blobs::Tar(tar) => return tar.part(name),
            Blobs::Directory(pieces) => pieces,
        };
        if name.is_empty() {
            return Err(self.error("found no \"\"".to_owned()));
        }
        let shown = pieces.shown.join(name);
        let file = match pieces.directory.open_file_below(Path::new(name)) {
            Err(e) if e.kind() == ErrorKind::InvalidInput => {
                return Err(self.error(format!("{name}: found no regular file")));
            }
            opened => opened.map_err(StageError::io("read", &shown))?,
        };
        let size = file.metadata().map_err(StageError::io("read", &shown))?.len();
        Ok(Part::new(Arc::new(file), shown, 0, size))
    }

    /// The bytes of a piece of JSON, not larger than such pieces may be.
    pub(crate) fn bytes(&self, name: &str) -> Result<Vec<u8>> {
        read_json(&self.part(name)?, name, self.path(), self.limits())
    }

    /// A small piece as JSON.
    pub(crate) fn json(&self, name: &str) -> Result<Value> {
        parse_json(&self.bytes(name)?, name, self.path())
    }

    /// How all of it is compressed.
    pub(crate) fn compression(&self) -> Compression {
        match self {
            Blobs::Tar(tar) => tar.compression,
            Blobs::Directory(_) => Compression::None,
        }
    }

    /// What may be read of it.
    pub(crate) fn limits(&self) -> &Limits {
        match self {
            Blobs::Tar(tar) => &tar.limits,
            Blobs::Directory(directory) => &directory.limits,
        }
    }

    /// The tar or directory, as messages call it.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Blobs::Tar(tar) => &tar.path,
            Blobs::Directory(directory) => &directory.shown,
        }
    }

    /// An error about the whole.
    pub(crate) fn error(&self, cause: String) -> Error {
        Error::NotAnImage { path: self.path().to_owned(), cause }
    }
}

/// The bytes of a piece of JSON of this name in there, not larger than such pieces may be.
pub(crate) fn read_json(part: &Part, name: &str, path: &Path, limits: &Limits) -> Result<Vec<u8>> {
    let wrong = |cause: String| Error::NotAnImage { path: path.to_owned(), cause: format!("{name}: {cause}") };
    limits.check(Limit::Json, part.size()).map_err(|exceeded| wrong(exceeded.to_string()))?;
    let mut bytes = Vec::new();
    part.reader().read_to_end(&mut bytes).map_err(Error::archive(path))?;
    limits.check_json(&bytes).map_err(|exceeded| wrong(exceeded.to_string()))?;
    Ok(bytes)
}

/// The value of such a piece.
pub(crate) fn parse_json(bytes: &[u8], name: &str, path: &Path) -> Result<Value> {
    let wrong = |e| Error::NotAnImage { path: path.to_owned(), cause: format!("{name}: not JSON: {e}") };
    serde_json::from_slice(bytes).map_err(wrong)
}
