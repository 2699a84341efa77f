//! Questions about plans, asked instead of writing one.

mod check;
pub mod compare;
pub mod explain;

use super::Options;
use crate::args::Common;
use anyhow::Result;
use clap::{ArgAction, Args};
use std::path::PathBuf;

/// A question, and how its answer is printed.
#[derive(Args)]
#[command(next_help_heading = "Questions about plans, whoever made them")]
pub struct QuestionArgs {
    #[command(flatten)]
    question: Question,
    /// Explain this plan instead of a new one
    #[arg(long, value_name = "LAYERS.JSON", requires = "explain", conflicts_with_all = ["strategy", "PlanArgs"])]
    pub plan: Option<PathBuf>,
    /// Print the answer as JSON
    #[arg(long, requires = "question")]
    json: bool,
}

/// One of these.
#[derive(Args)]
#[group(id = "question", multiple = false, conflicts_with = "output")]
struct Question {
    /// List everything that is wrong with a plan for CLOSURE.JSON; status 1 if there is anything
    #[arg(long, value_name = "LAYERS.JSON", conflicts_with_all = ["strategy", "rates", "PlanArgs"])]
    check: Option<PathBuf>,
    /// Show which changes send each layer again and what that costs, also with the other strategies
    #[arg(long)]
    explain: bool,
    /// Show which layers of NEW a client that has OLD must fetch, and why; sizes come from CLOSURE.JSON, the closure of
    /// NEW
    #[arg(long, num_args = 2, action = ArgAction::Set, value_names = ["OLD.JSON", "NEW.JSON"])]
    #[arg(conflicts_with_all = ["strategy", "rates", "PlanArgs", "LayerLimitArgs", "exclude", "BaseArgs", "BelowArgs"])]
    compare: Vec<PathBuf>,
}

impl QuestionArgs {
    /// Answers the question on stdout; false if none was asked.
    pub fn answer(&self, options: &Options, common: &Common) -> Result<bool> {
        let Question { check, explain, compare } = &self.question;
        if let Some(plan) = check {
            check::run(plan, options, self.json, common)?;
        } else if *explain {
            explain::run(self.plan.as_deref(), options, self.json, common)?;
        } else if let [old, new] = &compare[..] {
            compare::run(
                old,
                new,
                options.closure_if_given()?.as_deref(),
                compare::Shown { json: self.json, hides: false },
                common,
            )?;
        } else {
            return Ok(false);
        }
        Ok(true)
    }
}
