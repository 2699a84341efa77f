//! `cargo xtask fuzz`: gives made-up inputs to what reads input of others, one target after the other; a table in Markdown.
//!
//! Targets are functions of the crates that they drive (`src/fuzz.rs` of each). What libFuzzer keeps lies in
//! `target/fuzz-corpus`; what stands in `xtask/fuzz/corpus` is read and stays as it is.

use crate::top;
use anyhow::{Context, Result, bail, ensure};
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

/// Bytes of a text at most.
const TEXT: usize = 4 << 10;
/// Bytes of a tar at most.
const TAR: usize = 24 << 10;

/// The targets, in the order in which they run: the words that inputs are made of, and how many bytes they have at most.
const TARGETS: [Target; 20] = [
    target("tar_members", "tar", TAR),
    target("tar_stack", "tar", TAR),
    target("python_tar", "tar", TAR),
    target("image_archive", "image", TAR),
    target("http_requests", "http", TEXT),
    target("url", "http", TEXT),
    target("challenge", "http", TEXT),
    target("reference", "name", TEXT),
    target("location", "name", TEXT),
    target("time", "name", TEXT),
    target("references_graph", "json", TEXT),
    target("plan_file", "json", TEXT),
    target("pipeline", "json", TEXT),
    target("rates", "json", TEXT),
    target("layer_file", "json", TEXT),
    target("image_spec", "spec", TEXT),
    target("cache_records", "binary", TEXT),
    target("frames", "frame", TEXT),
    target("quoting", "word", TEXT),
    target("erofs", "binary", TEXT),
];

struct Target {
    name: &'static str,
    dictionary: &'static str,
    length: usize,
}

const fn target(name: &'static str, dictionary: &'static str, length: usize) -> Target {
    Target { name, dictionary, length }
}

/// What is fuzzed, and for how long.
#[derive(clap::Args)]
pub struct Options {
    /// Target [default: all of them, one after the other]
    target: Option<String>,
    /// Seconds for each
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u64,
}

/// Runs one target or all, and prints the table.
///
/// # Errors
///
/// cargo-fuzz is missing, a target cannot be run, or something was found; where it is stands in the output.
pub fn run(options: &Options) -> Result<()> {
    let chosen = |target: &&Target| options.target.as_ref().is_none_or(|name| name == target.name);
    let targets: Vec<&Target> = TARGETS.iter().filter(chosen).collect();
    let names = TARGETS.map(|target| target.name).join(", ");
    ensure!(!targets.is_empty(), "no such target, expected one of {names}");
    check_tool()?;
    let mut rows = Vec::new();
    for target in targets {
        rows.push((target.name, fuzz(target, options.seconds)?));
    }
    println!("| target | runs | seconds | edges | features | inputs | findings |");
    println!("|---|---:|---:|---:|---:|---:|---:|");
    for (name, stats) in &rows {
        let Stats { runs, seconds, edges, features, inputs, has_found } = stats;
        println!("| `{name}` | {runs} | {seconds} | {edges} | {features} | {inputs} | {} |", u8::from(*has_found));
    }
    let found: Vec<&str> = rows.iter().filter(|(_, stats)| stats.has_found).map(|(name, _)| *name).collect();
    ensure!(found.is_empty(), "found something wrong with: {}", found.join(", "));
    Ok(())
}

fn check_tool() -> Result<()> {
    let output = cargo_fuzz("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !output.is_ok_and(|status| status.success()) {
        bail!("found no cargo-fuzz: cargo install cargo-fuzz --locked; it needs a C++ compiler");
    }
    Ok(())
}

fn cargo_fuzz(command: &str) -> Command {
    let mut cargo = xtask::cargo();
    // Sanitizers are flags of nightly compilers, which this makes of ours.
    cargo.args(["fuzz", command]).env("RUSTC_BOOTSTRAP", "1").current_dir(top());
    cargo
}

/// How a run went, as libFuzzer tells.
#[derive(Debug, Default, PartialEq, Eq)]
struct Stats {
    runs: u64,
    seconds: u64,
    edges: u64,
    features: u64,
    inputs: u64,
    has_found: bool,
}

impl Stats {
    /// Takes up a line such as `#8192 pulse  cov: 96 ft: 210 corp: 40/1Kb …` or `Done 9000 runs in 3 second(s)`.
    fn read(&mut self, line: &str) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |text: &str| text.split('/').next().and_then(|text| text.parse().ok());
        let after = |key: &str| {
            let at = words.iter().position(|word| *word == key)?;
            words.get(at + 1).and_then(|word| number(word))
        };
        if let Some(runs) = line.strip_prefix('#').and_then(|rest| number(rest.split_whitespace().next()?)) {
            self.runs = runs;
            for (key, value) in [("cov:", &mut self.edges), ("ft:", &mut self.features), ("corp:", &mut self.inputs)] {
                *value = after(key).unwrap_or(*value);
            }
        }
        if line.starts_with("Done ") {
            self.runs = after("Done").unwrap_or(self.runs);
            self.seconds = after("in").unwrap_or_default();
        }
    }
}

fn fuzz(target: &Target, seconds: u64) -> Result<Stats> {
    let directory = |parts: &[&str]| parts.iter().fold(top(), |path, part| path.join(part));
    let kept = directory(&["target", "fuzz-corpus", target.name]);
    std::fs::create_dir_all(&kept).with_context(|| format!("cannot create: {}", kept.display()))?;
    let fuzz = directory(&["xtask", "fuzz"]);
    let corpus = fuzz.join("corpus").join(target.name);
    let dictionary = fuzz.join("dict").join(format!("{}.dict", target.dictionary));
    let option = |name: &str, value: &dyn std::fmt::Display| format!("-{name}={value}");
    let mut command = cargo_fuzz("run");
    command.arg("--fuzz-dir").arg(&fuzz).arg(target.name).arg(&kept).arg(&corpus).arg("--").args([
        option("max_total_time", &seconds),
        option("max_len", &target.length),
        option("dict", &dictionary.display()),
        option("rss_limit_mb", &2048),
        option("timeout", &10),
    ]);
    let mut child = command.stderr(Stdio::piped()).spawn().context("cannot run cargo fuzz")?;
    let mut stats = Stats::default();
    let lines = BufReader::new(child.stderr.take().context("its output is a pipe")?);
    for line in lines.split(b'\n') {
        let line = String::from_utf8_lossy(&line.context("cannot read from cargo fuzz")?).into_owned();
        eprintln!("{line}");
        stats.read(&line);
    }
    stats.has_found = !child.wait().context("cannot wait for cargo fuzz")?.success();
    // Without a run it was not compiled.
    ensure!(stats.runs > 0, "{}: cargo fuzz has run nothing", target.name);
    Ok(stats)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    fn files(directory: &Path) -> Vec<PathBuf> {
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect()
    }

    #[test]
    fn every_target_has_its_file_words_and_inputs() {
        let fuzz = top().join("xtask/fuzz");
        let stem = |path: PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
        let found: BTreeSet<String> = files(&fuzz.join("fuzz_targets")).into_iter().map(stem).collect();
        assert_eq!(found, TARGETS.iter().map(|target| target.name.to_owned()).collect());
        for target in &TARGETS {
            assert!(fuzz.join("dict").join(format!("{}.dict", target.dictionary)).is_file(), "{}", target.name);
            assert!(!files(&fuzz.join("corpus").join(target.name)).is_empty(), "{}", target.name);
        }
    }

    #[test]
    fn what_libfuzzer_says() {
        let mut stats = Stats::default();
        for line in
            ["INFO: seed corpus", "#2\tINITED cov: 5 ft: 6 corp: 1/1b", "#90\tNEW    cov: 7 ft: 8 corp: 3/12Kb lim: 4"]
        {
            stats.read(line);
        }
        stats.read("Done 100 runs in 31 second(s)");
        let expected = Stats { runs: 100, seconds: 31, edges: 7, features: 8, inputs: 3, has_found: false };
        assert_eq!(stats, expected);
    }
}
