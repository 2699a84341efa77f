//! Holds the spec of an image, which image.json (`layerstone/image`) has under dockerTools' argument names.
//!
//! See FORMAT.md beside this crate. The spec is written by people: `format` and `version` are optional, and a key that
//! is unknown is an error that names the nearest one.

mod config;
mod copy_entry;
mod faults;
mod keys;
mod layering;
mod named;
mod parse;
mod perms;
mod ready_contents;
mod root_layer;
mod several;
mod write;

use crate::{Error, Result};
use layerstone_oci::{CompressionParams, Place, Reference, Time, go_architecture};
use layerstone_store::{Error as StageError, Fields, read_input};
use layerstone_tar::Owner;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use config::faults as config_faults;
pub use copy_entry::CopyEntry;
pub use perms::{Perm, Which};
pub use ready_contents::Helper;

/// Format name of an image spec.
pub const SPEC_FORMAT: &str = "layerstone/image";
/// Version of the format; a spec of another one must be looked at by whoever wrote it.
pub const SPEC_VERSION: u64 = 1;
/// How many layers an image has at most by default: as many as with dockerTools, leaving room below
/// [`LAYERS_OF_DOCKER`] for images built on top.
pub const DEFAULT_MAX_LAYERS: usize = 100;
/// `diskSize` of dockerTools, in MiB.
const DEFAULT_DISK_SIZE: u64 = 1024;
/// `buildVMMemorySize` of dockerTools, in MiB.
const DEFAULT_VM_MEMORY: u64 = 512;
/// The least memory in which Linux gets to its first program, in MiB.
pub const LEAST_VM_MEMORY: u64 = 256;
/// MiB that sizes of a root script's disk and memory have at most: 16 TiB.
pub const MOST_VM_SIZE: u64 = 1 << 24;
/// How many layers docker's own store loads (moby, layer/layer_store.go, `maxLayerDepth`); containerd's takes more.
pub const LAYERS_OF_DOCKER: usize = 125;

/// The layer of the libraries that copied programs need.
pub const LIBRARIES_LAYER: &str = "libraries";

/// The description of an image to build.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// What the image is called; lower-cased in its reference.
    pub name: String,
    /// Its tag; none for the first digits of the image ID.
    pub tag: Option<String>,
    /// What it is made of.
    pub kind: ImageKind,
    /// Paths whose contents are merged into the root of the image; the first one wins if they become links, the last one
    /// if they are copied.
    pub contents: Vec<PathBuf>,
    /// Files of this machine that are copied into the image, over contents and over each other in this order.
    pub copy: Vec<CopyEntry>,
    /// Tars that become layers as they are, bottom first, below those of what is copied.
    pub tar_layers: Vec<PathBuf>,
    /// Layer files, or directories of them, that are made already, bottom first: the lowest layers over the base.
    pub layers: Vec<PathBuf>,
    /// Ready contents beside them, each at most once.
    pub helpers: Vec<Helper>,
    /// Layer file of the customisation layer, if it is made already: without links to contents, scripts, owners and modes.
    pub root_layer: Option<PathBuf>,
    /// How contents get into the root.
    pub root_mode: RootMode,
    /// Whether they may replace directories, files and links of the base that are of another kind.
    pub replace: bool,
    /// The image to build on.
    pub from_image: Option<Place>,
    /// Whether all of the base's config is taken over, not its environment alone.
    pub inherit: bool,
    /// Execution parameters (OCI image-spec, config.md, "config").
    pub config: Map<String, Value>,
    /// What the image's manifest says besides (OCI image-spec, annotations.md).
    pub annotations: BTreeMap<String, String>,
    /// When the image was made.
    pub created: Time,
    /// Modification time of all files in it.
    pub mtime: Time,
    /// How many layers it may have, all together.
    pub max_layers: usize,
    /// How many bytes of NARs a layer of store paths holds at least, unless it is the only one.
    pub min_layer_size: u64,
    /// How store paths are divided into layers; none for the default.
    pub layering: Option<Layering>,
    /// The plan of the layers of store paths, if it is made already.
    pub plan: Option<PathBuf>,
    /// How layers that are blobs are compressed, if that is stated; none in it for not at all.
    pub compression: Option<Option<CompressionParams>>,
    /// What runs in the customisation layer.
    pub script: Option<Script>,
    /// What runs there after that, as root, whoever makes the image.
    pub fake_root_commands: Option<Script>,
    /// Whether it runs with the layer as the root of all files.
    pub enable_fakechroot: bool,
    /// What runs as root over the base before all that.
    pub run_as_root: Option<Script>,
    /// Space for what it writes, in MiB.
    pub disk_size: u64,
    /// Memory of the virtual machine that it runs in, in MiB.
    pub vm_memory: u64,
    /// Whether extended attributes and file capabilities are kept.
    pub xattrs: bool,
    /// Owners and modes of entries of the customisation layer, or of the root of a single image.
    pub perms: Vec<Perm>,
    /// Owner of the store paths.
    pub owner: Owner,
    /// Go's name of the architecture; none for the base's, or without one this machine's.
    pub architecture: Option<String>,
    /// Variant of the architecture, such as `v7`.
    pub variant: Option<String>,
    /// Whether the closure of the contents is in the image.
    pub include_store_paths: bool,
    /// Where references come from; none for the default.
    pub references: Option<References>,
    /// Whether Nix's database of the store paths is in the image.
    pub include_nix_db: bool,
    /// User that owns it; none for the owner that the base's has, or root.
    pub nix_uid: Option<u32>,
    /// Group that owns it, likewise.
    pub nix_gid: Option<u32>,
}

/// What an image is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImageKind {
    /// Layers of store paths and a customisation layer on top: dockerTools' buildLayeredImage.
    Layered,
    /// One layer of everything: dockerTools' buildImage.
    Single,
}

/// How contents get into the root of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RootMode {
    /// As links into the store.
    Links,
    /// As copies; links to directories become directories (rsync's `-k`).
    Copy,
    /// As copies; links to directories stay, and other contents go through them (rsync's `-K`).
    CopyKeepingDirlinks,
}

/// Where references come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum References {
    /// References graphs, merged.
    Graphs(Vec<PathBuf>),
    /// The database of a store.
    Database(PathBuf),
    /// The files of the store.
    Scan,
}

/// How store paths are divided into layers, as it is written: whoever plans knows what the words mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Layering {
    /// The strategy of this name.
    Strategy(String),
    /// A list of operations.
    Pipeline(Value),
    /// The file that holds such a list.
    PipelineFile(PathBuf),
}

/// Commands for bash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Script {
    /// The commands themselves.
    Text(String),
    /// The file that holds them.
    File(PathBuf),
}

impl Script {
    /// The commands.
    pub fn read(&self) -> Result<Vec<u8>> {
        match self {
            Script::Text(text) => Ok(text.clone().into_bytes()),
            Script::File(path) => Ok(std::fs::read(path).map_err(StageError::io("read", path))?),
        }
    }
}

impl Spec {
    /// An image of this name, everything else at its default.
    pub fn new(name: &str) -> Spec {
        let mut fields = Fields::parse(b"{}", SPEC_FORMAT, name).expect("an empty object is JSON");
        Spec::take(&mut fields, name, Path::new(""), &mut faults::Faults::default())
    }

    /// Reads an image.json; its relative paths are relative to its directory, or the current one for `-`, standard input.
    pub fn read(path: &Path) -> Result<Spec> {
        Spec::parse(&read_input(path)?, &path.display().to_string(), directory_of(path))
    }

    /// Reads an image.json as [`Spec::read`] does, one spec for each entry of `architectures`.
    pub fn read_all(path: &Path) -> Result<Vec<Spec>> {
        Spec::parse_all(&read_input(path)?, &path.display().to_string(), directory_of(path))
    }

    /// Sets the architecture by any of its names, and the variant if the name implies one.
    pub fn set_architecture(&mut self, name: &str) -> Result<()> {
        let (architecture, variant) = go_architecture(name)?;
        self.architecture = Some(architecture.to_owned());
        self.variant = variant.map(str::to_owned);
        Ok(())
    }

    /// What is wrong with the config, one line for each fault.
    pub fn config_faults(&self) -> Vec<String> {
        config::faults(&self.config)
    }

    /// What the image is called, checked.
    pub fn reference(&self) -> Result<Reference> {
        Ok(Reference::new(&self.name.to_ascii_lowercase(), self.tag.as_deref()).map_err(layerstone_oci::Error::from)?)
    }

    /// How many layers are left for store paths, beside the customisation layer, that of the Nix database, those of a base,
    /// and those of `layers`, of which only their files tell how many they are: at least 1.
    pub fn store_layers(&self, base_layers: usize, made: usize) -> Result<usize> {
        let Spec { max_layers, include_nix_db: nix_db, .. } = *self;
        let copied = self.copy_layers().len() + self.tar_layers.len();
        let others = [1 + usize::from(nix_db), copied, base_layers, made];
        let left = others.into_iter().try_fold(max_layers, usize::checked_sub);
        left.filter(|left| *left > 0).ok_or(Error::MaxLayers { max_layers, nix_db, copied, made, base_layers })
    }

    /// The names of the layers that only hold what is copied, bottom first: that of libraries, and the others in the order
    /// in which they are first named.
    pub fn copy_layers(&self) -> Vec<String> {
        let mut names: Vec<String> = self.layer_of_libraries().flatten().map(str::to_owned).into_iter().collect();
        for name in self.copy.iter().flat_map(CopyEntry::own_layers) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// The layer that the libraries of copied programs go to: one of their own, or the one layer of a single image, which has
    /// no name. None if no entry wants any.
    pub fn layer_of_libraries(&self) -> Option<Option<&'static str>> {
        let is_wanted = self.copy.iter().any(|entry| entry.libraries);
        is_wanted.then_some(if self.kind == ImageKind::Layered { Some(LIBRARIES_LAYER) } else { None })
    }

    /// What the layer of this name holds, and the customisation layer without one, by itself.
    pub fn copies_to(&self, layer: Option<&str>) -> impl Iterator<Item = CopyEntry> {
        self.copy.iter().filter_map(move |entry| entry.part_in(layer))
    }
}

fn directory_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_left() {
        let limit = |max_layers, base| Spec { max_layers, ..Spec::new("t") }.store_layers(base, 0);
        assert_eq!(limit(2, 0).unwrap(), 1);
        assert_eq!(limit(10, 8).unwrap(), 1);
        assert_eq!(
            limit(10, 9).unwrap_err().to_string(),
            "too few layers: found maxLayers 10, expected 11 or more: 9 of the base image, 1 for the customisation layer, 1 \
             for store paths"
        );
        let with_database = |max_layers| Spec { max_layers, include_nix_db: true, ..Spec::new("t") }.store_layers(0, 0);
        assert_eq!(with_database(3).unwrap(), 1);
        assert_eq!(
            with_database(2).unwrap_err().to_string(),
            "too few layers: found maxLayers 2, expected 3 or more: 0 of the base image, 1 for the Nix database, 1 for the \
             customisation layer, 1 for store paths"
        );
        assert!(limit(1, 0).is_err() && limit(1, usize::MAX - 1).is_err());
        let over_made = |made| Spec { max_layers: 4, ..Spec::new("t") }.store_layers(1, made);
        assert_eq!(over_made(1).unwrap(), 1);
        assert_eq!(
            over_made(2).unwrap_err().to_string(),
            "too few layers: found maxLayers 4, expected 5 or more: 1 of the base image, 2 of layers, 1 for the customisation \
             layer, 1 for store paths"
        );
    }
}
