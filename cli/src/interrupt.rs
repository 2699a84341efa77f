//! Signals that end the program, for work that puts something away first.

use anyhow::{Context, Result};
use layerstone_overlay::{Interrupts, end_by};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread::{self, sleep};
use std::time::Duration;

/// How often is looked for one.
const TICK: Duration = Duration::from_millis(20);
/// How long uploads may take to be cancelled. What else goes on then is broken off, as it is without us.
const GRACE: Duration = Duration::from_secs(5);

static CAUGHT: OnceLock<()> = OnceLock::new();
/// The signal that has come; 0 for none.
static SIGNAL: AtomicI32 = AtomicI32::new(0);

/// Signals are noted from now on, and end the program a little later if nothing else does.
pub fn catch_for_a_while() -> Result<()> {
    catch(Some(GRACE))
}

/// Signals are noted from now on: whoever asks for them ends.
pub fn catch_for_good() -> Result<()> {
    catch(None)
}

fn catch(grace: Option<Duration>) -> Result<()> {
    if CAUGHT.set(()).is_err() {
        return Ok(());
    }
    let interrupts = Interrupts::catch().context("cannot catch signals")?;
    thread::spawn(move || {
        loop {
            if let Ok(Some(signal)) = interrupts.noted() {
                SIGNAL.store(signal, Ordering::Relaxed);
                let Some(grace) = grace else { continue };
                sleep(grace);
                drop(interrupts);
                end_by(signal);
            }
            sleep(TICK);
        }
    });
    Ok(())
}

/// Whether one has come.
pub fn has_come() -> bool {
    signal().is_some()
}

/// The one that has come.
pub fn signal() -> Option<i32> {
    Some(SIGNAL.load(Ordering::Relaxed)).filter(|signal| *signal != 0)
}
