//! Names the strategies, which decide which paths share a layer.

use crate::{Error, Pipeline, Result};
use std::fmt;
use std::str::FromStr;

/// How to decide which paths share a layer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// The plan that costs least to send again when paths change: a path's change renames all that depends on it.
    #[default]
    LeastChurn,
    /// A layer each for the paths to which most references lead, the last layer for all others: what dockerTools
    /// did from 2018 to 2025.
    Popularity,
    /// A layer each for the largest paths with what nobody else needs, and layers for what several of them need: what
    /// dockerTools does since 2025.
    Size,
    /// A list of operations, as dockerTools' `layeringPipeline`.
    Pipeline(Pipeline),
}

impl Strategy {
    /// All strategies that are chosen by their name alone: those but `pipeline`, which is nothing without operations.
    pub const ALL: [Strategy; 3] = [Strategy::LeastChurn, Strategy::Popularity, Strategy::Size];

    /// The name of the strategy that a [`Pipeline`] is needed for.
    pub const PIPELINE: &str = "pipeline";

    /// The name by which a user chooses it.
    pub const fn name(&self) -> &'static str {
        match self {
            Strategy::LeastChurn => "least-churn",
            Strategy::Popularity => "popularity",
            Strategy::Size => "size",
            Strategy::Pipeline(_) => Strategy::PIPELINE,
        }
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Strategy {
    type Err = Error;

    /// A strategy that is chosen by its name alone.
    fn from_str(name: &str) -> Result<Strategy> {
        if name == Strategy::PIPELINE {
            return Err(Error::NoPipeline);
        }
        Strategy::ALL.into_iter().find(|strategy| strategy.name() == name).ok_or_else(|| Error::UnknownStrategy {
            name: name.to_owned(),
            expected: format!("{}, {}", Strategy::ALL.map(|strategy| strategy.name()).join(", "), Strategy::PIPELINE),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_strategies() {
        for strategy in Strategy::ALL {
            assert_eq!(strategy.to_string().parse(), Ok(strategy));
        }
    }

    #[track_caller]
    fn check_error(name: &str, expected: &str) {
        assert_eq!(name.parse::<Strategy>().unwrap_err().to_string(), expected);
    }

    #[test]
    fn what_is_no_name_of_a_strategy() {
        check_error(
            "popular",
            "unknown strategy: \"popular\": expected one of least-churn, popularity, size, pipeline",
        );
        check_error("pipeline", "the strategy pipeline needs its operations");
    }
}
