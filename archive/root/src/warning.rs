//! Defines the warnings of the root stage: what did not stop a layer from being made.

use crate::Conflict;
use std::{fmt, io};

/// Something that did not stop the layer from being made.
#[derive(Debug)]
pub enum Warning {
    /// Contents disagree.
    Conflict(Conflict),
    /// The script ran without a sandbox: what it wrote elsewhere stayed there.
    NoSandbox {
        /// What the script is called.
        script: String,
        /// What could not be done, as a verb phrase.
        step: &'static str,
        /// The system's answer.
        source: io::Error,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::Conflict(conflict) => write!(f, "contents conflict: {conflict}"),
            Warning::NoSandbox { script, step, source } => {
                write!(f, "script not confined to the layer: {script}: no sandbox: cannot {step}: {source}")
            }
        }
    }
}
