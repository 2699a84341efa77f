//! `cargo xtask fuzz`: gives made-up inputs to what reads input of others, one target after the other; a table in Markdown.
//!
//! Targets are functions of the crates that they drive (`src/fuzz.rs` of each). What libFuzzer keeps lies in
//! `target/fuzz-corpus`; what stands in `xtask/fuzz/corpus` is read and stays as it is.

use crate::{dist, process, top};
use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

/// Bytes of a text at most.
const TEXT: usize = 4 << 10;
/// Bytes of a tar at most.
const TAR: usize = 24 << 10;

/// The targets, in the order in which they run: the words that inputs are made of, and how many bytes they have at most.
const TARGETS: [Target; 25] = [
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
    target("nar", "binary", TEXT),
    target("database", "database", TAR),
    target("plan_file", "json", TEXT),
    target("pipeline", "json", TEXT),
    target("rates", "json", TEXT),
    target("layer_file", "json", TEXT),
    target("chunked", "tar", TAR),
    target("image_spec", "spec", TEXT),
    target("cache_records", "binary", TEXT),
    target("frames", "frame", TEXT),
    target("quoting", "word", TEXT),
    target("erofs", "binary", TEXT),
    target("bill_sources", "package", TEXT),
    target("bundle", "json", TEXT),
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
    /// Targets [default: all of them, one after the other]
    targets: Vec<String>,
    /// Seconds of processor time for each
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u64,
    /// Seconds that one input may take by the clock: more on a machine that others use
    #[arg(long, value_name = "N", default_value_t = 10)]
    timeout: u64,
    /// Instead, keep what was found: the smallest inputs that reach all that those in target/fuzz-corpus and
    /// xtask/fuzz/corpus reach become xtask/fuzz/corpus; inputs that have a name stay
    #[arg(long, conflicts_with = "seconds")]
    minimise: bool,
}

/// Runs some targets or all, and prints the table.
///
/// # Errors
///
/// cargo-fuzz is missing, a target cannot be run, or something was found; where it is stands in the output.
pub fn run(options: &Options) -> Result<()> {
    let names = TARGETS.map(|target| target.name);
    for name in &options.targets {
        ensure!(names.contains(&&**name), "no such target: {name}: expected one of {}", names.join(", "));
    }
    let chosen = |target: &&Target| options.targets.is_empty() || options.targets.iter().any(|it| it == target.name);
    let targets: Vec<&Target> = TARGETS.iter().filter(chosen).collect();
    check_tool()?;
    if options.minimise {
        return targets.into_iter().try_for_each(minimise);
    }
    let mut rows = Vec::new();
    for target in targets {
        rows.push((target.name, fuzz(target, options)?));
    }
    println!("| target | runs | seconds | edges | features | inputs | findings |");
    println!("|---|---:|---:|---:|---:|---:|---:|");
    for (name, Outcome { stats, cpu, has_found }) in &rows {
        let Stats { runs, edges, features, inputs } = stats;
        let (seconds, found) = (cpu.as_secs(), u8::from(*has_found));
        println!("| `{name}` | {runs} | {seconds} | {edges} | {features} | {inputs} | {found} |");
    }
    let found: Vec<&str> = rows.iter().filter(|(_, outcome)| outcome.has_found).map(|(name, _)| *name).collect();
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

/// How a run went.
struct Outcome {
    stats: Stats,
    /// Of the target alone.
    cpu: Duration,
    has_found: bool,
}

/// What libFuzzer tells.
#[derive(Debug, Default, PartialEq, Eq)]
struct Stats {
    runs: u64,
    edges: u64,
    features: u64,
    inputs: u64,
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
        }
    }
}

/// The directories of a target.
struct Folders {
    /// What was found to reach other code.
    found: PathBuf,
    /// What is kept.
    corpus: PathBuf,
    /// What went wrong.
    artifacts: PathBuf,
}

impl Folders {
    fn of(target: &Target) -> Result<Folders> {
        let folder = |parts: &[&str]| parts.iter().fold(top(), |path, part| path.join(part)).join(target.name);
        let found = folder(&["target", "fuzz-corpus"]);
        let (corpus, artifacts) = (folder(&["xtask", "fuzz", "corpus"]), folder(&["xtask", "fuzz", "artifacts"]));
        for path in [&found, &artifacts] {
            fs::create_dir_all(path).with_context(|| format!("cannot create: {}", path.display()))?;
        }
        Ok(Folders { found, corpus, artifacts })
    }
}

/// Compiles a target; a command that runs it.
fn compile(target: &Target) -> Result<Command> {
    let fuzz = top().join("xtask").join("fuzz");
    let built = fuzz.join("target");
    let mut build = cargo_fuzz("build");
    build.arg("--fuzz-dir").arg(&fuzz).arg("--target-dir").arg(&built).arg(target.name);
    // The C parts too: Rust's runtime takes what gcc and clang make of this.
    let flags = std::env::var("CFLAGS").unwrap_or_default();
    process::run(build.env("CFLAGS", format!("{flags} -fsanitize=address")))?;
    let mut command = Command::new(built.join(dist::host()?).join("release").join(target.name));
    // As cargo fuzz sets it: the same function may be in several crates.
    command.env("ASAN_OPTIONS", "detect_odr_violation=0");
    Ok(command)
}

fn option(name: &str, value: &dyn std::fmt::Display) -> String {
    format!("-{name}={value}")
}

fn fuzz(target: &Target, options: &Options) -> Result<Outcome> {
    let folders = Folders::of(target)?;
    let dictionary = top().join("xtask/fuzz/dict").join(format!("{}.dict", target.dictionary));
    let mut command = compile(target)?;
    command.arg(&folders.found).arg(&folders.corpus).args([
        format!("-artifact_prefix={}/", folders.artifacts.display()),
        option("max_len", &target.length),
        option("dict", &dictionary.display()),
        option("rss_limit_mb", &2048),
        option("timeout", &options.timeout),
    ]);
    let mut child = command.stderr(Stdio::piped()).spawn().with_context(|| format!("cannot run: {}", target.name))?;
    let id = Pid::from_child(&child);
    let limit = Duration::from_secs(options.seconds);
    let process = pidfd_open(id, PidfdFlags::empty()).context("cannot watch a target")?;
    thread::spawn(move || end_after(id, &process, limit));
    let mut stats = Stats::default();
    let lines = BufReader::new(child.stderr.take().context("its output is a pipe")?);
    for line in lines.split(b'\n') {
        let line = String::from_utf8_lossy(&line.context("cannot read from a target")?).into_owned();
        eprintln!("{line}");
        stats.read(&line);
    }
    let spent = process::wait(&child)?;
    ensure!(stats.runs > 0, "{}: it has run nothing", target.name);
    Ok(Outcome { stats, cpu: spent.cpu, has_found: !spent.status.success() })
}

/// Asks libFuzzer to end when its process has used so much processor time.
fn end_after(id: Pid, process: &OwnedFd, limit: Duration) {
    while let Some(spent) = process::spent_so_far(id) {
        if spent >= limit {
            // `-handle_usr1`, which is on by default: it finishes its input and prints what it has done.
            _ = pidfd_send_signal(process, Signal::USR1);
            return;
        }
        thread::sleep(Duration::from_millis(200));
    }
}

/// Makes what is kept of a target as small as it can be without reaching less.
fn minimise(target: &Target) -> Result<()> {
    let folders = Folders::of(target)?;
    let merged = folders.corpus.with_extension("merged");
    if merged.exists() {
        fs::remove_dir_all(&merged).with_context(|| format!("cannot remove: {}", merged.display()))?;
    }
    fs::create_dir(&merged).with_context(|| format!("cannot create: {}", merged.display()))?;
    for path in listed(&folders.corpus)?.iter().filter(|path| has_name(path)) {
        let copy = merged.join(path.file_name().context("an entry has a name")?);
        fs::copy(path, &copy).with_context(|| format!("cannot write: {}", copy.display()))?;
    }
    let mut command = compile(target)?;
    command.arg("-set_cover_merge=1").arg(option("max_len", &target.length));
    process::run(command.arg(&merged).arg(&folders.corpus).arg(&folders.found))?;
    let (before, after) = (listed(&folders.corpus)?.len(), listed(&merged)?.len());
    fs::remove_dir_all(&folders.corpus).with_context(|| format!("cannot remove: {}", folders.corpus.display()))?;
    fs::rename(&merged, &folders.corpus).with_context(|| format!("cannot rename: {}", merged.display()))?;
    println!("{}: {before} inputs before, {after} now", target.name);
    Ok(())
}

fn listed(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot list: {}", folder.display()))?;
    entries.map(|entry| Ok(entry?.path())).collect()
}

/// Whether somebody has named an input; libFuzzer calls it by its SHA-1.
fn has_name(input: &Path) -> bool {
    let name = input.file_name().unwrap_or_default().as_encoded_bytes();
    name.len() != 40 || !name.iter().all(u8::is_ascii_hexdigit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_target_has_its_file_words_and_inputs() {
        let fuzz = top().join("xtask/fuzz");
        let stem = |path: PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
        let found: BTreeSet<String> = listed(&fuzz.join("fuzz_targets")).unwrap().into_iter().map(stem).collect();
        assert_eq!(found, TARGETS.iter().map(|target| target.name.to_owned()).collect());
        for target in &TARGETS {
            let words = fs::read_to_string(fuzz.join("dict").join(format!("{}.dict", target.dictionary))).unwrap();
            words.lines().for_each(|line| assert!(is_word(line), "{}: {line}", target.name));
            assert!(!listed(&fuzz.join("corpus").join(target.name)).unwrap().is_empty(), "{}", target.name);
        }
    }

    /// Whether libFuzzer takes a line of a dictionary (FuzzerUtil.cpp, `ParseOneDictionaryEntry`): a comment, or a word in
    /// quotes, where a backslash stands before a backslash, a quote, or `x` and two digits.
    fn is_word(line: &str) -> bool {
        let Some((_, word)) = line.split_once('"').filter(|_| !line.starts_with('#')) else {
            return line.is_empty() || line.starts_with('#');
        };
        let Some(mut word) = word.strip_suffix('"').filter(|word| !word.is_empty()) else { return false };
        while let Some((_, rest)) = word.split_once('\\') {
            let is_hex = |rest: &str| rest.len() >= 3 && rest[1..3].bytes().all(|byte| byte.is_ascii_hexdigit());
            word = match rest.bytes().next() {
                Some(b'\\' | b'"') => &rest[1..],
                Some(b'x') if is_hex(rest) => &rest[3..],
                _ => return false,
            };
        }
        true
    }

    #[test]
    fn words_of_dictionaries() {
        for (line, expected) in [
            ("", true),
            ("# x", true),
            ("\"a\"", true),
            ("name=\"\\x00\\\\\\\"\"", true),
            ("\"\\t\"", false),
            ("\"a", false),
            ("\"\\x0\"", false),
            ("a", false),
        ] {
            assert_eq!(is_word(line), expected, "{line}");
        }
    }

    #[test]
    fn inputs_with_a_name() {
        assert!(has_name(Path::new("corpus/two-lengths")));
        assert!(!has_name(Path::new("corpus/da39a3ee5e6b4b0d3255bfef95601890afd80709")));
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
        let expected = Stats { runs: 100, edges: 7, features: 8, inputs: 3 };
        assert_eq!(stats, expected);
    }
}
