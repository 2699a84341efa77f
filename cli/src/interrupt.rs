//! Signals that end the program, and what is removed then; [`layerstone_overlay::signal`] notes them.

pub use layerstone_overlay::signal::{came, descriptor, end, take};

use crate::color::Prefix;
use crate::out::tell;
use layerstone_overlay::signal;

/// From here on a signal removes temporary files before it ends the program.
pub fn install() {
    if let Err(error) = signal::install(layerstone_store::remove_leftovers) {
        // Then they end it as they always did, and the next run removes the files.
        tell(format_args!("{} cannot catch signals: {error}", Prefix::Warning));
    }
}

/// Whether a signal asks the program to end.
pub fn has_come() -> bool {
    came().is_some()
}
