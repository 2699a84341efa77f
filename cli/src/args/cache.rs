//! The flags of the cache, and where it is if no flag says so.

use clap::Args;
use layerstone_pipeline::CacheOptions;
use layerstone_store::parse_bytes;
use std::env::var_os;
use std::path::PathBuf;

/// The variable that names the cache's directory; empty for none.
pub const CACHE: &str = "LAYERSTONE_CACHE";

/// The cache of layers.
#[derive(Args, Clone, Default)]
#[command(next_help_heading = "Cache")]
pub struct CacheArgs {
    /// Cache directory, so that no layer is read twice [default: $LAYERSTONE_CACHE, or layerstone in the user's cache
    /// directory]
    #[arg(long, value_name = "DIR", conflicts_with = "no_cache")]
    cache: Option<PathBuf>,
    /// Use no cache
    #[arg(long)]
    no_cache: bool,
    /// Size limit of the cache in bytes; entries that were unused longest go first [default: 1Gi]
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes)]
    cache_size: Option<u64>,
    /// Keep compressed layers too, so that none is compressed twice
    #[arg(long)]
    cache_blobs: bool,
    /// Cache store paths without NAR hashes under their names, even if you can write to the store
    #[arg(long)]
    cache_trust_names: bool,
    /// Re-read cached layers too, and fail if the store no longer matches the cache
    #[arg(long)]
    verify_cache: bool,
}

impl CacheArgs {
    /// What the flags and the environment say.
    pub fn options(&self) -> CacheOptions {
        CacheOptions {
            directory: self.directory(),
            is_named: self.cache.is_some() || var_os(CACHE).is_some(),
            size: self.cache_size,
            blobs: self.cache_blobs,
            trust_names: self.cache_trust_names,
            verify: self.verify_cache,
        }
    }

    fn directory(&self) -> Option<PathBuf> {
        match (self.no_cache, &self.cache) {
            (true, _) => None,
            (_, Some(directory)) => Some(directory.clone()),
            _ => default_directory(),
        }
    }
}

/// The cache's directory where no flag names one; none for a user without a home (XDG Base Directory Specification).
pub fn default_directory() -> Option<PathBuf> {
    if let Some(directory) = var_os(CACHE) {
        return Some(PathBuf::from(directory)).filter(|directory| !directory.as_os_str().is_empty());
    }
    let absolute = |name| var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || absolute("HOME").filter(|home| home.is_dir()).map(|home| home.join(".cache"));
    Some(absolute("XDG_CACHE_HOME").or_else(home)?.join("layerstone"))
}
