//! The strategies by name: how to decide which paths share a layer.

use crate::{Error, Result};
use std::fmt;
use std::str::FromStr;

/// How to decide which paths share a layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// The plan that costs least to send again when paths change: a path's change renames all that depends on it.
    #[default]
    LeastChurn,
    /// A layer each for the paths to which most references lead, the last layer for all others: what dockerTools
    /// did from 2018 to 2025.
    Popularity,
}

impl Strategy {
    /// All strategies.
    pub const ALL: [Strategy; 2] = [Strategy::LeastChurn, Strategy::Popularity];

    /// The name by which a user chooses it.
    pub const fn name(self) -> &'static str {
        match self {
            Strategy::LeastChurn => "least-churn",
            Strategy::Popularity => "popularity",
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

    fn from_str(name: &str) -> Result<Strategy> {
        Strategy::ALL.into_iter().find(|strategy| strategy.name() == name).ok_or_else(|| Error::UnknownStrategy {
            name: name.to_owned(),
            expected: Strategy::ALL.map(Strategy::name).join(", "),
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
        let error = "popular".parse::<Strategy>().unwrap_err().to_string();
        assert_eq!(error, "unknown strategy: \"popular\": expected one of least-churn, popularity");
    }
}
