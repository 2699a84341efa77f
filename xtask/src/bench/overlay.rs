//! `cargo xtask bench overlay`: root scripts over Debian, phase by phase, beside what they cannot do without.
//!
//! The phases are those that `overlay run --timings` tells. What is compared is measured in the same round: a bare boot is
//! that of a machine without a base; a base is unpacked by tar into memory; a layer is hashed and copied.

use crate::bench::measure::{Output, Pipeline, is_installed, program};
use crate::bench::{CACHE, Place, base, table};
use anyhow::{Context, Result, ensure};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Rounds and places.
#[derive(clap::Args)]
pub struct Options {
    /// Rounds that count; there is one more before them
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    #[command(flatten)]
    place: Place,
}

/// A user, owners, deletions, a directory made anew, links, devices, a capability's worth of modes, a file copied up.
const SCRIPT: &str = "\
PATH=/usr/sbin:/usr/bin
useradd -m app; chown app:app /srv
rm -rf /usr/share/doc
rm -rf /etc/apt; mkdir /etc/apt; echo new > /etc/apt/x
mkdir /data; echo hi > /data/a; ln /data/a /data/hard; ln -s a /data/link; mkfifo /data/fifo
mknod /data/null c 1 3 2> /dev/null || true
cp /bin/true /data/true; chmod 4755 /data/true
rm -rf /usr/share/common-licenses; echo file > /usr/share/common-licenses
touch /usr/bin/perl
";

/// Seconds by the names of phases.
type Phases = BTreeMap<String, f64>;

/// Runs the bench, and prints the tables.
pub fn run(options: &Options) -> Result<()> {
    ensure!(options.rounds > 0, "--rounds: found 0, expected 1 or more");
    options.place.run(|binary, work| {
        let layer = options.place.lab.join("debian.tar");
        ensure!(layer.exists(), "no {}: `cargo xtask lab debian` makes it", layer.display());
        println!("{}", table::machine(options.rounds)?);
        Bench::prepare(binary, work, &layer)?.measure(options.rounds)
    })
}

struct Bench {
    binary: PathBuf,
    work: PathBuf,
    layer: PathBuf,
    archive: PathBuf,
}

impl Bench {
    fn prepare(binary: &Path, work: &Path, layer: &Path) -> Result<Bench> {
        let archive = work.join("base.tar");
        base::write_archive(layer, &archive)?;
        fs::write(work.join("script.sh"), SCRIPT)?;
        Ok(Bench { binary: binary.to_owned(), work: work.to_owned(), layer: layer.to_owned(), archive })
    }

    fn measure(&self, rounds: usize) -> Result<()> {
        let mut found: BTreeMap<&str, Vec<Phases>> = BTreeMap::new();
        for round in 0..=rounds {
            let measured = [
                ("userns", self.script("userns", &[])?),
                ("emulation", self.script("emulation", &[])?),
                ("emulation, base kept", self.script("emulation", &["--base-cache", "kept"])?),
                ("others", self.others()?),
            ];
            // The first one fills caches, ours too.
            for (name, phases) in measured.into_iter().filter(|_| round > 0) {
                found.entry(name).or_default().push(phases);
            }
        }
        print(&found);
        Ok(())
    }

    /// The phases of the script in a backend.
    fn script(&self, backend: &str, flags: &[&str]) -> Result<Phases> {
        let mut command = Command::new(&self.binary);
        command.env(CACHE, "");
        command.args([
            "overlay",
            "run",
            "--timings",
            "--backend",
            backend,
            "--script",
            "script.sh",
            "-o",
            "run.layer.json",
        ]);
        command.args(["--blob", "run.tar"]).args(flags).arg("--base").arg(&self.archive).current_dir(&self.work);
        let output = command.stdin(Stdio::null()).output().context("cannot run layerstone")?;
        let told = String::from_utf8(output.stderr)?;
        ensure!(output.status.success(), "{backend}: {told}");
        let line = |line: &str| {
            let (seconds, phase) = line.split_once(" s  ")?;
            Some((phase.to_owned(), seconds.trim().parse::<f64>().ok()?))
        };
        let mut phases: Phases = told.lines().filter_map(line).collect();
        let whole =
            phases.iter().find_map(|(name, seconds)| Some((name.strip_prefix("all, with ")?.to_owned(), *seconds)));
        let (memory, whole) = whole.with_context(|| format!("no timings: {told}"))?;
        phases.insert("all".to_owned(), whole);
        let megabytes = memory.split(' ').next().and_then(|number| number.parse().ok());
        phases.insert("memory".to_owned(), megabytes.context("no memory")?);
        Ok(phases)
    }

    /// What ours are compared with.
    fn others(&self) -> Result<Phases> {
        let mut others = Phases::new();
        others.insert("boot".to_owned(), self.bare_boot()?);
        // Memory, like that of the namespaces.
        let memory = PathBuf::from(format!("/dev/shm/layerstone-bench-{}", std::process::id()));
        fs::create_dir(&memory).with_context(|| format!("cannot make: {}", memory.display()))?;
        let tar = program([Path::new("tar"), Path::new("-xf"), &self.layer, Path::new("-C"), &memory]);
        others
            .insert("tar".to_owned(), Pipeline { programs: vec![tar], output: Output::Null }.run()?.wall.as_secs_f64());
        fs::remove_dir_all(&memory)?;
        let (flat, copy) = (self.work.join("flat.tar"), self.work.join("copy.tar"));
        let export =
            program([&self.binary, Path::new("overlay"), Path::new("export"), &self.archive, Path::new("-o"), &flat]);
        others.insert("export".to_owned(), Pipeline::named(export, &flat).run()?.wall.as_secs_f64());
        if is_installed("openssl") {
            let hash = program([Path::new("openssl"), Path::new("dgst"), Path::new("-sha256"), &self.layer]);
            let cat =
                Pipeline { programs: vec![program([Path::new("cat"), &self.layer])], output: Output::Stdout(copy) };
            let hash = Pipeline { programs: vec![hash], output: Output::Null };
            others.insert("hash and copy".to_owned(), (hash.run()?.wall + cat.run()?.wall).as_secs_f64());
        }
        Ok(others)
    }

    /// Seconds for a machine without a base to begin, do nothing, and end.
    fn bare_boot(&self) -> Result<f64> {
        let mut command = Command::new(&self.binary);
        command.env(CACHE, "");
        command.args(["overlay", "probe", "--backend", "emulation"]).current_dir(&self.work);
        let told = String::from_utf8(command.stdin(Stdio::null()).output().context("cannot run layerstone")?.stdout)?;
        let seconds = told.split_once("works, ").and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
        seconds.with_context(|| format!("no emulation here: {told}"))
    }
}

/// The median of what one of some rounds gave.
fn median(rounds: &[Phases], value: impl Fn(usize, &Phases) -> Option<f64>) -> f64 {
    let mut values: Vec<f64> = rounds.iter().enumerate().filter_map(|(index, phases)| value(index, phases)).collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The phases of each way, and the figures with their targets.
fn print(found: &BTreeMap<&str, Vec<Phases>>) {
    let columns = ["making ready", "booting", "mounting", "running the script", "packing the layer", "all", "memory"];
    println!("### A root script over Debian: seconds, medians\n");
    println!(
        "| where | ready | boot | mount | script | pack | all | peak MB |\n|---|---:|---:|---:|---:|---:|---:|---:|"
    );
    for (name, rounds) in found.iter().filter(|(name, _)| **name != "others") {
        let cell = |column: &&str| format!("{:.3}", median(rounds, |_, phases| phases.get(*column).copied()));
        println!("| {name} | {} |", columns.iter().map(cell).collect::<Vec<_>>().join(" | "));
    }
    let others = &found["others"];
    let pair = |name: &str, value: &dyn Fn(&Phases, &Phases) -> Option<f64>| {
        median(&found[name], |index, phases| value(phases, &others[index]))
    };
    let get = |phases: &Phases, name: &str| phases.get(name).copied();
    let machine = |ours: &Phases, others: &Phases| {
        Some(get(ours, "all")? / (get(others, "boot")? + get(ours, "running the script")?))
    };
    let ready = |ours: &Phases, others: &Phases| Some(get(ours, "making ready")? / get(others, "tar")?);
    let beyond = |ours: &Phases, _: &Phases| Some(get(ours, "all")? - get(ours, "running the script")?);
    let export = |_: &Phases, others: &Phases| Some(get(others, "export")? / get(others, "hash and copy")?);
    println!("\n| figure | found | target |\n|---|---:|---:|");
    let row = |figure: &str, found: f64, target: &str| println!("| {figure} | {found:.2} | {target} |");
    row("emulated machine, all: times a bare boot and the script", pair("emulation", &machine), "1.25");
    row("the same, base kept", pair("emulation, base kept", &machine), "1.25");
    row("making ready, base merged: times `tar -x` into memory", pair("emulation", &ready), "1.50");
    row("the same, base kept", pair("emulation, base kept", &ready), "0");
    row("user namespace, all but the script: seconds", pair("userns", &beyond), "1.20");
    row("overlay export: times openssl and cat", pair("userns", &export), "1.30");
    let peak = found.values().flatten().filter_map(|phases| get(phases, "memory")).fold(0.0, f64::max);
    row("highest peak of layerstone, MB", peak, "200");
}
