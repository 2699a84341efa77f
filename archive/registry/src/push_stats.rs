//! Counts what a push has sent.

/// Statistics of a push: numbers of blobs and of their bytes, by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PushStats {
    /// Blobs that were sent.
    pub sent: (u64, u64),
    /// Blobs that existed.
    pub existing: (u64, u64),
    /// Blobs that were mounted from another repository.
    pub mounted: (u64, u64),
    /// Manifests and indexes that were sent.
    pub manifests: u64,
}
