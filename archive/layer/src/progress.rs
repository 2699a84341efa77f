//! Counts bytes and layers done, for whoever shows progress, and tells the work whether to go on.

use layerstone_store::{Cancel, Cancelled};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Counts bytes and layers done; read from any thread while the work goes on.
#[derive(Debug, Default)]
pub struct Progress {
    bytes: AtomicU64,
    layers: AtomicU64,
    /// The number of the layer that was begun last, from 1 on.
    begun: AtomicUsize,
    cancel: Cancel,
}

impl Progress {
    /// Counts work that goes on until it is cancelled.
    pub fn until(cancel: Cancel) -> Progress {
        Progress { cancel, ..Progress::default() }
    }

    /// Counts more bytes of work that may be cancelled.
    ///
    /// # Errors
    ///
    /// It was cancelled.
    pub fn count(&self, bytes: usize) -> Result<(), Cancelled> {
        self.add_bytes(bytes);
        self.cancel.check()
    }

    /// Bytes done.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Layers done.
    pub fn layers(&self) -> u64 {
        self.layers.load(Ordering::Relaxed)
    }

    /// Counts more bytes.
    pub fn add_bytes(&self, count: usize) {
        self.bytes.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// A layer is begun, the first being 0.
    pub fn begin_layer(&self, index: usize) {
        self.begun.store(index.saturating_add(1), Ordering::Relaxed);
    }

    /// The layer that was begun last.
    pub fn last_begun(&self) -> Option<usize> {
        self.begun.load(Ordering::Relaxed).checked_sub(1)
    }

    /// Counts a layer.
    pub fn add_layer(&self) {
        self.layers.fetch_add(1, Ordering::Relaxed);
    }
}
