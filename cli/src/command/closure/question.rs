//! Questions about closure files, asked instead of making one.

pub mod diff;
mod verify;
pub mod why;

use crate::args::Common;
use anyhow::Result;
use clap::{ArgAction, Args};
use layerstone_store::Store;
use std::path::PathBuf;

/// A question, and how its answer is printed.
#[derive(Args)]
#[command(next_help_heading = "Questions about closure files, or any references graphs")]
pub struct QuestionArgs {
    #[command(flatten)]
    question: Question,
    /// Chains to show with --why, a number or all
    #[arg(long, value_name = "N", default_value = "10")]
    #[arg(requires = "question", conflicts_with_all = ["verify", "diff"])]
    chains: why::Limit,
    /// Print the answer as JSON
    #[arg(long, requires = "question")]
    json: bool,
}

/// One of these.
#[derive(Args)]
#[group(id = "question", multiple = false)]
#[group(conflicts_with_all = ["graph", "db", "scan", "nar_hash", "sizes", "spec", "layer", "exclude", "output"])]
struct Question {
    /// Read all paths and list those whose NAR hash or size differs; status 1 if there are any
    #[arg(long, value_name = "CLOSURE.JSON", conflicts_with = "roots")]
    verify: Option<PathBuf>,
    /// Show the chains of references that lead to a path or a name, the shortest first; without ROOT, from the paths that no other
    /// path refers to
    #[arg(long, num_args = 2, action = ArgAction::Set, value_names = ["PATH", "CLOSURE.JSON"])]
    why: Vec<PathBuf>,
    /// Show what was added, removed and changed from one closure to another, by name
    #[arg(long, num_args = 2, action = ArgAction::Set, value_names = ["OLD.JSON", "NEW.JSON"])]
    #[arg(conflicts_with = "roots")]
    diff: Vec<PathBuf>,
}

impl QuestionArgs {
    /// Answers the question on stdout; false if none was asked. The roots are only looked up where they count.
    pub fn answer(&self, store: &Store, roots: &[PathBuf], common: &Common) -> Result<bool> {
        let Question { verify, why, diff } = &self.question;
        if let Some(file) = verify {
            verify::run(file, store, self.json, common)?;
        } else if let [path, file] = &why[..] {
            why::run(path, file, roots, self.chains, self.json, store)?;
        } else if let [old, new] = &diff[..] {
            diff::run(old, new, self.json, common)?;
        } else {
            return Ok(false);
        }
        Ok(true)
    }
}
