//! The flags that say how many layers a plan may have.

use anyhow::{Context, Result};
use clap::Args;
use std::num::NonZeroUsize;

/// How many layers there may be.
#[derive(Args)]
pub struct LayerLimitArgs {
    /// Most layers, 1 or more, with those of --base and --below but without the customisation layer; a pipeline needs
    /// none
    #[arg(long, value_name = "N")]
    max_layers: Option<usize>,
    /// Most layers of the plan itself, not counting --base and --below
    #[arg(long, value_name = "N", conflicts_with = "max_layers")]
    max_new_layers: Option<NonZeroUsize>,
}

/// A limit of layers.
#[derive(Clone, Copy, Debug)]
pub enum Limit {
    /// Of all, those that lie below included.
    All(NonZeroUsize),
    /// Of the plan's own.
    New(NonZeroUsize),
}

impl Limit {
    /// How many layers there may be in all, over so many.
    pub fn over(self, below: usize) -> NonZeroUsize {
        match self {
            Limit::All(limit) => limit,
            Limit::New(limit) => limit.saturating_add(below),
        }
    }
}

impl LayerLimitArgs {
    /// What the flags say.
    pub fn limit(&self) -> Result<Option<Limit>> {
        let limit = |number| NonZeroUsize::new(number).context("--max-layers: found 0, expected 1 or more");
        let all = self.max_layers.map(limit).transpose()?;
        Ok(all.map(Limit::All).or(self.max_new_layers.map(Limit::New)))
    }
}
