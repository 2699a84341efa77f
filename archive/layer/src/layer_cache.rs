//! Caches what is known of layers (diff IDs, sizes, compressed blobs), each fact under a key of all that decides it.
//!
//! The compressed blob of a tar depends on the tar's bytes alone, so its key has the diff ID. Hence facts may come in any
//! order, and compressed layers that are not the store's are known too.

use crate::layer_key::compressed_key;
use crate::{
    CompressedBlob, CompressionParams, Difference, FileIndex, LayerFile, LayerKeys, Layout, Recipe, Result, Span,
    TablePosition,
};
use layerstone_store::{Cache, CacheKind, Digest, Store, StorePath, decode, encode};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

/// Knows layers before they are read: a cache, or the layer files of an earlier run.
pub trait LayerLookup {
    /// The layer file of a layer that is made and compressed so, if it is known.
    fn get(&self, recipe: &Recipe, params: Option<CompressionParams>) -> Option<LayerFile>;
}

/// The facts that a cache knows of the layers of a store.
#[derive(Debug)]
pub struct LayerCache {
    cache: Arc<Cache>,
    store: Store,
    keys: Arc<LayerKeys>,
}

/// Why nothing is known of a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Miss {
    /// A path has no NAR hash, and its name is not trusted.
    Untrusted(StorePath),
    /// The cache has nothing under its key.
    Key(Digest),
    /// A path does not exist.
    Absent(StorePath),
    /// Its tar is known, and no blob of it that is compressed so.
    Blob(Digest, CompressionParams),
}

impl fmt::Display for Miss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Miss::Untrusted(path) => {
                write!(f, "{path} has no NAR hash, and who can write to its store can change it under its name")
            }
            Miss::Key(key) => write!(f, "nothing has the key {}", key.hex()),
            Miss::Absent(path) => write!(f, "{path} does not exist"),
            Miss::Blob(diff_id, params) => {
                let (name, level) = (params.name(), params.level());
                write!(f, "the tar {diff_id} is known, and not what {name} makes of it at level {level}")
            }
        }
    }
}

/// What is known of a layer.
#[derive(Serialize, Deserialize)]
pub(crate) struct Facts {
    diff_id: [u8; 32],
    size: u64,
    /// Digest and size of the blob, where this is about one, and where its table is.
    blob: Option<([u8; 32], u64, Option<WireTable>)>,
    tarsum: Option<String>,
}

/// Checksum, and offset, size and plain size of the manifest and of tar-split.
type WireTable = ([u8; 32], [u64; 3], [u64; 3]);

fn table_to_wire(table: &TablePosition) -> WireTable {
    let span = |span: &Span| [span.offset, span.size, span.plain_size];
    (*table.checksum.as_bytes(), span(&table.manifest), span(&table.tar_split))
}

fn table_of_wire((checksum, manifest, tar_split): WireTable) -> TablePosition {
    let span = |[offset, size, plain_size]: [u64; 3]| Span { offset, size, plain_size };
    let checksum = Digest::from_bytes(checksum);
    TablePosition { checksum, manifest: span(manifest), tar_split: span(tar_split) }
}

impl LayerCache {
    /// The facts of this cache about layers of this store, which have these keys.
    pub fn new(cache: Arc<Cache>, store: Store, keys: Arc<LayerKeys>) -> LayerCache {
        LayerCache { cache, store, keys }
    }

    /// The cache.
    pub fn cache(&self) -> &Cache {
        &self.cache
    }

    /// The blob of a tar that is compressed so.
    pub fn compressed(&self, diff_id: &Digest, params: CompressionParams) -> Option<CompressedBlob> {
        let facts =
            self.facts(&compressed_key(diff_id, params)?).filter(|facts| facts.diff_id == *diff_id.as_bytes())?;
        let (digest, size, table) = facts.blob?;
        let table = table.map(table_of_wire);
        Some(CompressedBlob { diff_id: *diff_id, digest: Digest::from_bytes(digest), size, table })
    }

    /// What is remembered under a key.
    fn facts(&self, key: &Digest) -> Option<Facts> {
        decode(&self.cache.get(CacheKind::Layer, key)?)
    }

    /// Stores a layer that was made and compressed so, and the index of its files if it was read to its end.
    ///
    /// # Errors
    ///
    /// The cache cannot be written.
    pub fn put(&self, recipe: &Recipe, layer: &LayerFile, layout: Option<&Layout>) -> Result<()> {
        let LayerFile { diff_id, size, descriptor, .. } = layer;
        if let Some(params) = layer.compression {
            let packed = CompressedBlob::of(*diff_id, descriptor);
            self.put_compressed(&packed, *size, params)?;
        }
        let Some(key) = self.keys.key(recipe) else { return Ok(()) };
        // Whoever asks for no tarsum does not forget one.
        let cached = || self.facts(&key).filter(|facts| facts.diff_id == *diff_id.as_bytes())?.tarsum;
        let tarsum = layer.tarsum.clone().or_else(cached);
        self.put_facts(&key, &Facts { diff_id: *diff_id.as_bytes(), size: *size, blob: None, tarsum })?;
        if let Some(bytes) = layout.and_then(FileIndex::of).and_then(|index| index.to_bytes()) {
            self.cache.put(CacheKind::Index, &layer.diff_id, &bytes)?;
        }
        Ok(())
    }

    /// Stores the compressed blob of a tar of so many bytes.
    ///
    /// # Errors
    ///
    /// The cache cannot be written.
    pub fn put_compressed(&self, packed: &CompressedBlob, size: u64, params: CompressionParams) -> Result<()> {
        let Some(key) = compressed_key(&packed.diff_id, params) else { return Ok(()) };
        let blob = (*packed.digest.as_bytes(), packed.size, packed.table.as_ref().map(table_to_wire));
        let diff_id = *packed.diff_id.as_bytes();
        self.put_facts(&key, &Facts { diff_id, size, blob: Some(blob), tarsum: None })
    }

    fn put_facts(&self, key: &Digest, facts: &Facts) -> Result<()> {
        let Some(bytes) = encode(facts) else { return Ok(()) };
        Ok(self.cache.put(CacheKind::Layer, key, &bytes)?)
    }

    /// Forgets all layers that are said to have one of these diff IDs.
    pub fn forget(&self, diff_ids: &BTreeSet<Digest>) {
        let is_wrong = |bytes: &[u8]| {
            decode(bytes).is_some_and(|facts: Facts| diff_ids.contains(&Digest::from_bytes(facts.diff_id)))
        };
        // A cache that cannot be read is not believed either.
        let _ = self.cache.forget_if(CacheKind::Layer, is_wrong);
    }

    /// What the files of a layer differ in from those of a layer of the same recipe that had this diff ID; nothing if what
    /// they were is not remembered. Reads all of the layer.
    ///
    /// # Errors
    ///
    /// The layer cannot be read.
    pub fn differences(&self, recipe: &Recipe, diff_id: &Digest) -> Result<Vec<Difference>> {
        let index = self.cache.get(CacheKind::Index, diff_id).and_then(|bytes| FileIndex::from_bytes(&bytes));
        let Some(index) = index else { return Ok(Vec::new()) };
        Ok(index.differences(&FileIndex::of_store(&self.store, recipe)?))
    }

    /// What is known of a layer, or why nothing is.
    ///
    /// # Errors
    ///
    /// Nothing is known of it, or not how it is compressed so.
    pub fn look_up(&self, recipe: &Recipe, params: Option<CompressionParams>) -> Result<LayerFile, Miss> {
        let Some(key) = self.keys.key(recipe) else {
            let path = self.keys.untrusted(recipe);
            return Err(path.map_or(Miss::Key(Digest::of(b"")), |path| Miss::Untrusted(path.clone())));
        };
        let facts = self.facts(&key).ok_or(Miss::Key(key))?;
        let exists = |path: &StorePath| self.store.locate(path.as_str()).symlink_metadata().is_ok();
        if let Some(path) = recipe.paths.iter().find(|path| !exists(path)) {
            return Err(Miss::Absent(path.clone()));
        }
        // What its files were may be wanted as long as it is believed.
        let diff_id = Digest::from_bytes(facts.diff_id);
        self.cache.used(CacheKind::Index, &diff_id);
        let layer = match params {
            None => LayerFile::new(diff_id, facts.size),
            Some(params) => {
                let blob = self.compressed(&diff_id, params).ok_or(Miss::Blob(diff_id, params))?;
                LayerFile::compressed(&blob, facts.size, params)
            }
        };
        let (store_paths, recipe) = (recipe.paths.clone(), Some(recipe.clone()));
        Ok(LayerFile { recipe, store_paths, tarsum: facts.tarsum, ..layer })
    }
}

impl LayerLookup for LayerCache {
    /// None, too, if one of its paths does not exist.
    fn get(&self, recipe: &Recipe, params: Option<CompressionParams>) -> Option<LayerFile> {
        self.look_up(recipe, params).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Trust;
    use layerstone_store::NarHash;
    use layerstone_tar::Owner;
    use std::fs;

    const PATH: &str = "/nix/store/516z65g5d2g7yfc9yv6n2g1q21jqv0m1-x";

    fn recipe() -> Recipe {
        let paths = vec![StorePath::parse(PATH).unwrap()];
        Recipe { store: "/nix/store".to_owned(), paths, mtime: 1, owner: Owner::root(), xattrs: false }
    }

    fn cache(directory: &std::path::Path, trust: Trust) -> LayerCache {
        fs::create_dir_all(directory.join(&PATH[1..])).unwrap();
        let store = Store::new("/nix/store", directory).unwrap();
        let keys = Arc::new(LayerKeys::new(&store, trust));
        LayerCache::new(Arc::new(Cache::open(&directory.join("cache")).unwrap()), store, keys)
    }

    fn layer() -> LayerFile {
        let packed = CompressedBlob::without_table(Digest::of(b"tar"), Digest::of(b"gz"), 2);
        LayerFile::compressed(&packed, 3, CompressionParams::GZIP)
    }

    #[test]
    fn all_that_decides_the_bytes_is_in_the_key() {
        let dir = tempfile::tempdir().unwrap();
        let cache_of = |hash: &[u8]| {
            let cache = cache(dir.path(), Trust::Names);
            cache.keys.set_nar_hashes([(StorePath::parse(PATH).unwrap(), NarHash::new(Digest::of(hash)))]);
            cache
        };
        let cache = cache(dir.path(), Trust::Names);
        let diff_id = Digest::of(b"tar");
        let mut keys = vec![cache.keys.key(&recipe()), compressed_key(&diff_id, CompressionParams::GZIP)];
        keys.push(compressed_key(&Digest::of(b"other"), CompressionParams::GZIP));
        keys.push(compressed_key(&diff_id, CompressionParams::ZSTD));
        keys.push(compressed_key(&diff_id, CompressionParams::Gzip { level: 9 }));
        let changed: [fn(&mut Recipe); 8] = [
            |it| it.mtime = 2,
            |it| it.xattrs = true,
            |it| it.owner.uid = 1,
            |it| it.owner.gid = 1,
            |it| it.owner.uname.clear(),
            |it| it.owner.gname.clear(),
            |it| it.paths.push(StorePath::parse("/nix/store/y").unwrap()),
            |it| it.store = "/nix".to_owned(),
        ];
        for change in changed {
            let mut recipe = recipe();
            change(&mut recipe);
            keys.push(cache.keys.key(&recipe));
        }
        keys.extend([b"1", b"2"].map(|hash| cache_of(hash).keys.key(&recipe())));
        let count = keys.len();
        keys.sort();
        keys.dedup();
        assert!(keys.len() == count && keys.iter().all(Option::is_some), "{keys:?}");
    }

    #[test]
    fn a_compressed_layer_is_known_uncompressed_too() {
        let dir = tempfile::tempdir().unwrap();
        let cache = cache(dir.path(), Trust::Names);
        cache.put(&recipe(), &layer(), None).unwrap();
        let found = cache.get(&recipe(), Some(CompressionParams::GZIP)).unwrap();
        assert_eq!(found.descriptor, layer().descriptor);
        assert_eq!((found.recipe.as_ref(), found.store_paths), (Some(&recipe()), recipe().paths));
        assert_eq!(cache.get(&recipe(), None).unwrap().descriptor, LayerFile::new(Digest::of(b"tar"), 3).descriptor);
        assert!(cache.get(&recipe(), Some(CompressionParams::ZSTD)).is_none());
        fs::remove_dir(dir.path().join(&PATH[1..])).unwrap();
        assert!(cache.get(&recipe(), None).is_none(), "its path is gone");
        fs::create_dir(dir.path().join(&PATH[1..])).unwrap();
        cache.forget(&BTreeSet::from([Digest::of(b"tar")]));
        assert!(cache.get(&recipe(), None).is_none() && cache.get(&recipe(), Some(CompressionParams::GZIP)).is_none());
    }

    #[test]
    fn order_does_not_matter() {
        let plain = LayerFile { tarsum: Some("sum".to_owned()), ..LayerFile::new(Digest::of(b"tar"), 3) };
        for layers in [[plain.clone(), layer()], [layer(), plain]] {
            let dir = tempfile::tempdir().unwrap();
            let cache = cache(dir.path(), Trust::Names);
            layers.iter().for_each(|layer| cache.put(&recipe(), layer, None).unwrap());
            let packed = cache.get(&recipe(), Some(CompressionParams::GZIP)).unwrap();
            assert_eq!((packed.descriptor, packed.tarsum.as_deref()), (layer().descriptor, Some("sum")));
            assert_eq!(cache.get(&recipe(), None).unwrap().tarsum.as_deref(), Some("sum"));
        }
    }

    /// Root may write anywhere, so that this store is writable for whoever runs the tests.
    #[test]
    fn names_in_a_writable_store_are_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let cache = cache(dir.path(), Trust::Store);
        cache.put(&recipe(), &layer(), None).unwrap();
        assert!(cache.get(&recipe(), None).is_none());
        cache.keys.set_nar_hashes([(StorePath::parse(PATH).unwrap(), NarHash::new(Digest::of(b"1")))]);
        cache.put(&recipe(), &layer(), None).unwrap();
        assert!(cache.get(&recipe(), None).is_some());
    }
}
