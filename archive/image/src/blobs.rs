//! Where the pieces of an image lie: the members of a tar, or the files of a folder, found by name.

use crate::limits::MAX_JSON;
use crate::tar_file::TarFile;
use crate::unpacked::MaxUnpacked;
use crate::{Compression, Error, Result};
use layerstone_layer::Part;
use layerstone_oci::check_json;
use layerstone_stage::Error as StageError;
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
    /// Files of a folder.
    Folder(PathBuf),
}

impl Blobs {
    /// Opens a tar, compressed or not (`-` is standard input), or a folder.
    pub(crate) fn open(path: &Path, max: MaxUnpacked) -> Result<Blobs> {
        if path != Path::new("-") && path.is_dir() {
            return Ok(Blobs::Folder(path.to_owned()));
        }
        Ok(Blobs::Tar(TarFile::open(path, max)?))
    }

    /// Whether there is a piece of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        match self {
            Blobs::Tar(tar) => tar.find(name).is_some(),
            Blobs::Folder(folder) => folder.join(name).exists(),
        }
    }

    /// A piece.
    pub(crate) fn part(&self, name: &str) -> Result<Part> {
        let folder = match self {
            Blobs::Tar(tar) => return tar.part(name),
            Blobs::Folder(folder) => folder,
        };
        let path = folder.join(name);
        let read = |e| StageError::io("read", &path)(e);
        // Before it is opened, which waits for ever if it is a pipe.
        let metadata = path.metadata().map_err(read)?;
        if !metadata.is_file() {
            return Err(self.error(format!("{name}: found no regular file")));
        }
        let file = File::open(&path).map_err(read)?;
        Ok(Part::new(Arc::new(file), path, 0, metadata.len()))
    }

    /// The bytes of a piece of JSON, not larger than such pieces may be.
    pub(crate) fn bytes(&self, name: &str) -> Result<Vec<u8>> {
        let part = self.part(name)?;
        if part.size() > MAX_JSON {
            return Err(self.error(format!("{name}: found {} bytes, expected at most {MAX_JSON}", part.size())));
        }
        let mut bytes = Vec::new();
        part.reader().read_to_end(&mut bytes).map_err(Error::archive(self.path()))?;
        check_json(&bytes).map_err(|cause| self.error(format!("{name}: {cause}")))?;
        Ok(bytes)
    }

    /// A small piece as JSON.
    pub(crate) fn json(&self, name: &str) -> Result<Value> {
        serde_json::from_slice(&self.bytes(name)?).map_err(|e| self.error(format!("{name}: not JSON: {e}")))
    }

    /// How all of it is compressed.
    pub(crate) fn compression(&self) -> Compression {
        match self {
            Blobs::Tar(tar) => tar.compression,
            Blobs::Folder(_) => Compression::None,
        }
    }

    /// The tar or folder.
    pub(crate) fn path(&self) -> &Path {
        match self {
            Blobs::Tar(tar) => &tar.path,
            Blobs::Folder(folder) => folder,
        }
    }

    /// An error about the whole.
    pub(crate) fn error(&self, cause: String) -> Error {
        Error::NotAnImage { path: self.path().to_owned(), cause }
    }
}
