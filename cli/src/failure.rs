//! How errors are printed: as text for people, or as one JSON object a line for programs.

use crate::args::Form;
use crate::code::{self, Code};
use crate::color::Prefix;
use crate::foreign_word;
use crate::hint;
use crate::out::tell;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use layerstone_layer::Difference;
use layerstone_pipeline::{Differences, Error, chain_text};
use serde_json::{Value, json};
use std::fmt::{self, Display, Formatter};
use std::process::ExitCode;

/// Exit status of a command line that is no good.
const USAGE: u8 = 2;
/// What begins the lines in which clap says what may have been meant.
const TIP: &str = "  tip: ";

/// Prints why the work failed.
pub fn of_work(error: &anyhow::Error, form: Form) -> ExitCode {
    let (text, hint, differences) = (text_of(error), hint::of(error), differences_of(error));
    match form {
        Form::Text => {
            tell(format_args!("{} {text}", Prefix::Error));
            if let Some(differences) = differences {
                tell(format_args!("{differences}"));
            }
            if let Some(hint) = hint {
                tell(format_args!("{} {hint}", Prefix::Hint));
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
    if !error.use_stderr() || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        error.exit();
    }
    if !wants_json() {
        tell(UsageText::of(error));
        return ExitCode::from(USAGE);
    }
    let UsageText { message, hints, .. } = UsageText::of(error);
    let hint = (!hints.is_empty()).then(|| hints.join("; "));
    let Code { name, class } = code::USAGE;
    let object =
        json!({"error": message, "code": name, "class": class, "hint": hint, "differences": [], "status": USAGE});
    tell(format_args!("{object}"));
    ExitCode::from(USAGE)
}

/// An error of a command line as clap words it, in its parts.
struct UsageText {
    message: String,
    hints: Vec<String>,
    /// How the command is used, and where more is told.
    usage: Option<String>,
}

impl UsageText {
    fn of(error: &clap::Error) -> UsageText {
        let text = error.render().to_string();
        let end = text.find("\n\nUsage:").or_else(|| text.find("\n\nFor more information"));
        let (message, usage) = text.split_at(end.unwrap_or(text.len()));
        let usage = end.map(|_| usage.trim().to_owned());
        let message = message.strip_prefix("error: ").unwrap_or(message);
        let lines = message.lines().filter(|line| !line.is_empty());
        let (tips, lines): (Vec<&str>, Vec<&str>) = lines.partition(|line| line.starts_with(TIP));
        let hints = tips.iter().map(|line| line[TIP.len()..].to_owned()).collect();
        UsageText { message: lines.join("\n"), hints, usage }
    }
}

impl Display for UsageText {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", Prefix::Error, self.message)?;
        self.hints.iter().try_for_each(|hint| write!(f, "\n{} {hint}", Prefix::Hint))?;
        self.usage.iter().try_for_each(|usage| write!(f, "\n\n{usage}"))
    }
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
