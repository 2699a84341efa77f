//! Where the pieces of an image lie: the members of a tar, or the files of a directory, found by name.

use crate::manifest::MANIFEST_NAME;
use crate::tar_file::{TarFile, read_members};
use crate::{Compression, Error, Result};
use layerstone_oci::{INDEX_NAME, blob_name, check_json};
use layerstone_store::{Digest, Error as StageError, Limit, Limits};
use layerstone_tar::Part;
use serde_json::Value;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Pieces by name.
#[derive(Debug)]
pub(crate) enum Blobs {
    /// Members of a tar.
    Tar(TarFile),
    /// Files of a directory.
    Directory(Directory),
}

/// A directory of pieces.
#[derive(Debug)]
pub(crate) struct Directory {
    pub path: PathBuf,
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
        if path != Path::new("-") && path.is_dir() {
            let exists = |name: &str| path.join(name).exists();
            let is_flat = exists(MANIFEST_NAME) && !exists(INDEX_NAME);
            let (path, shown) = (path.to_owned(), shown.to_owned());
            return Ok(Blobs::Directory(Directory { path, shown, limits, is_flat }));
        }
        let mut tar = TarFile::open(path, limits, read_members)?;
        tar.path = shown.to_owned();
        Ok(Blobs::Tar(tar))
    }

    /// Whether it is a `dir:` directory.
    pub(crate) fn is_flat(&self) -> bool {
        matches!(self, Blobs::Directory(Directory { is_flat: true, .. }))
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
            Blobs::Directory(directory) => directory.path.join(name).exists(),
        }
    }

    /// A piece.
    pub(crate) fn part(&self, name: &str) -> Result<Part> {
        let directory = match self {
            Blobs::Tar(tar) => return tar.part(name),
            Blobs::Directory(directory) => directory,
        };
        if name.is_empty() {
            return Err(self.error("found no \"\"".to_owned()));
        }
        let (path, shown) = (directory.path.join(name), directory.shown.join(name));
        let read = |e| StageError::io("read", &shown)(e);
        // Before it is opened, which waits for ever if it is a pipe.
        let metadata = path.metadata().map_err(read)?;
        if !metadata.is_file() {
            return Err(self.error(format!("{name}: found no regular file")));
        }
        let file = File::open(&path).map_err(read)?;
        Ok(Part::new(Arc::new(file), shown, 0, metadata.len()))
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
    check_json(&bytes, limits).map_err(|exceeded| wrong(exceeded.to_string()))?;
    Ok(bytes)
}

/// The value of such a piece.
pub(crate) fn parse_json(bytes: &[u8], name: &str, path: &Path) -> Result<Value> {
    let wrong = |e| Error::NotAnImage { path: path.to_owned(), cause: format!("{name}: not JSON: {e}") };
    serde_json::from_slice(bytes).map_err(wrong)
}
