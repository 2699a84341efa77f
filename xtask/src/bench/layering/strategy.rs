//! The strategies that are compared, and the binary that runs them.

use crate::bench::measure::{Pipeline, Usage, program};
use anyhow::Result;
use std::path::Path;

/// A way to plan.
pub struct Strategy {
    /// Its name in the tables.
    pub name: &'static str,
    /// What `layerstone layers` is given.
    flags: &'static [&'static str],
    /// Whether it is told the plan of before the update.
    takes_previous: bool,
}

/// All that are compared.
pub const ALL: [Strategy; 4] = [
    Strategy { name: "popularity", flags: &["--strategy", "popularity"], takes_previous: false },
    Strategy { name: "size", flags: &["--strategy", "size"], takes_previous: false },
    Strategy { name: "least-churn", flags: &["--strategy", "least-churn"], takes_previous: false },
    Strategy { name: "least-churn --previous", flags: &["--strategy", "least-churn"], takes_previous: true },
];

/// Their names, for `--strategy`.
pub const NAMES: [&str; ALL.len()] = {
    let mut names = [""; ALL.len()];
    let mut index = 0;
    while index < ALL.len() {
        names[index] = ALL[index].name;
        index += 1;
    }
    names
};

/// A plan to be made.
pub struct Order<'a> {
    pub binary: &'a Path,
    pub closure: &'a Path,
    pub limit: usize,
    /// The plan of before the update, if there was one.
    pub previous: Option<&'a Path>,
    pub output: &'a Path,
}

impl Strategy {
    /// Has the binary make a plan; what that took, reading and writing included.
    pub fn plan(&self, order: &Order<'_>) -> Result<Usage> {
        let limit = order.limit.to_string();
        let mut arguments = program([order.binary, Path::new("layers"), order.closure]);
        arguments.extend(program(self.flags.iter().copied().chain(["--max-layers", &limit])));
        if let Some(previous) = order.previous.filter(|_| self.takes_previous) {
            arguments.extend(program([Path::new("--previous"), previous]));
        }
        arguments.extend(program([Path::new("-o"), order.output]));
        Pipeline::named(arguments, order.output).run()
    }
}
