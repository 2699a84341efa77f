//! Builds a lab's expression with Nix and writes down what Nix then knows of the closure.

use crate::process;
use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A single user without a build group, nothing downloaded, and builders that may run the machine's programs and
/// unpack files with set-id bits.
const NIX_OPTIONS: [(&str, &str); 4] =
    [("sandbox", "false"), ("substitute", "false"), ("build-users-group", ""), ("filter-syscalls", "false")];

/// exportReferencesGraph's JSON.
#[derive(Deserialize)]
struct Graph {
    graph: Vec<PathInfo>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PathInfo {
    path: String,
    nar_hash: String,
    nar_size: u64,
    references: Vec<String>,
}

/// Builds, writes `default.nix`, `env.log`, `graph.log`, `graph.json`, `registration`, `path-info.json`, `dump-db.txt`,
/// `store-paths`, `total-nar-size` and the link `result` into the directory, and sums up.
pub fn build(expression: &str, folder: &Path, jobs: usize) -> Result<String> {
    let file = folder.join("default.nix");
    write(&file, expression)?;
    let env = build_attribute(&file, "env", &folder.join("result"), jobs)?;
    let graph_file = build_attribute(&file, "graph", &folder.join("result-graph"), jobs)?;
    let text = fs::read_to_string(&graph_file).with_context(|| format!("cannot read: {graph_file}"))?;
    let graph =
        serde_json::from_str::<Graph>(&text).with_context(|| format!("no references graph: {graph_file}"))?.graph;
    let paths: Vec<&str> = graph.iter().map(|info| info.path.as_str()).collect();
    check(&paths, &env)?;
    let bytes: u64 = graph.iter().map(|info| info.nar_size).sum();
    let path_info = ["--extra-experimental-features", "nix-command", "path-info", "-r", "--json", &env];
    write(&folder.join("graph.json"), &text)?;
    write(&folder.join("registration"), &registration(&graph))?;
    write(&folder.join("store-paths"), &(paths.join("\n") + "\n"))?;
    write(&folder.join("total-nar-size"), &format!("{bytes}\n"))?;
    write(&folder.join("dump-db.txt"), &process::output(nix("nix-store").arg("--dump-db").args(&paths))?)?;
    write(&folder.join("path-info.json"), &process::output(nix("nix").args(path_info))?)?;
    Ok(format!("{env}: {} paths, {} MB of NARs", paths.len(), bytes / 1_000_000))
}

/// Builds one attribute and gives its store path; `link` keeps it from being collected.
fn build_attribute(file: &Path, attribute: &str, link: &Path, jobs: usize) -> Result<String> {
    let log: PathBuf = file.with_file_name(format!("{attribute}.log"));
    let log_file = File::create(&log).with_context(|| format!("cannot create: {}", log.display()))?;
    let mut command = nix("nix-build");
    command.arg(file).args(["-A", attribute, "-j", &jobs.to_string(), "-o"]).arg(link);
    let built = process::output(command.stderr(log_file)).with_context(|| format!("see {}", log.display()))?;
    Ok(built.trim_end().to_owned())
}

fn nix(program: &str) -> Command {
    let mut command = Command::new(program);
    for (name, value) in NIX_OPTIONS {
        command.args(["--option", name, value]);
    }
    command
}

/// The graph must hold exactly the closure that Nix's database has.
fn check(paths: &[&str], env: &str) -> Result<()> {
    let closure = process::output(nix("nix-store").args(["-qR", env]))?;
    let (mut found, mut expected) = (paths.to_vec(), closure.lines().collect::<Vec<_>>());
    found.sort_unstable();
    expected.sort_unstable();
    ensure!(found == expected, "the graph of {env} has {} paths, its closure {}", found.len(), expected.len());
    Ok(())
}

/// What nixpkgs' closureInfo calls registration: for every path itself, hash, size, no deriver, and its references
/// with their number.
fn registration(graph: &[PathInfo]) -> String {
    let mut text = String::new();
    for info in graph {
        let references = info.references.iter().map(|reference| format!("{reference}\n")).collect::<String>();
        let PathInfo { path, nar_hash, nar_size, .. } = info;
        text += &format!("{path}\n{nar_hash}\n{nar_size}\n\n{}\n{references}", info.references.len());
    }
    text
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write: {}", path.display()))
}
