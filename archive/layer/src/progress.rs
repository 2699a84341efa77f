//! Counts bytes and layers done, for whoever shows progress.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts bytes and layers done; read from any thread while the work goes on.
#[derive(Debug, Default)]
pub struct Progress {
    bytes: AtomicU64,
    layers: AtomicU64,
}

impl Progress {
    /// Bytes done.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Layers done; one that is hashed and later written counts twice.
    pub fn layers(&self) -> u64 {
        self.layers.load(Ordering::Relaxed)
    }

    /// Counts more bytes.
    pub fn add_bytes(&self, count: usize) {
        self.bytes.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// Counts a layer.
    pub fn add_layer(&self) {
        self.layers.fetch_add(1, Ordering::Relaxed);
    }
}
