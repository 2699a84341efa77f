//! How errors are printed: as text for people, or as one JSON object a line for programs.

use crate::args::Form;
use crate::message::code::{self, Code};
use crate::message::hint;
use crate::message::slip::Slip;
use crate::screen::color::Prefix;
use crate::screen::fit::clean_lines;
use crate::screen::out::{finish, tell};
use anyhow::{Context, Result};
use clap::error::ErrorKind;
use layerstone_layer::Difference;
use layerstone_pipeline::{Differences, Error, chain_text};
use layerstone_root::Error as Root;
use layerstone_store::was_stdout_closed;
use serde_json::{Value, json};
use std::io;
use std::process::ExitCode;

/// Exit status of a command line that is no good.
const USAGE: u8 = 2;

/// Prints why the work failed.
pub fn of_work(error: &anyhow::Error, form: Form) -> ExitCode {
    let (text, hint, differences) = (text_of(error), hint::of(error), differences_of(error));
    match form {
        Form::Text => {
            tell(format_args!("{} {}", Prefix::Error, clean_lines(without_shown_lines(error, &text))));
            if let Some(differences) = differences {
                tell(clean_lines(&differences.to_string()));
            }
            if let Some(hint) = hint {
                tell(format_args!("{} {}", Prefix::Hint, clean_lines(&hint)));
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

/// Prints what is wrong with a command line, or the help that it asks for.
pub fn of_usage(error: &clap::Error) -> ExitCode {
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        error.exit();
    }
    if !error.use_stderr() {
        return of_output(error.print().context("cannot write: standard output"));
    }
    if wanted_form() == Form::Text {
        tell(Slip::of(error));
        return ExitCode::from(USAGE);
    }
    let Slip { message, hints, .. } = Slip::of(error);
    let hint = (!hints.is_empty()).then(|| hints.join("; "));
    let Code { name, class } = code::USAGE;
    let object =
        json!({"error": message, "code": name, "class": class, "hint": hint, "differences": [], "status": USAGE});
    tell(format_args!("{object}"));
    ExitCode::from(USAGE)
}

/// Ends after a help or a version was printed.
pub fn of_output(printed: Result<()>) -> ExitCode {
    match printed.and_then(|()| finish()) {
        Ok(()) => ExitCode::SUCCESS,
        // Whoever read it has enough of it.
        Err(error) if is_broken_pipe(&error) => ExitCode::FAILURE,
        Err(error) => of_work(&error, wanted_form()),
    }
}

/// Whether an error is that nobody reads any longer. That nobody ever could is an error that is told.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    if was_stdout_closed() {
        return false;
    }
    let is_pipe = |e: &io::Error| e.kind() == io::ErrorKind::BrokenPipe;
    error.chain().any(|cause| cause.downcast_ref::<io::Error>().is_some_and(is_pipe))
}

/// The form that a command line asks for, whether it can be read or not.
pub fn wanted_form() -> Form {
    let words: Vec<_> = std::env::args_os().collect();
    let is_json = words.iter().any(|word| word == "--errors=json")
        || words.windows(2).any(|two| two[0] == "--errors" && two[1] == "json");
    if is_json { Form::Json } else { Form::Text }
}

/// The text without the last lines of a script that stand above it already.
fn without_shown_lines<'a>(error: &anyhow::Error, text: &'a str) -> &'a str {
    let is_script = |cause: &(dyn std::error::Error + 'static)| {
        matches!(cause.downcast_ref(), Some(Root::Script { .. } | Root::ScriptExceeded { .. }))
    };
    match text.split_once("\n  | ") {
        Some((first, _)) if error.chain().any(is_script) => first,
        _ => text,
    }
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
