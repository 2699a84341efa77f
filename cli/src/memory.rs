//! What commands remember about layers from one run to the next: the flags of the cache, and the cache behind them.
//!
//! A cache that cannot be used is no reason to fail: the user is told once, and all is learned anew.

use crate::args::Common;
use crate::bytes::parse_bytes;
use crate::command::image::{ImageLayer, LayerBlob};
use anyhow::{Result, anyhow};
use clap::Args;
use layerstone_layer::{
    BlobCache, CompressedBlob, CompressionParams, Difference, LayerCache, LayerFile, Recipe, Source, Trust,
};
use layerstone_oci::{Descriptor, LayerOutcome};
use layerstone_store::{Cache, Digest, Error, NarHash, Store, StorePath};
use serde_json::{Value, json};
use std::env::var_os;
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The variable that names the cache's folder; empty for none.
pub const CACHE: &str = "LAYERSTONE_CACHE";
/// Bytes that a cache may have unless the user says otherwise: what is known of some thousand images.
pub const SIZE: u64 = 1 << 30;
/// As many files that differ are told.
const TOLD: usize = 20;

/// The cache of what was learned about layers.
#[derive(Args, Clone, Default)]
#[command(next_help_heading = "Cache")]
pub struct CacheArgs {
    /// Folder that remembers what layers are, so that none is read twice [default: $LAYERSTONE_CACHE, or layerstone in the
    /// user's cache folder]
    #[arg(long, value_name = "DIR", conflicts_with = "no_cache")]
    cache: Option<PathBuf>,
    /// Use no cache
    #[arg(long)]
    no_cache: bool,
    /// Bytes that the cache may have; what was used longest ago goes first [default: 1Gi]
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    cache_size: Option<u64>,
    /// Keep compressed layers too, so that none is compressed twice
    #[arg(long)]
    cache_blobs: bool,
    /// Remember store paths by their names alone where their NAR hashes are not known, even if you can write to the store
    #[arg(long)]
    cache_trust_names: bool,
    /// Read what is known already all the same; it is an error if the store is not what it was
    #[arg(long)]
    verify_cache: bool,
}

impl CacheArgs {
    /// The cache for the layers of a store.
    pub fn open(&self, store: &Store, common: &Common) -> Result<Memory> {
        let mut memory = Memory::none();
        let Some(cache) = self.cache(common)? else { return Ok(memory) };
        let cache = Arc::new(cache);
        memory.blobs = self.cache_blobs.then(|| BlobCache::new(&cache));
        let trust = if self.cache_trust_names { Trust::Names } else { Trust::Store };
        memory.learned = Some(LayerCache::new(cache, store.clone(), trust));
        memory.verifies = self.verify_cache;
        memory.limit = self.cache_size.unwrap_or(SIZE);
        memory.common = Some(common.clone());
        Ok(memory)
    }

    fn cache(&self, common: &Common) -> Result<Option<Cache>> {
        let Some(folder) = self.folder() else { return Ok(None) };
        match Cache::open(&folder) {
            Ok(cache) => Ok(Some(cache)),
            Err(error @ Error::NoCache { .. }) if self.is_named() => Err(error.into()),
            Err(error) => {
                common.warn(format_args!("going on without a cache: {error}"));
                Ok(None)
            }
        }
    }

    /// Whether the user has named the folder.
    fn is_named(&self) -> bool {
        self.cache.is_some() || var_os(CACHE).is_some()
    }

    fn folder(&self) -> Option<PathBuf> {
        match (self.no_cache, &self.cache) {
            (true, _) => None,
            (_, Some(folder)) => Some(folder.clone()),
            _ => usual_folder(),
        }
    }
}

/// The cache's folder where no flag names one; none for a user without a home (XDG Base Directory Specification).
pub fn usual_folder() -> Option<PathBuf> {
    if let Some(folder) = var_os(CACHE) {
        return Some(PathBuf::from(folder)).filter(|folder| !folder.as_os_str().is_empty());
    }
    let absolute = |name| var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || absolute("HOME").filter(|home| home.is_dir()).map(|home| home.join(".cache"));
    Some(absolute("XDG_CACHE_HOME").or_else(home)?.join("layerstone"))
}

/// What is remembered about layers of a store, or nothing.
pub struct Memory {
    learned: Option<LayerCache>,
    blobs: Option<BlobCache>,
    verifies: bool,
    limit: u64,
    common: Option<Common>,
    has_warned: AtomicBool,
}

/// A layer of the store on its way.
pub struct OnItsWay {
    pub recipe: Recipe,
    pub source: Source,
    /// The diff ID that it must have.
    pub expected: Option<Digest>,
}

/// What is to be told beside an error: the files that differ.
#[derive(Debug)]
pub struct Differences(Vec<Difference>);

impl Memory {
    /// Nothing is remembered.
    pub fn none() -> Memory {
        Memory {
            learned: None,
            blobs: None,
            verifies: false,
            limit: 0,
            common: None,
            has_warned: AtomicBool::new(false),
        }
    }

    /// Whether anything is remembered.
    pub fn is_there(&self) -> bool {
        self.learned.is_some()
    }

    /// Whether what is known is read all the same.
    pub fn verifies(&self) -> bool {
        self.verifies
    }

    /// Where compressed layers are kept, if they are to be.
    pub fn blobs(&self) -> Option<BlobCache> {
        self.blobs.clone()
    }

    /// Tells the NAR hashes of paths.
    pub fn tell_hashes(&self, hashes: impl IntoIterator<Item = (StorePath, NarHash)>) {
        if let Some(learned) = &self.learned {
            learned.set_nar_hashes(hashes);
        }
    }

    /// What is known of a layer that is made and compressed so, if it is to be believed.
    pub fn get(&self, recipe: &Recipe, packing: Option<CompressionParams>) -> Option<LayerFile> {
        self.learned.as_ref().filter(|_| !self.verifies)?.get(recipe, packing)
    }

    /// Remembers a layer that was made.
    pub fn put(&self, recipe: &Recipe, layer: &LayerFile, source: &Source) -> Result<()> {
        let Some(learned) = &self.learned else { return Ok(()) };
        if self.verifies {
            self.compare(learned, recipe, layer)?;
        }
        let layout = if let Source::Layout(layout) = source { Some(&**layout) } else { None };
        if let Err(error) = learned.put(recipe, layer, layout) {
            self.warn(&error);
        }
        Ok(())
    }

    /// Tells layers what they are when they are compressed so, as far as that is known of them.
    pub fn tell_packed(&self, layers: &mut [ImageLayer], packing: Option<CompressionParams>) {
        let (Some(learned), Some(packing)) = (self.learned.as_ref().filter(|_| !self.verifies), packing) else {
            return;
        };
        for layer in layers {
            if let Some(diff_id) = layer.expected.filter(|_| !layer.is_packed(packing))
                && let Some(packed) = learned.compressed(&diff_id, packing)
            {
                let descriptor = Descriptor::layer(Some(packing), packed.digest, packed.size);
                layer.blob = Some(LayerBlob::Packed(packing, descriptor));
            }
        }
    }

    /// Remembers what layers became that were compressed so on their way.
    pub fn put_packed(&self, layers: &[ImageLayer], placed: &[LayerOutcome], packing: Option<CompressionParams>) {
        let (Some(learned), Some(packing)) = (self.learned.as_ref().filter(|_| !self.verifies), packing) else {
            return;
        };
        for (layer, placed) in layers.iter().zip(placed) {
            let Some(diff_id) = placed.diff_id.filter(|_| !layer.is_packed(packing)) else { continue };
            let packed = CompressedBlob { diff_id, digest: placed.descriptor.digest, size: placed.descriptor.size };
            if let Err(error) = learned.put_compressed(&packed, layer.source.size(), packing) {
                self.warn(&error);
            }
        }
    }

    /// Compares a layer that was made with what is known of it, which is forgotten if it is wrong.
    fn compare(&self, learned: &LayerCache, recipe: &Recipe, layer: &LayerFile) -> Result<()> {
        let Some(known) = learned.get(recipe, layer.compression) else { return Ok(()) };
        if known.diff_id == layer.diff_id && known.descriptor == layer.descriptor {
            return Ok(());
        }
        let (found, expected) = (layer.descriptor.digest, known.descriptor.digest);
        let path = recipe.paths.first().map_or("", StorePath::as_str);
        let error = anyhow!("not what is remembered: layer of {path}: found {found}, expected {expected}");
        Err(self.with_differences(error, &[(recipe, known.diff_id)]))
    }

    /// Makes room, if something was added.
    pub fn finish(&self) {
        let Some(learned) = self.learned.as_ref().filter(|learned| learned.cache().grew()) else { return };
        if let Err(error) = learned.cache().prune(self.limit) {
            self.warn(&error);
        }
    }

    /// Tells which files are not what they were, if that may be why layers are not what they must be.
    pub fn explain(&self, error: anyhow::Error, layers: &[OnItsWay]) -> anyhow::Error {
        if !is_of_bytes(&error) {
            return error;
        }
        let expected: Vec<(&Recipe, Digest)> =
            layers.iter().filter_map(|layer| Some((&layer.recipe, layer.expected?))).collect();
        self.with_differences(error, &expected)
    }

    /// Forgets layers that may not have these diff IDs, and adds to an error which files are not what they were.
    pub fn with_differences(&self, error: anyhow::Error, layers: &[(&Recipe, Digest)]) -> anyhow::Error {
        let Some(learned) = &self.learned else { return error };
        learned.forget(&layers.iter().map(|(_, diff_id)| *diff_id).collect());
        // A store that cannot be read tells nothing more than the error does.
        let differences = layers.iter().flat_map(|(recipe, id)| learned.differences(recipe, id).unwrap_or_default());
        let differences: Vec<Difference> = differences.collect();
        match differences.is_empty() {
            true => error,
            false => error.context(Differences(differences)),
        }
    }

    fn warn(&self, error: &dyn std::fmt::Display) {
        if let Some(common) = self.common.as_ref().filter(|_| !self.has_warned.swap(true, Ordering::Relaxed)) {
            common.warn(format_args!("going on without the cache: {error}"));
        }
    }
}

/// Whether the bytes of a layer were others than they must be.
fn is_of_bytes(error: &anyhow::Error) -> bool {
    use {
        layerstone_image::Error as Image, layerstone_layer::Error as Layer, layerstone_oci::Error as Oci,
        layerstone_tar::Error as Tar,
    };
    let is_layer = |error: &Layer| matches!(error, Layer::Digest { .. } | Layer::Tar(Tar::Changed { .. }));
    error.chain().any(|cause| {
        cause.downcast_ref().is_some_and(is_layer)
            || matches!(cause.downcast_ref(), Some(Image::Digest { .. }))
            || cause.downcast_ref().is_some_and(|error: &Oci| match error {
                Oci::Layer(error) => is_layer(error),
                error => matches!(error, Oci::Blob { .. }),
            })
    })
}

impl Differences {
    /// As objects of `path` and `cause`.
    pub fn to_json(&self) -> Value {
        let told = |it: &Difference| json!({"path": it.path.to_string_lossy(), "cause": it.cause});
        self.0.iter().map(told).collect()
    }
}

impl std::fmt::Display for Differences {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut text = String::new();
        for difference in self.0.iter().take(TOLD) {
            writeln!(text, "differs: {difference}")?;
        }
        if let Some(more) = self.0.len().checked_sub(TOLD).filter(|more| *more > 0) {
            writeln!(text, "differs: {more} more files")?;
        }
        f.write_str(text.trim_end())
    }
}
