//! What is wrong with a command line, in words of our own, and what was meant. clap finds it; this module words it.

use crate::message::command_line::{files, has, program, running, running_name};
use crate::message::file_kind::{self, FileKind};
use crate::message::hint;
use crate::message::near::{nearest, nearest_listed};
use crate::message::{foreign_flag, foreign_word, missing};
use crate::screen::color::Prefix;
use crate::screen::fit::clean_lines;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::fmt::{self, Display, Formatter};

/// What begins the lines in which clap, or a command, says what may have been meant.
pub const TIP: &str = "  tip: ";
/// What Rust says of numbers, and what we say.
const NUMBERS: [(&str, &str); 6] = [
    ("invalid digit found in string", "expected a whole number"),
    ("cannot parse integer from empty string", "expected a whole number"),
    ("number too large to fit in target type", "expected a smaller number"),
    ("number would be zero for non-zero type", "expected 1 or more"),
    ("invalid socket address syntax", "expected ADDRESS:PORT, such as 127.0.0.1:5000"),
    ("invalid port value", "expected a port up to 65535"),
];

/// An error of a command line, in its parts.
pub struct Slip {
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hints: Vec<String>,
    /// How the command is used, and where more is told.
    usage: String,
}

impl Slip {
    /// What clap found.
    pub fn of(error: &clap::Error) -> Slip {
        let text = error.render().to_string();
        let end = text.find("\n\nUsage:").or_else(|| text.find("\n\nFor more information"));
        let (message, usage) = text.split_at(end.unwrap_or(text.len()));
        let message = message.strip_prefix("error: ").unwrap_or(message);
        let lines = message.lines().filter(|line| !line.is_empty());
        let (tips, lines): (Vec<&str>, Vec<&str>) = lines.partition(|line| line.starts_with(TIP));
        let tips: Vec<String> = tips.iter().map(|line| line[TIP.len()..].to_owned()).collect();
        let message = in_our_words(&lines.join("\n"));
        let mut hints = hints(error, &message);
        if hints.is_empty() && !matches!(error.kind(), ErrorKind::UnknownArgument | ErrorKind::InvalidSubcommand) {
            hints = tips;
        }
        if hints.is_empty() {
            hints.extend(last_hint(error.kind(), &message).or_else(|| hint::of_text(&message)));
        }
        let name = running_name();
        let help = format!("'layerstone {name}{}--help'", if name.is_empty() { "" } else { " " });
        Slip { message, hints, usage: usage.trim().replace("'--help'", &help) }
    }
}

impl Display for Slip {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", Prefix::Error, clean_lines(&self.message))?;
        self.hints.iter().try_for_each(|hint| write!(f, "\n{} {}", Prefix::Hint, clean_lines(hint)))?;
        write!(f, "\n\n{}", self.usage)
    }
}

fn in_our_words(message: &str) -> String {
    let mut text = message.to_owned();
    for (theirs, ours) in NUMBERS {
        text = text.replace(theirs, ours);
    }
    if text.contains("invalid value '-") {
        text = text.replace("expected a whole number", "expected a number that is not below 0");
    }
    // `7 is not in 0..=5`, and of a range without an end `0 is not in 1..18446744073709551615`.
    if let Some((before, range)) = text.split_once(" is not in ")
        && let Some((first, last)) = range.split_once("..")
        && let Some((before, _)) = before.rsplit_once(": ")
    {
        text = match last.strip_prefix('=') {
            Some(last) => format!("{before}: expected {first} to {last}"),
            None => format!("{before}: expected {first} or more"),
        };
    }
    text
}

/// What to do, if anything is known.
fn hints(error: &clap::Error, message: &str) -> Vec<String> {
    let found = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => vec![text.clone()],
        Some(ContextValue::Strings(texts)) => texts.clone(),
        _ => Vec::new(),
    };
    let hint = match error.kind() {
        ErrorKind::InvalidSubcommand => of_command(error, &found(ContextKind::InvalidSubcommand).concat()),
        ErrorKind::UnknownArgument => of_argument(message),
        ErrorKind::MissingRequiredArgument => {
            let lacking = found(ContextKind::InvalidArg);
            let lacking =
                if lacking.is_empty() { message.lines().map(|it| it.trim().to_owned()).collect() } else { lacking };
            return missing::hints(&running_name(), &lacking).into_iter().map(str::to_owned).collect();
        }
        ErrorKind::ValueValidation | ErrorKind::InvalidValue if message.contains("--insecure") => {
            Some("it names a registry, as in --insecure registry.example:5000; this machine needs none".to_owned())
        }
        ErrorKind::ValueValidation => nearest_listed(message)
            .map(|name| format!("a similar value exists: '{name}'"))
            .or_else(|| missing::value_hint(&running_name(), message).map(str::to_owned)),
        // `2 values required for '--diff <OLD> <NEW>' but 1 was provided`.
        ErrorKind::WrongNumberOfValues | ErrorKind::TooFewValues => {
            message.split('\'').nth(1).map(|flag| flag.replace(['<', '>'], ""))
        }
        ErrorKind::ArgumentConflict if message.contains("cannot be used with") => {
            Some("one of the two has to go".to_owned())
        }
        _ => None,
    };
    hint.into_iter().collect()
}

/// What to do where neither a near word nor a tip is known.
fn last_hint(kind: ErrorKind, message: &str) -> Option<String> {
    let quoted = message.split('\'').nth(1).unwrap_or_default();
    match kind {
        ErrorKind::InvalidSubcommand => Some("`layerstone -h` lists the commands".to_owned()),
        ErrorKind::UnknownArgument => Some(format!("`layerstone {} -h` lists what it takes", running_name())),
        ErrorKind::TooManyValues => {
            Some(format!("{} stands alone, without a value", message.split('\'').nth(3).unwrap_or_default()))
        }
        ErrorKind::ArgumentConflict if message.contains("multiple times") => {
            Some("it is said once: one of the two has to go".to_owned())
        }
        ErrorKind::ArgumentConflict if message.contains("expected an image of kind layered") => {
            Some("an image of kind single has one layer: leave it out, or say --kind layered".to_owned())
        }
        ErrorKind::ArgumentConflict => {
            let (given, expected) = message.split_once(": expected ")?;
            let (needed, _) = expected.split_once(" with ")?;
            Some(format!("say {needed} too, or leave {given} out"))
        }
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => missing::hints(&running_name(), &[lacking(quoted)])
            .first()
            .copied()
            .or_else(|| missing::value_hint(&running_name(), message))
            .map(str::to_owned)
            .or_else(|| message.contains("[possible values: ").then(|| "write one of the possible values".to_owned()))
            .or_else(|| {
                let is_empty = message.starts_with("a value is required");
                is_empty.then(|| format!("write it as {}", quoted.replace(['<', '>'], "")))
            }),
        _ => None,
    }
}

/// What lacks where a value is empty, as clap names it where it is not there at all: `<IMAGE.JSON>` of `[IMAGE.JSON]`.
fn lacking(quoted: &str) -> String {
    match quoted.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((name, _)) => format!("<{name}>"),
        None => quoted.to_owned(),
    }
}

/// What is meant by a word in place of a command.
fn of_command(error: &clap::Error, word: &str) -> Option<String> {
    if let Some(hint) = foreign_word::tip(error) {
        return Some(hint.to_owned());
    }
    let command = running();
    let names: Vec<String> =
        command.get_subcommands().flat_map(|it| it.get_name_and_visible_aliases()).map(str::to_owned).collect();
    if let Some(name) = nearest(word, names.iter().map(String::as_str)) {
        return Some(format!("a similar subcommand exists: '{name}'"));
    }
    if let Some(hint) = foreign_word::tip_within(&running_name(), word) {
        return Some(hint.to_owned());
    }
    file_kind::of(word.as_ref()).and_then(|kind| kind.hint(word))
}

/// What is meant by a flag, or another word, that a command does not take.
fn of_argument(message: &str) -> Option<String> {
    let word = message.split('\'').nth(1)?;
    let (name, command) = (running_name(), running());
    if !word.starts_with('-') {
        return match &*name {
            "build" | "image" | "pull" | "merge" if !files().contains(&word.to_owned()) => {
                Some(format!("-o {word} writes it there"))
            }
            "build" if file_kind::of(word.as_ref()) == Some(FileKind::Spec) => {
                Some("one spec is built at a time".to_owned())
            }
            "build" if word == "." || file_kind::of(word.as_ref()).is_some() => {
                Some(format!("--copy {word}:/ copies files into the image"))
            }
            "inspect" => Some("`layerstone diff OLD NEW` compares two images".to_owned()),
            _ => None,
        };
    }
    if let Some(hint) = foreign_flag::hint(&name, word) {
        return Some(hint.to_owned());
    }
    let flag = word.split('=').next().unwrap_or(word).strip_prefix("--")?;
    let flags: Vec<&str> = command.get_arguments().filter_map(|it| it.get_long()).collect();
    if flags.contains(&flag) {
        return Some(format!("it stands behind the command, as in `layerstone {name} --{flag}`"));
    }
    if let Some(near) = nearest(flag, flags) {
        return Some(format!("a similar argument exists: '--{near}'"));
    }
    let program = program();
    let mut others: Vec<&str> = program.get_subcommands().filter(|it| has(it, flag)).map(|it| it.get_name()).collect();
    others.sort_unstable();
    match others.as_slice() {
        [] => None,
        others => Some(format!("--{flag} is a flag of {}", others.join(", "))),
    }
}
