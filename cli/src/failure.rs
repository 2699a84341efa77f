//! How errors are printed: as text for people, or as one JSON object a line for programs.

use crate::args::Form;
use crate::code::{self, Code};
use crate::foreign_word;
use crate::hint;
use crate::out::tell;
use clap::error::{ContextKind, ContextValue};
use layerstone_layer::Difference;
use layerstone_pipeline::{Differences, Error, chain_text};
use serde_json::{Value, json};
use std::process::ExitCode;

/// Exit status of a command line that is no good.
const USAGE: u8 = 2;

/// Prints why the work failed.
pub fn of_work(error: &anyhow::Error, form: Form) -> ExitCode {
    let (text, hint, differences) = (text_of(error), hint::of(error), differences_of(error));
    match form {
        Form::Text => {
            tell(format_args!("layerstone: {text}"));
            if let Some(differences) = differences {
                tell(format_args!("{differences}"));
            }
            if let Some(hint) = hint {
                tell(format_args!("hint: {hint}"));
            }
        }
        Form::Json => {
            let differences = differences.map_or(Value::Array(Vec::new()), to_json);
            let Code { name, class } = code::of(error);
            let object = json!({"error": text, "code": name, "class": class, "hint": hint, "differences": differences, "status": 1});
            tell(format_args!("{object}"));
        }
    }
    ExitCode::FAILURE
}

/// Adds what may have been meant to an error of a command line.
pub fn with_tip(mut error: clap::Error) -> clap::Error {
    let argument = error.get(ContextKind::InvalidArg);
    if matches!(argument, Some(ContextValue::String(name)) if name.starts_with("--insecure ")) {
        let tip = "it names a registry, as in --insecure registry.example:5000; this machine needs none";
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    if let Some(tip) = foreign_word::tip(&error) {
        error.remove(ContextKind::SuggestedSubcommand);
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![tip.into()]));
    }
    error
}

/// Prints what is wrong with a command line, or the help that it asks for.
pub fn of_usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() || !wants_json() {
        error.exit();
    }
    // Without the usage and the hint to --help that follow a blank line.
    let text = error.to_string();
    let hint = foreign_word::tip(error);
    let end = if hint.is_some() { "\n\n" } else { "\n\nUsage:" };
    let message = text.split(end).next().unwrap_or_default().trim_end();
    let message = message.strip_prefix("error: ").unwrap_or(message);
    let Code { name, class } = code::USAGE;
    let object =
        json!({"error": message, "code": name, "class": class, "hint": hint, "differences": [], "status": USAGE});
    tell(format_args!("{object}"));
    ExitCode::from(USAGE)
}

/// Whether a command line that cannot be read asks for JSON.
fn wants_json() -> bool {
    let words: Vec<_> = std::env::args_os().collect();
    words.iter().any(|word| word == "--errors=json")
        || words.windows(2).any(|two| two[0] == "--errors" && two[1] == "json")
}

/// The files that explain an error.
fn differences_of(error: &anyhow::Error) -> Option<&Differences> {
    if let Some(Error::Differs { differences, .. }) = error.downcast_ref() { Some(differences) } else { None }
}

/// Files that differ as objects of `path` and `cause`.
fn to_json(differences: &Differences) -> Value {
    let object = |it: &Difference| json!({"path": it.path.to_string_lossy(), "cause": it.cause});
    differences.0.iter().map(object).collect()
}

/// The error and its causes, but for files that differ, which are printed by themselves.
fn text_of(error: &anyhow::Error) -> String {
    let printed = usize::from(differences_of(error).is_some());
    error.chain().nth(printed).map(chain_text).unwrap_or_default()
}
