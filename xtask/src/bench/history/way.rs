//! The ways to plan that are compared, and the binary that does it.

use super::timeline::{closure_file, rates_file};
use crate::bench::layering::plan::Plan;
use crate::bench::measure::{Pipeline, program};
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;

/// A way to plan.
pub struct Way {
    /// Its name in the tables.
    pub name: &'static str,
    strategy: &'static str,
    /// Whether the plan of the image before is kept.
    keeps_previous: bool,
    rates: Rates,
}

/// How often paths are said to change.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rates {
    None,
    /// As counted over the weeks before the replay.
    Counted,
    /// As the table says that is replayed.
    Builtin,
}

/// All that are compared.
pub const ALL: [Way; 8] = [
    Way { name: "popularity", strategy: "popularity", keeps_previous: false, rates: Rates::None },
    Way { name: "size", strategy: "size", keeps_previous: false, rates: Rates::None },
    Way { name: "least-churn", strategy: "least-churn", keeps_previous: false, rates: Rates::None },
    Way { name: "least-churn, rates counted", strategy: "least-churn", keeps_previous: false, rates: Rates::Counted },
    Way { name: "least-churn, rates builtin", strategy: "least-churn", keeps_previous: false, rates: Rates::Builtin },
    Way { name: "--previous", strategy: "least-churn", keeps_previous: true, rates: Rates::None },
    Way { name: "--previous, rates counted", strategy: "least-churn", keeps_previous: true, rates: Rates::Counted },
    Way { name: "--previous, rates builtin", strategy: "least-churn", keeps_previous: true, rates: Rates::Builtin },
];

/// What is the same for all plans of a line.
pub struct Order<'a> {
    pub binary: &'a Path,
    pub limit: usize,
    /// Where the closures and the rates are.
    pub folder: &'a Path,
    /// The line's own directory.
    pub own: &'a Path,
}

impl Way {
    /// Has the binary plan a week's closure after the week whose plan was the one before.
    pub fn plan(&self, order: &Order<'_>, week: usize, previous: Option<usize>) -> Result<Vec<Vec<String>>> {
        fs::create_dir_all(order.own).with_context(|| format!("cannot create: {}", order.own.display()))?;
        let output = order.own.join(format!("{week}.layers.json"));
        let closure = closure_file(order.folder, week);
        let limit = order.limit.to_string();
        let mut arguments = program([order.binary, Path::new("layers"), &closure]);
        arguments.extend(program(["--strategy", self.strategy, "--max-layers", &limit]));
        let before = previous.filter(|_| self.keeps_previous).map(|week| order.own.join(format!("{week}.layers.json")));
        if let Some(before) = &before {
            arguments.extend(program([Path::new("--previous"), before]));
        }
        let rates = match self.rates {
            Rates::None => None,
            Rates::Counted => Some(rates_file(order.folder)),
            Rates::Builtin => Some("builtin".into()),
        };
        if let Some(rates) = &rates {
            arguments.extend(program([Path::new("--rates"), rates]));
        }
        arguments.extend(program([Path::new("-o"), &output]));
        Pipeline::named(arguments, &output).run()?;
        Ok(Plan::read(&output)?.into_layers())
    }
}
