//! Which commands are disturbed, with which closure and where: what all tasks ask for.

use crate::bench::Place;
use crate::crash::scenario::{self, Scenario};
use crate::crash::trial::Trial;
use anyhow::{Error, Result, ensure};
use xtask::stamp;

/// Commands, and what they work on.
#[derive(clap::Args)]
pub struct Subject {
    /// Only commands whose name begins so
    #[arg(long, value_name = "NAME", default_value = "")]
    only: String,
    /// The lab's closure
    #[arg(long, value_name = "NAME", default_value = "small")]
    closure: String,
    #[command(flatten)]
    place: Place,
}

impl Subject {
    /// Prepares a trial, and runs a task on the commands.
    pub fn run(&self, task: impl FnOnce(&Trial, &[&'static Scenario]) -> Result<()>) -> Result<()> {
        let scenarios: Vec<&'static Scenario> = scenario::named(&self.only).collect();
        ensure!(!scenarios.is_empty(), "--only: found {:?}, which begins no command's name", self.only);
        self.place.run(|binary, work| {
            let closure = stamp::closure(&self.place.lab, &self.closure).map_err(Error::msg)?;
            task(&Trial::prepare(binary, work, &closure)?, &scenarios)
        })
    }
}
