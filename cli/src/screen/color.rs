//! Colours: when they are used, and what each means. Does not know what is coloured.
//!
//! They are the 16 colours of the terminal, which its owner chose to be readable on light or dark. Yellow is none of them,
//! and cyan only of bars, which stand beside their numbers: on white, both hardly show, the less so where bold is bright.

use anstream::stream::RawStream;
use anstream::{AutoStream, ColorChoice};
use clap::ValueEnum;
use std::ffi::OsString;
use std::fmt::{self, Display, Formatter};
use std::io::{stderr, stdout};

/// When output is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorWhen {
    /// On a terminal that is not dumb, unless NO_COLOR is set (no-color.org); wherever CLICOLOR_FORCE is.
    Auto,
    Always,
    Never,
}

/// Colours texts, or leaves them as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paint(bool);

impl ColorWhen {
    /// How stdout is coloured.
    pub fn of_stdout(self) -> Paint {
        self.of(&stdout())
    }

    /// How stderr is coloured.
    pub fn of_stderr(self) -> Paint {
        self.of(&stderr())
    }

    /// Colours are used so from here on, by clap and in messages.
    pub fn obey(self) {
        match self {
            ColorWhen::Auto => {}
            ColorWhen::Always => ColorChoice::Always.write_global(),
            ColorWhen::Never => ColorChoice::Never.write_global(),
        }
    }

    fn of(self, stream: &impl RawStream) -> Paint {
        let is_wanted = || AutoStream::choice(stream) != ColorChoice::Never;
        Paint(self == ColorWhen::Always || (self == ColorWhen::Auto && is_wanted()))
    }
}

impl Paint {
    /// No colours.
    #[cfg(test)]
    pub const PLAIN: Paint = Paint(false);

    /// What a screen is about: names, headings.
    pub fn bold(self, text: impl Display) -> String {
        self.with("1", text)
    }

    /// What is less important than its neighbours.
    pub fn dim(self, text: impl Display) -> String {
        self.with("2", text)
    }

    /// What is new, and must be sent.
    pub fn sent(self, text: impl Display) -> String {
        self.with("35", text)
    }

    /// What is known, or good.
    pub fn known(self, text: impl Display) -> String {
        self.with("32", text)
    }

    /// What is gone, or wrong.
    pub fn gone(self, text: impl Display) -> String {
        self.with("31", text)
    }

    /// The word that begins a message.
    fn prefix(self, prefix: Prefix) -> String {
        match prefix {
            Prefix::Error => self.with("1;31", "error:"),
            Prefix::Warning => self.with("1;35", "warning:"),
            Prefix::Hint => self.with("1", "hint:"),
        }
    }

    /// What there is.
    pub fn plain_bar(self, text: impl Display) -> String {
        self.with("36", text)
    }

    /// A text between the sequences that begin and end these attributes (ECMA-48, SGR).
    fn with(self, attributes: &str, text: impl Display) -> String {
        if self.0 { format!("\x1b[{attributes}m{text}\x1b[0m") } else { text.to_string() }
    }
}

/// The word that begins a message on stderr, coloured as the command line asks.
#[derive(Clone, Copy)]
pub enum Prefix {
    Error,
    Warning,
    Hint,
}

impl Display for Prefix {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&ColorWhen::Auto.of_stderr().prefix(*self))
    }
}

/// Obeys `--color` from here on, for clap too. It is looked for before the command line is read, as errors in that have
/// colours.
pub fn obey_command_line() {
    let words: Vec<OsString> = std::env::args_os().collect();
    let texts = || words.iter().filter_map(|word| word.to_str());
    let behind = texts().zip(texts().skip(1)).filter(|(flag, _)| *flag == "--color").map(|(_, value)| value);
    let within = texts().filter_map(|word| word.strip_prefix("--color="));
    // What is no value, clap tells.
    if let Some(Ok(when)) = behind.chain(within).next().map(|value| ColorWhen::from_str(value, false)) {
        when.obey();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_and_how() {
        assert_eq!(ColorWhen::Always.of(&stdout()).bold("x"), "\x1b[1mx\x1b[0m");
        assert_eq!(ColorWhen::Never.of(&stdout()).bold("x"), "x");
    }
}
