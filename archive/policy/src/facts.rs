//! Holds what is known of an image that a policy is compared with.

use layerstone_sbom::Bill;
use layerstone_store::StorePath;
use serde_json::Value;
use std::collections::BTreeMap;

/// What is known of an image.
#[derive(Clone, Debug)]
pub struct Facts {
    /// What it is called.
    pub name: String,
    /// Its architecture, by Go's name, as its config says it.
    pub architecture: String,
    /// The config's `config`: user, environment, command.
    pub config: Value,
    /// Its layers, bottom first.
    pub layers: Vec<LayerFact>,
    /// Its files as a container sees them, sorted by path.
    pub files: Vec<FileFact>,
    /// Bytes of the files of each store path.
    pub path_sizes: BTreeMap<StorePath, u64>,
    /// Its packages: store paths with references, signatures and licences, and those of the base.
    pub bill: Bill,
}

impl Facts {
    /// The store paths.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &StorePath> {
        self.bill.components.iter().map(|component| component.path())
    }

    /// The layer that holds a store path, of which the bill has a sorted list.
    pub(crate) fn layer_of(&self, path: &StorePath) -> Option<usize> {
        let components = &self.bill.components;
        let found = components.binary_search_by(|component| component.path().cmp(path)).ok()?;
        components[found].layer.map(|layer| layer.number)
    }
}

/// A layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerFact {
    /// Bytes as it is stored.
    pub size: u64,
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileFact {
    /// Its path, `/` in front; what is not UTF-8 is escaped.
    pub path: String,
    /// What it is.
    pub kind: FileKind,
    /// Permission bits, 07777 at most.
    pub mode: u32,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// The layer that it comes from, 0 being the bottom one.
    pub layer: Option<usize>,
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A device or a named pipe.
    Special,
}

impl FileKind {
    /// What policies and messages call it.
    pub fn name(self) -> &'static str {
        match self {
            FileKind::File => "file",
            FileKind::Directory => "directory",
            FileKind::Symlink => "symlink",
            FileKind::Special => "special",
        }
    }
}
