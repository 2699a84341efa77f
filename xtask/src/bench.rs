//! `cargo xtask bench`: layerstone beside what any machine has (tar, cat, pigz, openssl), as a table in Markdown.
//!
//! A row is a pair of pipelines that do comparable work on the same files. They are run in turns, the one that goes first
//! changing from round to round, after a round that is not counted and fills the caches; told are medians of the rounds'
//! ratios and of the times. It is a benchmark, not a test: nothing fails when something is slow.

mod base;
mod big;
mod bill;
mod change;
mod database;
mod graph;
mod history;
mod incremental;
pub mod layering;
mod measure;
mod overlay;
pub mod random;
pub mod registry;
mod row;
mod store;
mod subject;
mod table;

use crate::{dist, process, top};
use anyhow::{Context, Result, ensure};
use measure::{Pipeline, Usage};
use row::Row;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use subject::Subject;

/// The variable that names the cache's directory: what is measured is measured without one, unless it is what is measured.
pub const CACHE: &str = "LAYERSTONE_CACHE";

/// What to measure and where.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Options {
    #[command(subcommand)]
    other: Option<Other>,
    /// Rounds that count; there is one more before them
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Only this row; may be given more than once
    #[arg(long, value_name = "ROW", value_parser = row::NAMES)]
    only: Vec<String>,
    /// Only this closure: generated, or one of the lab's [default: generated, and medium and large if they are there]
    #[arg(long, value_name = "NAME")]
    closure: Vec<String>,
    #[command(flatten)]
    place: Place,
}

/// Another bench than this one.
#[derive(clap::Subcommand)]
enum Other {
    Layering(Box<layering::Options>),
    History(Box<history::Options>),
    /// Root scripts over a base, phase by phase, and exports
    Overlay(Box<overlay::Options>),
    /// Second builds, beside first ones
    Incremental(Box<incremental::Options>),
    /// Images and stores as large as any
    Big(Box<big::Options>),
    /// Bills of materials, provenance and signatures: made, and attached
    Bill(Box<bill::Options>),
    /// Pushes and pulls, beside skopeo and docker load
    Registry(Box<registry::Options>),
}

/// Which binary is looked at, and where.
#[derive(clap::Args)]
pub struct Place {
    /// The lab's directory, made by `cargo xtask lab`
    #[arg(long, value_name = "DIR", default_value = "/var/tmp/layerstone-lab")]
    pub lab: PathBuf,
    /// Directory for files, removed afterwards; on a disk, with room for four times the closure [default: target/bench]
    #[arg(long, value_name = "DIR")]
    work: Option<PathBuf>,
    /// Measure this binary instead of building one
    #[arg(long, value_name = "FILE")]
    binary: Option<PathBuf>,
}

/// Runs the bench asked for, and prints the tables.
pub fn run(options: &Options) -> Result<()> {
    match &options.other {
        Some(Other::Layering(options)) => return layering::run(options),
        Some(Other::History(options)) => return history::run(options),
        Some(Other::Overlay(options)) => return overlay::run(options),
        Some(Other::Incremental(options)) => return incremental::run(options),
        Some(Other::Registry(options)) => return registry::run(options),
        Some(Other::Bill(options)) => return bill::run(options),
        Some(Other::Big(options)) => return big::run(options),
        None => {}
    }
    ensure!(options.rounds > 0, "--rounds: found 0, expected 1 or more");
    options.place.run(|binary, work| run_in(options, binary, work))
}

impl Place {
    /// Builds the binary if none is given, and runs something with it and with a work directory.
    pub fn run(&self, bench: impl FnOnce(&Path, &Path) -> Result<()>) -> Result<()> {
        let binary = match &self.binary {
            Some(binary) => binary.canonicalize().with_context(|| format!("cannot find: {}", binary.display()))?,
            None => build()?,
        };
        let work = std::path::absolute(self.work.clone().unwrap_or(top().join("target/bench")))?;
        let work = work.join(std::process::id().to_string());
        fs::create_dir_all(&work).with_context(|| format!("cannot create: {}", work.display()))?;
        let result = bench(&binary, &work);
        fs::remove_dir_all(&work).with_context(|| format!("cannot remove: {}", work.display()))?;
        result
    }
}

/// The binary of the profile that `cargo xtask dist` builds, which is run directly: cargo's own time is not layerstone's.
fn build() -> Result<PathBuf> {
    let mut command = xtask::cargo();
    command.args(["build", "--profile", dist::PROFILE, "--package", "layerstone"]);
    command.args(["--message-format", "json-render-diagnostics"]);
    process::executable(&process::output(command.current_dir(top()))?).context("cargo build names no executable")
}

fn run_in(options: &Options, binary: &Path, work: &Path) -> Result<()> {
    println!("{}", table::machine(options.rounds)?);
    let any =
        row::NAMES.iter().any(|name| ![row::PLAN, row::DATABASE].contains(name) && row::is_wanted(name, &options.only));
    for name in subject::names(&options.closure, &options.place.lab)?.into_iter().filter(|_| any) {
        let folder = work.join(&name);
        let subject = Subject::prepare(&name, &options.place.lab, binary, &folder)?;
        let measured = measure_rows(row::of_subject(&subject, &options.only)?, options.rounds)?;
        println!("{}", table::of_subject(&subject, &measured));
        // The next closure needs the room.
        fs::remove_dir_all(&folder).with_context(|| format!("cannot remove: {}", folder.display()))?;
    }
    if options.closure.is_empty() && row::is_wanted(row::PLAN, &options.only) {
        let measured = measure_rows(row::of_graphs(binary, work)?, options.rounds)?;
        println!("{}", table::of_times("Planning 10,000 paths with 200,000 references", &measured));
    }
    if options.closure.is_empty() && row::is_wanted(row::DATABASE, &options.only) {
        let measured = measure_rows(vec![row::of_database(binary, work)?], options.rounds)?;
        println!("{}", table::of_times("A database of 100,000 paths and a million references", &measured));
    }
    print!("{}", table::legend());
    Ok(())
}

/// A row with what its rounds took.
struct Measured {
    row: Row,
    ours: Vec<Usage>,
    /// As many as of ours, or none where there is nothing to compare with.
    theirs: Vec<Usage>,
    /// For a row that compresses: bytes of our file and of theirs, and whether one thread makes the same.
    files: Option<Files>,
}

struct Files {
    ours: u64,
    theirs: u64,
    same_alone: bool,
}

fn measure_rows(rows: Vec<Row>, rounds: usize) -> Result<Vec<Measured>> {
    rows.into_iter().map(|row| measure_row(row, rounds)).collect()
}

fn measure_row(row: Row, rounds: usize) -> Result<Measured> {
    eprintln!("{}", row.name);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 0..=rounds {
        let mut sides: Vec<(&Pipeline, &mut Vec<Usage>)> = vec![(&row.ours, &mut ours)];
        sides.extend(row.theirs.as_ref().map(|pipeline| (pipeline, &mut theirs)));
        if round % 2 == 1 {
            sides.reverse();
        }
        for (pipeline, usages) in sides {
            let usage = pipeline.run()?;
            if round > 0 {
                usages.push(usage);
            }
        }
    }
    let files = compare_files(&row)?;
    for pipeline in [Some(&row.ours), row.theirs.as_ref(), row.alone.as_ref()].into_iter().flatten() {
        pipeline.remove_output()?;
    }
    Ok(Measured { row, ours, theirs, files })
}

fn compare_files(row: &Row) -> Result<Option<Files>> {
    let Some(alone) = &row.alone else { return Ok(None) };
    alone.run()?;
    let files = [Some(&row.ours), row.theirs.as_ref(), Some(alone)].map(|side| side.and_then(Pipeline::file));
    let [Some(ours), Some(theirs), Some(alone)] = files else { return Ok(None) };
    let size = |path: &Path| path.metadata().map(|metadata| metadata.len());
    let same_alone = Command::new("cmp").arg("-s").args([ours, alone]).status().context("cannot run: cmp")?.success();
    Ok(Some(Files { ours: size(ours)?, theirs: size(theirs)?, same_alone }))
}
