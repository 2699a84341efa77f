//! What every stage of layerstone stands on: store paths, digests, stage files, atomic files, a cache directory,
//! cancellation.
//!
//! This crate knows nothing of closures, layers or images.

mod bytes;
mod cache;
mod cancel;
mod closed_stdout;
mod codec;
mod copy_range;
mod count;
mod digest;
mod directory;
mod error;
mod fields;
mod file;
mod identity;
mod json;
mod leftover;
mod limits;
mod nar_hash;
mod new_directory;
mod output;
mod path;
mod replaced;
mod store;
mod symlink;
mod temporary;
mod text;
mod write_back;

pub use bytes::{InvalidBytes, parse_bytes};
pub use cache::{Cache, CacheContents, CacheKind, PruneStats, Usage};
pub use cancel::{Cancel, Cancelled};
pub use closed_stdout::was_stdout_closed;
pub use codec::{decode, encode};
pub use copy_range::RangeCopy;
pub use count::counted;
pub use digest::{Digest, Hasher};
pub use directory::lock::{Lock, try_lock, wait_lock};
pub use directory::{Directory, RealEntry, open_real_file, open_regular};
pub use error::{Error, Result};
pub use fields::{Fields, describe, json_without_twins, string};
pub use file::{
    Document, check_format, fill_stage_file, from_value, parse_document, prepare_stage_file, read_document, read_input,
    to_text, write_stage_file, write_text,
};
pub use identity::FileIdentity;
pub use leftover::{Leftover, remove_leftovers};
pub use limits::{Description, Exceeded, LIMITS, Limit, Limits};
pub use nar_hash::{NarHash, nix_base32};
pub use new_directory::NewDirectory;
pub use output::{Output, write_new, write_whole};
pub use path::{HASH_LEN, StorePath};
pub use store::Store;
pub use symlink::{Components, Escape, Found, MAX_SYMLINKS, Stop, TooManySymlinks, Walk, follow_last};
pub use temporary::{Scratch, is_temporary};
pub use write_back::{Sync, check_close, check_entries, check_written, set_sync, sync};
