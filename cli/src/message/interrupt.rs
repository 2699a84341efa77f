//! Signals that end the program, and what is removed then; [`layerstone_overlay::signal`] notes them.

pub use layerstone_overlay::signal::{came, descriptor, end, take};

use crate::screen::color::Prefix;
use crate::screen::out::tell;
use layerstone_overlay::signal;
use layerstone_store::remove_leftovers;
use std::io::{IsTerminal, stderr};

/// From here on a signal removes temporary files before it ends the program.
pub fn install() {
    if let Err(error) = signal::install(put_away) {
        // Then they end it as they always did, and the next run removes the files.
        tell(format_args!("{} cannot catch signals: {error}", Prefix::Warning));
    }
}

/// Removes what was begun, and says so in place of a progress bar.
fn put_away() {
    let done = match remove_leftovers() {
        0 => "nothing was left unfinished".to_owned(),
        1 => "removed 1 unfinished file".to_owned(),
        count => format!("removed {count} unfinished files"),
    };
    let clear = if stderr().is_terminal() { "\r\x1b[2K" } else { "" };
    tell(format_args!("{clear}interrupted: {done}"));
}

/// Whether a signal asks the program to end.
pub fn has_come() -> bool {
    came().is_some()
}
