//! Changes of what several clients change at the same moment, by reading, adding and writing: of a layout by turns, of a tag in
//! a registry, which knows no turns, by looking again whether the change is still there.

use crate::{ImageTarget, Opener, Result};
use layerstone_store::{Digest, Error as StageError, wait_lock};
use std::fs::File;
use std::time::{Duration, Instant};

/// The least pause after which a change of a tag is looked for again, longer than others take from reading to writing.
const PAUSE: Duration = Duration::from_millis(400);
/// How many times as long as its own reading and writing took a client waits.
const TIMES: u32 = 4;
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

/// Waits until a change that was begun at that time is looked for. After the first round somebody else has written too, and
/// waits for a time of its own.
pub(crate) fn pause(begin: Instant, change: &Digest, round: u32, opener: &Opener<'_>) -> Result<()> {
    let least = PAUSE.max(begin.elapsed().saturating_mul(TIMES));
    let own = Digest::of(format!("{round} {} {change}", std::process::id()).as_bytes());
    let part = u32::from(u8::from_str_radix(&own.hex()[..2], 16).unwrap_or_default());
    let time = if round == 0 { least } else { least + PAUSE * part / 256 };
    Ok(opener.registries.options.cancel.sleep(time)?)
}
