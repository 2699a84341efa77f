//! `cargo xtask bench incremental`: what a second build costs, beside the first one.
//!
//! What changes is one small store path that only the root refers to, and with it the root. The cache begins empty each
//! round; what ninja and Nix do is measured when there is nothing to do.
//!
//! Nix is the machine's own, single user: what it builds of the image stays in its store.

mod pairs;

use crate::bench::change::Change;
use crate::bench::measure::{is_installed, timed};
use crate::bench::table::median;
use crate::bench::{CACHE, Place, table};
use crate::{process, top};
use anyhow::{Context, Error, Result, ensure};
use pairs::Pairs;
use serde_json::Map;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use xtask::stamp;

/// Rounds and places.
#[derive(clap::Args)]
pub struct Options {
    /// Rounds that count; there is one more before them
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// The lab's closure
    #[arg(long, value_name = "NAME", default_value = "large")]
    closure: String,
    /// Only the table of pairs of outputs
    #[arg(long)]
    pairs: bool,
    #[command(flatten)]
    place: Place,
}

/// Rows: what is measured, beside what, and the ratio that is aimed at.
const ROWS: [(&str, &str, f64); 4] = [
    ("layer --all, nothing changed", "layer --all, the first time", 0.02),
    ("layer --all, one small path changed", "layer --all, the first time", 0.05),
    ("ninja, nothing to do", "ninja -n", 1.2),
    ("make, nothing to do", "ninja -n", f64::INFINITY),
];

/// The evaluation of an image by Nix when its plan is built, and how many seconds it may take.
const EVALUATION: (&str, f64) = ("nix-instantiate of an image whose plan is built", 0.3);

/// Seconds of a round, by what took them.
type Times = BTreeMap<&'static str, f64>;

/// Runs the bench, and prints the table.
pub fn run(options: &Options) -> Result<()> {
    ensure!(options.rounds > 0, "--rounds: found 0, expected 1 or more");
    let tools: &[&str] = if options.pairs { &[] } else { &["ninja", "make", "nix-instantiate"] };
    for tool in tools.iter().chain(&["docker-registry"]) {
        ensure!(is_installed(tool), "no {tool} in PATH");
    }
    options.place.run(|binary, work| {
        let closure = stamp::closure(&options.place.lab, &options.closure).map_err(Error::msg)?;
        println!("{}", table::machine(options.rounds)?);
        let change = Change::make(&closure)?;
        if options.pairs {
            change.write_specs(&closure, work, &Map::new())?;
            return Pairs { binary, work }.run(options.rounds);
        }
        let bench = Bench { binary, work, change: &change };
        bench.prepare(&closure)?;
        let mut found = Vec::new();
        for round in 0..=options.rounds {
            let times = bench.round()?;
            // The first one fills the system's caches.
            if round > 0 {
                found.push(times);
            }
        }
        print(&found, &change);
        Pairs { binary, work }.run(options.rounds)
    })
}

struct Bench<'a> {
    binary: &'a Path,
    work: &'a Path,
    change: &'a Change,
}

impl Bench<'_> {
    fn file(&self, name: &str) -> PathBuf {
        self.work.join(name)
    }

    fn layerstone(&self, line: &str) -> Command {
        self.tool(self.binary, &line.split(' ').collect::<Vec<_>>())
    }

    fn tool(&self, name: impl AsRef<OsStr>, arguments: &[&str]) -> Command {
        let mut command = Command::new(name);
        command.args(arguments).current_dir(self.work).stdin(Stdio::null()).stdout(Stdio::null());
        command.env(CACHE, self.file("cache"));
        command
    }

    /// Plans of the closure before and after, and rules that have run.
    fn prepare(&self, closure: &Path) -> Result<()> {
        eprintln!("preparing");
        let before = self.change.write_specs(closure, self.work, &Map::new())?;
        for name in ["before", "after"] {
            process::run(&mut self.layerstone(&format!("closure --spec {name}.json -q -o {name}.closure.json")))?;
        }
        process::run(&mut self.layerstone("layers before.closure.json -q --max-layers 99 -o before.layers.json"))?;
        let previous =
            "layers after.closure.json -q --max-layers 99 --previous before.layers.json -o after.layers.json";
        process::run(&mut self.layerstone(previous))?;
        process::run(&mut self.layerstone("ninja before.json --image ninja.tar --folder ninja.build"))?;
        process::run(&mut self.tool("ninja", &["--quiet"]))?;
        process::run(&mut self.layerstone("make before.json --image make.tar --folder make.build"))?;
        process::run(&mut self.tool("make", &["-s", "-f", "image.mk"]))?;
        let expression = format!(
            "(import {} {{ layerstone = {}; }}).buildLayeredImage {{\n  name = \"bench\";\n  \
             contents = [ (builtins.storePath {}) ];\n}}\n",
            top().join("nix").display(),
            self.binary.display(),
            before.display()
        );
        fs::write(self.file("bench.nix"), expression)?;
        process::run(&mut self.evaluation())
    }

    /// Evaluates an image, which builds its plan if that is not there.
    fn evaluation(&self) -> Command {
        let mut command = self.tool("nix-instantiate", &["bench.nix"]);
        let settings = "sandbox = false\nsubstitute = false\nbuild-users-group =\nfilter-syscalls = false";
        command.env("NIX_CONFIG", settings);
        command
    }

    fn round(&self) -> Result<Times> {
        let cache = self.file("cache");
        if cache.exists() {
            fs::remove_dir_all(&cache).with_context(|| format!("cannot remove: {}", cache.display()))?;
        }
        let before = "layer before.layers.json -q --all -o layers";
        let mut times = Times::new();
        times.insert(ROWS[0].1, timed(&mut self.layerstone(before))?);
        times.insert(ROWS[0].0, timed(&mut self.layerstone(before))?);
        times.insert(ROWS[1].0, timed(&mut self.layerstone("layer after.layers.json -q --all -o layers"))?);
        times.insert(ROWS[2].1, timed(&mut self.tool("ninja", &["-n"]))?);
        times.insert(ROWS[2].0, timed(&mut self.tool("ninja", &[]))?);
        times.insert(ROWS[3].0, timed(&mut self.tool("make", &["-f", "image.mk"]))?);
        times.insert(EVALUATION.0, timed(&mut self.evaluation())?);
        Ok(times)
    }
}

fn print(rounds: &[Times], change: &Change) {
    println!("| what | time | beside | time | ratio | target |\n|---|---:|---|---:|---:|---:|");
    for (ours, theirs, target) in ROWS {
        let of = |name: &str| median(rounds.iter().map(|times| times[name]).collect());
        let ratio = median(rounds.iter().map(|times| times[ours] / times[theirs]).collect());
        let target = if target.is_finite() { target.to_string() } else { String::new() };
        println!("| {ours} | {:.3} s | {theirs} | {:.3} s | {ratio:.3} | {target} |", of(ours), of(theirs));
    }
    let (what, target) = EVALUATION;
    let seconds = median(rounds.iter().map(|times| times[what]).collect());
    println!("| {what} | {seconds:.3} s | | | | {target} s |");
    println!("\nThe path that changes is {}.", change.what);
}
