//! Answers on stdout: a text for people, or JSON for programs, as `--json` says. Every command that answers goes through here,
//! so that all JSON says in the same way what it is.

use crate::screen::out::{json, print};
use anyhow::{Result, bail};
use clap::Args;
use serde::Serialize;

/// The version of all answers. Keys may be added to one; with any other change this is raised.
const VERSION: u64 = 1;

/// The flag of every command that answers.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct AnswerArgs {
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

impl AnswerArgs {
    /// Whether programs read the answer.
    pub fn is_json(self) -> bool {
        self.json
    }

    /// Prints an answer of this name, in one form or the other.
    pub fn print<V: Serialize>(
        self,
        name: &str,
        value: impl FnOnce() -> V,
        text: impl FnOnce() -> String,
    ) -> Result<()> {
        if self.json { print_answer(name, &value()) } else { print(text()) }
    }

    /// Refuses an output on stdout, where the answer goes.
    pub fn check_stdout(self, is_stdout: bool) -> Result<()> {
        if self.json && is_stdout {
            bail!("--json: found -, expected the image elsewhere than on stdout, where the JSON goes");
        }
        Ok(())
    }
}

/// An answer, and what it is.
#[derive(Serialize)]
struct Named<'a, V> {
    format: String,
    version: u64,
    #[serde(flatten)]
    answer: &'a V,
}

impl<V: Serialize> Named<'_, V> {
    fn of<'a>(name: &str, answer: &'a V) -> Named<'a, V> {
        Named { format: format!("layerstone/{name}"), version: VERSION, answer }
    }
}

/// Prints an answer as JSON: an object of the format `layerstone/NAME`.
pub fn print_answer(name: &str, answer: &impl Serialize) -> Result<()> {
    print(json_of(name, answer)?)
}

/// The text of an answer as JSON.
pub fn json_of(name: &str, answer: &impl Serialize) -> Result<String> {
    json(&Named::of(name, answer))
}

/// Prints an answer as JSON on a line of its own, where more lines follow.
pub fn print_answer_line(name: &str, answer: &impl Serialize) -> Result<()> {
    print(format_args!("{}\n", serde_json::to_string(&Named::of(name, answer))?))
}
