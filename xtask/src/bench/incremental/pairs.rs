//! What a second build costs after a first one to any other place, with what the first has left in the cache: a table of all
//! pairs, for an image that stayed and for one of which one path changed.
//!
//! Each place has the image of before the change when a second build begins, as it has where images are updated.

use crate::bench::CACHE;
use crate::bench::measure::timed;
use crate::bench::registry::keeper::Keeper;
use crate::bench::table::median;
use crate::process;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Kinds of outputs: what they are called, the place, and flags.
const KINDS: [(&str, &str, &str); 6] = [
    ("tar", "OUT.tar", ""),
    ("tar.gz", "OUT.tar.gz", ""),
    ("tar.zst", "OUT.tar.zst", ""),
    ("layout, gzip", "oci:OUT.gzip", ""),
    ("layout, zstd", "oci:OUT.zstd", "--compression zstd"),
    ("registry, gzip", "registry:HOST/OUT:1", ""),
];

/// What is measured of a kind: seconds.
#[derive(Default)]
struct Cold {
    /// A build with an empty cache into a place that has nothing.
    first: Vec<f64>,
    /// `cat` of an archive into another file.
    cat: Vec<f64>,
    /// A second build to the very place of the first, with its cache, of an image that stayed and of one that changed.
    again: Pair,
}

/// Seconds of second builds, of an image that stayed and of one that changed.
type Pair = (Vec<f64>, Vec<f64>);

/// Builds of all pairs.
pub struct Pairs<'a> {
    pub binary: &'a Path,
    pub work: &'a Path,
}

impl Pairs<'_> {
    /// Measures, and prints the table.
    pub fn run(&self, rounds: usize) -> Result<()> {
        let keeper = Keeper::start(&self.work.join("registry"))?;
        let mut cold: Vec<Cold> = KINDS.iter().map(|_| Cold::default()).collect();
        let mut pairs: Vec<Vec<Pair>> = KINDS.iter().map(|_| KINDS.iter().map(|_| Pair::default()).collect()).collect();
        // Once before all others, so that the system has what is read.
        self.remove("cache")?;
        process::run(&mut self.build("before", 0, "warm", &keeper))?;
        for round in 1..=rounds {
            for first in 0..KINDS.len() {
                eprintln!("round {round}: {}", KINDS[first].0);
                let out = format!("r{round}-{first}");
                self.remove("cache")?;
                let seconds = timed(&mut self.build("before", first, &out, &keeper))?;
                cold[first].first.push(seconds);
                self.cat(first, &out, &mut cold[first])?;
                self.remove("kept")?;
                process::run(Command::new("cp").arg("-a").args([self.work.join("cache"), self.work.join("kept")]))?;
                for (second, times) in pairs[first].iter_mut().enumerate() {
                    let out = format!("r{round}-{first}-{second}");
                    // Into the place alone: an empty cache, which is thrown away.
                    self.remove("cache")?;
                    process::run(&mut self.build("before", second, &out, &keeper))?;
                    for (spec, times) in [("before", &mut times.0), ("after", &mut times.1)] {
                        self.remove("cache")?;
                        process::run(
                            Command::new("cp").arg("-a").args([self.work.join("kept"), self.work.join("cache")]),
                        )?;
                        times.push(timed(&mut self.build(spec, second, &out, &keeper))?);
                    }
                    self.remove_output(second, &out)?;
                }
                self.remove("cache")?;
                process::run(Command::new("mv").args([self.work.join("kept"), self.work.join("cache")]))?;
                let again = &mut cold[first].again;
                again.0.push(timed(&mut self.build("before", first, &out, &keeper))?);
                again.1.push(timed(&mut self.build("after", first, &out, &keeper))?);
                self.remove_output(first, &out)?;
            }
        }
        print(cold, pairs);
        Ok(())
    }

    fn build(&self, spec: &str, kind: usize, out: &str, keeper: &Keeper) -> Command {
        let (_, place, flags) = KINDS[kind];
        let place = place.replace("OUT", out).replace("HOST", keeper.host());
        let mut command = Command::new(self.binary);
        command.args(["build", &format!("{spec}.json"), "-q", "-o", &place]);
        command.args(flags.split_whitespace()).current_dir(self.work).stdin(Stdio::null());
        command.arg("--cache-blobs").env(CACHE, self.work.join("cache"));
        command
    }

    fn file(&self, kind: usize, out: &str) -> PathBuf {
        let (_, place, _) = KINDS[kind];
        self.work.join(place.replace("OUT", out).trim_start_matches("oci:"))
    }

    /// Copies an archive with `cat`, as a measure of what writing it takes.
    fn cat(&self, kind: usize, out: &str, cold: &mut Cold) -> Result<()> {
        let archive = self.file(kind, out);
        if archive.is_file() {
            let copy = self.work.join("cat");
            let line = format!("cat {} > {} && sync -d {}", archive.display(), copy.display(), copy.display());
            cold.cat.push(timed(Command::new("sh").args(["-c", &line]))?);
        }
        Ok(())
    }

    fn remove_output(&self, kind: usize, out: &str) -> Result<()> {
        let path = self.file(kind, out);
        self.remove(path.file_name().and_then(|name| name.to_str()).context("an output has a name")?)
    }

    fn remove(&self, name: &str) -> Result<()> {
        let path = self.work.join(name);
        if path.is_dir() {
            fs::remove_dir_all(&path).with_context(|| format!("cannot remove: {}", path.display()))?;
        } else if path.exists() {
            fs::remove_file(&path).with_context(|| format!("cannot remove: {}", path.display()))?;
        }
        Ok(())
    }
}

/// Rows are first outputs, columns second ones; cells are percents of a first build to the second output.
fn print(cold: Vec<Cold>, pairs: Vec<Vec<Pair>>) {
    let first: Vec<f64> = cold.iter().map(|cold| median(cold.first.clone())).collect();
    let names = KINDS.map(|(name, _, _)| name);
    println!("\n| first, then | {} |\n|---|{}", names.join(" | "), "---:|".repeat(KINDS.len()));
    let cell = |((same, changed), first): (Pair, &f64)| {
        format!("{:.0} / {:.0}", 100.0 * median(same) / first, 100.0 * median(changed) / first)
    };
    for (name, row) in names.iter().zip(pairs) {
        let cells: Vec<String> = row.into_iter().zip(&first).map(cell).collect();
        println!("| {name} | {} |", cells.join(" | "));
    }
    let again: Vec<Pair> = cold.iter().map(|cold| cold.again.clone()).collect();
    let cells: Vec<String> = again.into_iter().zip(&first).map(cell).collect();
    println!("| again, to the very place | {} |", cells.join(" | "));
    let seconds = |values: Vec<f64>| if values.is_empty() { String::new() } else { format!("{:.2}", median(values)) };
    let firsts: Vec<String> = first.iter().map(|seconds| format!("{seconds:.2}")).collect();
    println!("| first build, seconds | {} |", firsts.join(" | "));
    let cats: Vec<String> = cold.into_iter().map(|cold| seconds(cold.cat)).collect();
    println!("| `cat` and sync, seconds | {} |", cats.join(" | "));
    println!("\nPercents of a first build to the second output, of an image that stayed / of which one path changed.");
}
