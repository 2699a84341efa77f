//! `cargo xtask bench layering`: what the strategies' plans cost, and what is sent again when a closure changes.
//!
//! Costs and bytes are computed here, from the plans that the binary writes; with the binary they share no code. What is
//! random comes from fixed seeds, so that only the seconds differ from run to run.

pub mod closure;
mod cost;
pub mod debian;
pub mod plan;
mod simulation;
mod strategy;
mod table;
pub mod update;

use crate::bench::measure::Usage;
use crate::bench::{self, Place};
use crate::top;
use anyhow::{Context, Result, ensure};
use closure::Closure;
use cost::Weights;
use debian::Index;
use plan::Plan;
use rayon::prelude::*;
use simulation::{Outcome, Scenario};
use std::fs;
use std::path::{Path, PathBuf};
use strategy::{Order, Strategy};
use xtask::stamp;

/// Measure layering strategies: cost of their plans, time, bytes sent again after simulated updates
#[derive(clap::Args)]
pub struct Options {
    /// How many layers there may be; may be given more than once
    #[arg(long, value_name = "N", default_values_t = [40, 99])]
    limit: Vec<usize>,
    /// Only this strategy; may be given more than once
    #[arg(long, value_name = "NAME", value_parser = strategy::NAMES)]
    strategy: Vec<String>,
    /// Updates of each kind
    #[arg(long, value_name = "N", default_value_t = 30)]
    updates: u64,
    /// References graph with sizes, as exportReferencesGraph writes it; may be given more than once [default: two that
    /// lie in layering/golden, and the lab's medium and large if they are there]
    #[arg(long, value_name = "FILE")]
    closure: Vec<PathBuf>,
    /// Make a closure of these packages and what they depend on, out of the machine's package index, and keep it as
    /// target/closures/PACKAGE.json; may be given more than once
    #[arg(long, value_name = "PACKAGE[,PACKAGE…]")]
    debian: Vec<String>,
    #[command(flatten)]
    place: Place,
}

/// A closure to plan.
struct Subject {
    name: String,
    closure: Closure,
}

/// What a strategy came to at a limit.
struct Line {
    strategy: &'static str,
    limit: usize,
    layers: usize,
    /// In units of the lower bound.
    cost: f64,
    usage: Usage,
    /// Of each scenario, or none without updates.
    outcomes: Vec<Outcome>,
}

/// Runs all strategies and prints the tables.
pub fn run(options: &Options) -> Result<()> {
    ensure!(options.limit.iter().all(|limit| *limit > 0), "--limit: found 0, expected 1 or more");
    options.place.run(|binary, work| run_in(options, binary, work))
}

fn run_in(options: &Options, binary: &Path, work: &Path) -> Result<()> {
    let subjects = subjects(options)?;
    println!("{}\n", bench::table::processor()?);
    for subject in subjects {
        eprintln!("{}", subject.name);
        println!("{}", table::of_subject(&subject, &lines(options, &subject, binary, work)?));
    }
    print!("{}", table::legend(options.updates));
    Ok(())
}

fn subjects(options: &Options) -> Result<Vec<Subject>> {
    let mut files = options.closure.clone();
    if files.is_empty() && options.debian.is_empty() {
        let golden = top().join("layering/golden");
        let closure = |name| stamp::closure(&options.place.lab, name).ok();
        files.extend(["web", "ds"].map(|name| golden.join(name).join("graph.json")));
        files.extend(["medium", "large"].into_iter().filter_map(closure).map(|folder| folder.join("graph.json")));
    }
    let read = |file: &PathBuf| Ok(Subject { name: name(file), closure: Closure::read(file)? });
    let mut subjects = files.iter().map(read).collect::<Result<Vec<_>>>()?;
    if !options.debian.is_empty() {
        let index = Index::read()?;
        for packages in &options.debian {
            subjects.push(make(&index, packages)?);
        }
    }
    Ok(subjects)
}

/// The name of a file, or of its directory if it is called as all of them are.
fn name(file: &Path) -> String {
    let named = match file.file_stem() {
        Some(stem) if stem != "graph" => Some(stem),
        _ => file.parent().and_then(Path::file_name),
    };
    named.unwrap_or(file.as_os_str()).to_string_lossy().into_owned()
}

fn make(index: &Index, packages: &str) -> Result<Subject> {
    let packages: Vec<String> = packages.split(',').map(str::to_owned).collect();
    let (name, closure) = (packages[0].clone(), index.closure(&packages)?);
    let folder = top().join("target/closures");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create: {}", folder.display()))?;
    closure.write(&folder.join(format!("{name}.json")))?;
    Ok(Subject { name, closure })
}

/// Plans first, one after the other, for the sake of the times; then the updates, several at once.
fn lines(options: &Options, subject: &Subject, binary: &Path, work: &Path) -> Result<Vec<Line>> {
    let (weights, file) = (Weights::new(&subject.closure)?, work.join("graph.json"));
    subject.closure.write(&file)?;
    let wanted =
        |strategy: &&Strategy| options.strategy.is_empty() || options.strategy.iter().any(|name| name == strategy.name);
    let mut lines = Vec::new();
    for &limit in &options.limit {
        for strategy in strategy::ALL.iter().filter(wanted) {
            let output = plan_file(work, lines.len());
            let usage = strategy.plan(&Order { binary, closure: &file, limit, previous: None, output: &output })?;
            let layers = Plan::read(&output)?.divide(&subject.closure, limit)?;
            let (cost, layers) = (weights.relative(&layers), layers.len());
            lines.push((strategy, Line { strategy: strategy.name, limit, layers, cost, usage, outcomes: Vec::new() }));
        }
    }
    if options.updates == 0 {
        return Ok(lines.into_iter().map(|(_, line)| line).collect());
    }
    let simulate = |(index, (strategy, line)): (usize, (&'static Strategy, Line))| {
        let (plan, limit) = (plan_file(work, index), line.limit);
        let subject = simulation::Subject { binary, strategy, limit, closure: &subject.closure, plan: &plan };
        let folder = work.join(index.to_string());
        let outcomes = Scenario::ALL.map(|scenario| simulation::run(&subject, scenario, options.updates, &folder));
        Ok(Line { outcomes: outcomes.into_iter().collect::<Result<_>>()?, ..line })
    };
    lines.into_par_iter().enumerate().map(simulate).collect()
}

/// Where the plan of a line's original closure is.
fn plan_file(work: &Path, line: usize) -> PathBuf {
    work.join(format!("{line}.layers.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files() {
        assert_eq!(name(Path::new("layering/golden/web/graph.json")), "web");
        assert_eq!(name(Path::new("closures/desktop.json")), "desktop");
        assert_eq!(name(Path::new("graph.json")), "graph.json");
    }
}
