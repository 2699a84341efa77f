//! Signals that end the program, for work that puts something away first.

use anyhow::{Context, Result};
use layerstone_overlay::Interrupts;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, Ordering};

static CAUGHT: OnceLock<Interrupts> = OnceLock::new();
/// The signal that has come; 0 for none.
static SIGNAL: AtomicI32 = AtomicI32::new(0);

/// Signals are noted from now on.
pub fn catch() -> Result<()> {
    if CAUGHT.get().is_none() {
        let interrupts = Interrupts::catch().context("cannot catch signals")?;
        // Two threads cannot be here: the second one's catch fails.
        let _ = CAUGHT.set(interrupts);
    }
    Ok(())
}

/// Whether one has come.
pub fn has_come() -> bool {
    signal().is_some()
}

/// The one that has come.
pub fn signal() -> Option<i32> {
    if let Some(Ok(Some(signal))) = CAUGHT.get().map(Interrupts::noted) {
        SIGNAL.store(signal, Ordering::Relaxed);
    }
    Some(SIGNAL.load(Ordering::Relaxed)).filter(|signal| *signal != 0)
}
