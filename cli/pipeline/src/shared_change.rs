//! Changes of what several clients change at the same moment, by reading, adding and writing: of a layout by turns, of a tag in
//! a registry, which knows no turns, by looking again whether the change is still there.

use crate::{ImageTarget, Opener, Result};
use layerstone_store::{Digest, Error as StageError, wait_lock};
use std::fs::File;
use std::time::Instant;

/// Times that a change of a tag is made.
pub(crate) const MOST_ROUNDS: u32 = 16;

/// Waits for the turn to change a layout, which lasts until what is returned is dropped; other places have none. A file system
/// without locks has none either.
pub(crate) fn turn(target: &ImageTarget) -> Result<Option<File>> {
    let ImageTarget::OciLayout(path) = target else { return Ok(None) };
    // Whoever opens the layout tells what is wrong with it.
    let Ok(directory) = File::open(path) else { return Ok(None) };
    wait_lock(&directory).map_err(StageError::io("lock", path))?;
    Ok(Some(directory))
}

/// Waits until a change that was begun at that time is looked for.
pub(crate) fn pause(begin: Instant, change: &Digest, round: u32, opener: &Opener<'_>) -> Result<()> {
    let time = layerstone_registry::pause(begin.elapsed(), Some(change), round);
    Ok(opener.registries.options.cancel.sleep(time)?)
}
