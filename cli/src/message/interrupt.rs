//! Signals that end the program, and what is removed then; [`layerstone_overlay::signal`] notes them.

pub use layerstone_overlay::signal::{came, descriptor, end, take};

use crate::args::Form;
use crate::message::code::{Code, INTERRUPTED};
use crate::message::failure::wanted_form;
use crate::screen::color::Prefix;
use crate::screen::out::tell;
use crate::screen::table::counted;
use layerstone_overlay::signal;
use layerstone_store::remove_leftovers;
use serde_json::json;
use std::io::{IsTerminal, stderr};

/// From here on a signal removes temporary files before it ends the program.
pub fn install() {
    if let Err(error) = signal::install(put_away) {
        // Then they end it as they always did, and the next run removes the files.
        let message = format!("cannot catch signals: {error}");
        match wanted_form() {
            Form::Text => tell(format_args!("{} {message}", Prefix::Warning)),
            Form::Json => tell(json!({"warning": message})),
        }
    }
}

/// Removes what was begun, and says so in place of a progress bar.
fn put_away() {
    let done = match remove_leftovers() {
        0 => "nothing was left unfinished".to_owned(),
        count => format!("removed {}", counted(count, "unfinished file")),
    };
    let message = format!("interrupted: {done}");
    match wanted_form() {
        Form::Text => {
            let clear = if stderr().is_terminal() { "\r\x1b[2K" } else { "" };
            tell(format_args!("{clear}{message}"));
        }
        Form::Json => {
            let Code { name, class } = INTERRUPTED;
            let status = came().map(|signal| 128 + signal);
            tell(
                json!({"error": message, "code": name, "class": class, "hint": null, "differences": [], "status": status}),
            );
        }
    }
}

/// Whether a signal asks the program to end.
pub fn has_come() -> bool {
    came().is_some()
}
