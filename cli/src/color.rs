//! Colours: when they are used, and what each means. Does not know what is coloured.
//!
//! They are the 16 colours of the terminal, which its owner chose to be readable on light or dark.

use clap::ValueEnum;
use std::env::var_os;
use std::fmt::Display;
use std::io::{IsTerminal, stderr, stdout};

/// When output is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorWhen {
    /// On a terminal that is not dumb, unless NO_COLOR is set (no-color.org).
    Auto,
    Always,
    Never,
}

/// Colours texts, or leaves them as they are.
#[allow(dead_code, reason = "what prints comes to use it")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paint(bool);

#[allow(dead_code, reason = "what prints comes to use it")]
impl ColorWhen {
    /// How stdout is coloured.
    pub fn of_stdout(self) -> Paint {
        self.of(stdout().is_terminal())
    }

    /// How stderr is coloured.
    pub fn of_stderr(self) -> Paint {
        self.of(stderr().is_terminal())
    }

    fn of(self, is_terminal: bool) -> Paint {
        let is_wanted = || {
            let is_dumb = var_os("TERM").is_some_and(|term| term == "dumb");
            is_terminal && !is_dumb && var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        };
        Paint(self == ColorWhen::Always || (self == ColorWhen::Auto && is_wanted()))
    }
}

#[allow(dead_code, reason = "what prints comes to use it")]
impl Paint {
    /// No colours.
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
    pub fn new(self, text: impl Display) -> String {
        self.with("33", text)
    }

    /// What is known, or good.
    pub fn known(self, text: impl Display) -> String {
        self.with("32", text)
    }

    /// What is gone, or wrong.
    pub fn gone(self, text: impl Display) -> String {
        self.with("31", text)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_and_how() {
        assert_eq!(ColorWhen::Always.of(false).bold("x"), "\x1b[1mx\x1b[0m");
        assert_eq!(ColorWhen::Never.of(true).bold("x"), "x");
        assert_eq!(ColorWhen::Auto.of(false), Paint::PLAIN);
    }
}
