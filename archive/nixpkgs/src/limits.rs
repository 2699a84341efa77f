//! Bounds on what Python's rules keep of a base, beside those of all archives of images
//! ([`HeaderBounds`](layerstone_image::HeaderBounds)).

/// Bytes of records that hold for all members (PAX, global headers) at most. `git archive` writes 52.
pub(crate) const MAX_GLOBAL: usize = 16 << 10;

/// Bytes of the headers of all layers that are copied at most: one member with many records may be listed many times.
pub(crate) const MAX_COPIED: usize = 32 << 20;
