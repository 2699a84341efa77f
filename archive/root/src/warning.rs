//! Defines the warnings of the root stage: what did not stop a layer from being made.

use crate::Conflict;
use layerstone_sandbox::Step;
use std::{fmt, io};

/// Something that did not stop the layer from being made.
#[derive(Debug)]
pub enum Warning {
    /// Contents disagree.
    Conflict(Conflict),
    /// The script runs without a sandbox, and what it writes elsewhere stays there; or in one that lacks something.
    NoSandbox {
        /// What the script is called.
        script: String,
        /// What cannot be done.
        step: Step,
        /// The system's answer.
        source: io::Error,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::Conflict(conflict) => write!(f, "contents conflict: {conflict}"),
            Warning::NoSandbox { script, step, source } => {
                match step.in_reach() {
                    None => write!(f, "script not confined to the layer: {script}: no sandbox: ")?,
                    Some(reached) => write!(f, "script not wholly confined: {script}: {reached}: ")?,
                }
                write!(f, "cannot {}: {source}", step.describe())
            }
        }
    }
}
