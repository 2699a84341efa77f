//! Counts the memory that the headers of an image's layers take, shared by those who read them at the same time.

use layerstone_store::{Exceeded, Limit, Limits};
use std::sync::atomic::{AtomicU64, Ordering};

/// What may be read of the layers of an image: all that is kept of their headers is counted against one limit.
#[derive(Debug, Default)]
pub struct Allowance {
    limits: Limits,
    taken: AtomicU64,
}

impl Allowance {
    /// For one image, or whatever else is bounded together.
    pub fn new(limits: Limits) -> Allowance {
        Allowance { limits, taken: AtomicU64::new(0) }
    }

    /// The limits.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Takes some bytes of memory.
    ///
    /// # Errors
    ///
    /// More than [`Limit::Headers`] are taken.
    pub fn take(&self, bytes: usize) -> Result<(), Exceeded> {
        let bytes = bytes as u64;
        let taken = self.taken.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        self.limits.check(Limit::Headers, taken)
    }
}
