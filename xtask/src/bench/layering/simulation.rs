//! Updates run through the binary: what a registry that holds the old image would receive.

use crate::bench::layering::closure::Closure;
use crate::bench::layering::cost::Weights;
use crate::bench::layering::plan::Plan;
use crate::bench::layering::strategy::{Order, Strategy};
use crate::bench::layering::update::{self, Update};
use crate::bench::random::Random;
use anyhow::{Context, Result};
use std::fs;
use std::path::Path;

/// How the updates follow each other.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Scenario {
    /// In each a path of the original closure changes.
    Change,
    /// In each the original closure gains or loses a path.
    AddOrRemove,
    /// A path changes, then another one of what came of it, and so on.
    Chain,
}

impl Scenario {
    pub const ALL: [Scenario; 3] = [Scenario::Change, Scenario::AddOrRemove, Scenario::Chain];

    /// The same for every strategy and limit.
    fn update(self, old: &Closure, index: u64) -> Update {
        let mut random = Random::new((self as u64) << 32 | index);
        match self {
            Scenario::Change | Scenario::Chain => update::change(old, &mut random),
            Scenario::AddOrRemove => update::add_or_remove(old, &mut random),
        }
    }
}

/// What the updates of a scenario came to.
pub struct Outcome {
    /// Bytes in layers that the old images did not have over bytes that changed, both summed over the updates.
    pub sent: f64,
    /// The mean of what each update sent over what it changed: one that changes little counts as much as any other.
    pub each: f64,
    /// Cost of the last plan, in units of the lower bound.
    pub cost: f64,
}

/// A strategy at a limit, with its plan of the original closure.
pub struct Subject<'a> {
    pub binary: &'a Path,
    pub strategy: &'a Strategy,
    pub limit: usize,
    pub closure: &'a Closure,
    pub plan: &'a Path,
}

/// Runs updates, one or more; files are in the directory.
pub fn run(subject: &Subject<'_>, scenario: Scenario, updates: u64, folder: &Path) -> Result<Outcome> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create: {}", folder.display()))?;
    let [file, previous, output] = ["graph.json", "old.layers.json", "new.layers.json"].map(|name| folder.join(name));
    fs::copy(subject.plan, &previous).with_context(|| format!("cannot write: {}", previous.display()))?;
    let mut old = (subject.closure.clone(), Plan::read(&previous)?);
    let (mut sent, mut changed, mut ratios, mut cost) = (0, 0, 0.0, 0.0);
    for index in 0..updates {
        let update = scenario.update(&old.0, index);
        update.closure.write(&file)?;
        let (binary, limit) = (subject.binary, subject.limit);
        subject.strategy.plan(&Order { binary, closure: &file, limit, previous: Some(&previous), output: &output })?;
        let plan = Plan::read(&output)?;
        let layers = plan.divide(&update.closure, limit)?;
        let beyond = plan.bytes_beyond(&old.1, &update.closure);
        sent += u128::from(beyond);
        changed += u128::from(update.changed);
        ratios += beyond as f64 / update.changed.max(1) as f64;
        if index + 1 == updates {
            cost = Weights::new(&update.closure)?.relative(&layers);
        }
        if scenario == Scenario::Chain {
            fs::rename(&output, &previous).with_context(|| format!("cannot write: {}", previous.display()))?;
            old = (update.closure, plan);
        }
    }
    Ok(Outcome { sent: sent as f64 / changed.max(1) as f64, each: ratios / updates as f64, cost })
}
