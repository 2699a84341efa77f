//! Bounds on what is read of archives and layouts that somebody else made.
//!
//! Real images stay far below each of them. What is beyond one is refused with an error that names the bound. Bounds on the
//! layers' tars are those of `layerstone_layer`; how much may be unpacked is [`MaxUnpacked`](crate::MaxUnpacked), which a
//! flag sets.

/// Bytes of a manifest, index, config or other piece of JSON at most. Registries take 4 MiB, and containers/image reads as
/// much of a config.
pub(crate) const MAX_JSON: u64 = 8 << 20;

/// Bytes of configs, manifests and layers' metadata that are kept of all images of an archive or layout at most. Those of
/// an image have some ten kilobytes.
pub(crate) const MAX_DESCRIPTIONS: usize = 32 << 20;

/// Layers of all images of an archive or layout at most. Engines run images of some hundred layers at most (127 in Docker's
/// classic store).
pub(crate) const MAX_LAYERS: usize = 20_000;

/// Members of an archive of images at most. An image of 127 layers has about 500.
pub(crate) const MAX_MEMBERS: usize = 250_000;

/// Bytes of headers in front of a member's own at most: PAX records, a long name, a long link target. Python, GNU tar and Go
/// write a few kilobytes.
pub(crate) const MAX_EXTENSIONS: u64 = 2 << 20;

/// Bytes of records that hold for all members (PAX, global headers) at most. `git archive` writes 52.
pub(crate) const MAX_GLOBAL: usize = 16 << 10;

/// Bytes of names, link targets and records that are kept of all members of an archive at most.
pub(crate) const MAX_NAMES: usize = 32 << 20;
