//! Keys of layers: digests of all that decides a layer's bytes, by which a cache, or an image that is there already, knows a
//! layer before it is read.
//!
//! A store path never changes under its name, if the store keeps its word. The NAR hash of a path is part of a layer's key
//! where it is known. Where it is not, the name alone has to do, in a store that the user cannot write to, or for a user who
//! says so.

use crate::{CompressionParams, Recipe};
use layerstone_store::{Digest, NarHash, Store, StorePath, encode};
use layerstone_tar::Owner;
use rustix::fs::{Access, AtFlags, CWD, accessat};
use rustix::process::geteuid;
use serde::Serialize;
use std::collections::BTreeMap;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::OnceLock;

/// Raised whenever something else than what is in [`Key`] begins to decide the bytes of a layer, or the wire types change.
const LAYER_VERSION: u32 = 3;

/// Which paths without a NAR hash are remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Those of a store that the user cannot write to.
    Store,
    /// All: a name stands for what it names.
    Names,
}

/// Makes the keys of the layers of a store.
#[derive(Debug)]
pub struct LayerKeys {
    hashes: OnceLock<BTreeMap<StorePath, NarHash>>,
    trusts_names: bool,
    /// To tell the store from others, whose files may have other modes; none if names are trusted.
    directory: Option<StoreDirectory>,
}

/// The directory of a store on this machine.
#[derive(Debug)]
struct StoreDirectory {
    path: Vec<u8>,
    /// Device and inode: what stands for the machine, as far as one can tell.
    number: (u64, u64),
    /// Whether this user can write to it, or let himself.
    is_writable: bool,
}

impl StoreDirectory {
    /// None if it does not exist.
    fn of(directory: &Path) -> Option<StoreDirectory> {
        let (path, metadata) = (directory.canonicalize().ok()?, directory.metadata().ok()?);
        let user = geteuid();
        let is_owner = !user.is_root() && metadata.uid() == user.as_raw();
        let is_writable = is_owner || accessat(CWD, directory, Access::WRITE_OK, AtFlags::EACCESS).is_ok();
        let number = (metadata.dev(), metadata.ino());
        Some(StoreDirectory { path: path.into_os_string().into_vec(), number, is_writable })
    }

    /// What identifies it: its path, and where hashes do not say what paths hold, device and inode.
    fn name(&self, all_hashed: bool) -> Vec<u8> {
        let mut name = self.path.clone();
        if !all_hashed {
            name.extend(format!("\n{} {}", self.number.0, self.number.1).bytes());
        }
        name
    }
}

/// What decides the bytes of a layer.
#[derive(Serialize)]
struct Key<'a> {
    version: u32,
    paths: Vec<(&'a str, Option<String>)>,
    store: &'a str,
    directory: Option<Vec<u8>>,
    mtime: i64,
    owner: (u32, u32, &'a str, &'a str),
    xattrs: bool,
}

/// What decides the compressed blob of a tar.
#[derive(Serialize)]
struct CompressedKey {
    version: u32,
    diff_id: [u8; 32],
    /// Number of the codec, and level.
    params: (u32, i32),
    /// The version of this program: another may compress otherwise.
    program: &'static str,
}

/// What decides a layer as an image has it.
#[derive(Serialize)]
struct MadeKey<'a> {
    layer: [u8; 32],
    params: Option<(u32, i32)>,
    program: &'a str,
}

impl LayerKeys {
    /// The keys of layers of this store.
    pub fn new(store: &Store, trust: Trust) -> LayerKeys {
        let directory = StoreDirectory::of(&store.locate(store.dir())).filter(|_| trust == Trust::Store);
        let trusts_names = trust == Trust::Names || directory.as_ref().is_some_and(|directory| !directory.is_writable);
        LayerKeys { hashes: OnceLock::new(), trusts_names, directory }
    }

    /// Sets the NAR hashes of paths; only the first call counts.
    pub fn set_nar_hashes(&self, hashes: impl IntoIterator<Item = (StorePath, NarHash)>) {
        self.hashes.get_or_init(|| hashes.into_iter().collect());
    }

    /// A path of a layer that keeps it from having a key.
    pub(crate) fn untrusted<'r>(&self, recipe: &'r Recipe) -> Option<&'r StorePath> {
        let hashes = self.hashes.get();
        let is_unknown = |path: &&StorePath| !hashes.is_some_and(|hashes| hashes.contains_key(path));
        recipe.paths.iter().find(is_unknown).or(recipe.paths.first())
    }

    /// The key of a layer; none if the name of one of its paths is not trusted.
    pub(crate) fn key(&self, recipe: &Recipe) -> Option<Digest> {
        let hash = |path| self.hashes.get()?.get(path).map(NarHash::to_string);
        let paths: Vec<_> = recipe.paths.iter().map(|path| (path.as_str(), hash(path))).collect();
        let all_hashed = paths.iter().all(|(_, hash)| hash.is_some());
        if !all_hashed && !self.trusts_names {
            return None;
        }
        let Recipe { store, mtime, xattrs, owner: Owner { uid, gid, uname, gname }, .. } = recipe;
        let key = Key {
            version: LAYER_VERSION,
            paths,
            store,
            directory: self.directory.as_ref().map(|directory| directory.name(all_hashed)),
            mtime: *mtime,
            owner: (*uid, *gid, uname, gname),
            xattrs: *xattrs,
        };
        encode(&key).map(|bytes| Digest::of(&bytes))
    }

    /// The key of a layer as this program compresses it, or of its tar; none if the name of one of its paths is not trusted.
    pub fn made_key(&self, recipe: &Recipe, params: Option<CompressionParams>) -> Option<Digest> {
        let (layer, program) = (*self.key(recipe)?.as_bytes(), env!("CARGO_PKG_VERSION"));
        encode(&MadeKey { layer, params: params.map(numbers), program }).map(|bytes| Digest::of(&bytes))
    }
}

/// The key of the compressed blob of a tar.
pub(crate) fn compressed_key(diff_id: &Digest, params: CompressionParams) -> Option<Digest> {
    let (diff_id, program) = (*diff_id.as_bytes(), env!("CARGO_PKG_VERSION"));
    encode(&CompressedKey { version: LAYER_VERSION, diff_id, params: numbers(params), program })
        .map(|bytes| Digest::of(&bytes))
}

/// The number of a codec, and the level.
fn numbers(params: CompressionParams) -> (u32, i32) {
    match params {
        CompressionParams::Gzip { level } => (0, level),
        CompressionParams::Zstd { level } => (1, level),
        CompressionParams::ZstdChunked { level } => (2, level),
    }
}
