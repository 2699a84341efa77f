//! How long a client waits before it looks whether its change of a tag is still there. Reading and writing a tag are two
//! requests, and of two clients at the same moment the one that writes last undoes the other.

use layerstone_store::Digest;
use std::process::id;
use std::time::Duration;

/// The least pause, longer than others take from reading to writing.
pub(crate) const PAUSE: Duration = Duration::from_millis(400);
/// How many times as long as its own reading and writing took a client waits.
const TIMES: u32 = 4;

/// How long to wait until a change is looked for, after reading and writing took so long. Those who have written at the same
/// moment wait for times of their own, so that they meet no more; in the first round nobody is known to have.
pub fn pause(took: Duration, change: Option<&Digest>, round: u32) -> Duration {
    let least = PAUSE.max(took.saturating_mul(TIMES));
    if round == 0 {
        return least;
    }
    let change = change.map(Digest::to_string).unwrap_or_default();
    let own = Digest::of(format!("{round} {} {change}", id()).as_bytes());
    let part = u32::from(u8::from_str_radix(&own.hex()[..2], 16).unwrap_or_default());
    least + PAUSE * part / 256
}
