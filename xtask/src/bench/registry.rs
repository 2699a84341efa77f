//! `cargo xtask bench registry`: pushes and pulls of a lab closure, beside skopeo, `docker load` and pigz.
//!
//! What is changed for the second push is one small store path that only the root refers to, and with it the root: both
//! are copied under other names into the store for as long as the bench runs. Registries begin empty each round.

pub mod keeper;
pub mod relay;

use crate::bench::change::Change;
use crate::bench::measure::{Output, Pipeline, is_installed, program, timed};
use crate::bench::table::median;
use crate::bench::{CACHE, Place, table};
use crate::process;
use anyhow::{Context, Error, Result, ensure};
use keeper::{Keeper, serve};
use serde_json::{Map, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;
use xtask::stamp;

/// Rounds and places.
#[derive(clap::Args)]
pub struct Options {
    /// Rounds that count; there is one more before them
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// The lab's closure
    #[arg(long, value_name = "NAME", default_value = "large")]
    closure: String,
    #[command(flatten)]
    place: Place,
}

/// The level of gzip at which ours are about as large as skopeo's.
const LEVEL_OF_SKOPEO: u32 = 2;

/// Seconds of a round (or bytes, where it says so), by what took them.
type Times = BTreeMap<&'static str, f64>;

/// Runs the bench, and prints the table. docker's daemon is the one that `DOCKER_HOST` names, or the usual one.
pub fn run(options: &Options) -> Result<()> {
    ensure!(options.rounds > 0, "--rounds: found 0, expected 1 or more");
    for tool in ["docker-registry", "skopeo", "docker", "pigz"] {
        ensure!(is_installed(tool), "no {tool} in PATH");
    }
    options.place.run(|binary, work| {
        let closure = stamp::closure(&options.place.lab, &options.closure).map_err(Error::msg)?;
        println!("{}", table::machine(options.rounds)?);
        let change = Change::make(&closure)?;
        let bench = Bench { binary: binary.to_owned(), work: work.to_owned(), closure, change };
        bench.prepare()?;
        bench.measure(options.rounds)
    })
}

struct Bench {
    binary: PathBuf,
    work: PathBuf,
    closure: PathBuf,
    change: Change,
}

impl Bench {
    fn file(&self, name: &str) -> PathBuf {
        self.work.join(name)
    }

    fn layerstone(&self, line: &str) -> Command {
        let mut command = Command::new(&self.binary);
        command.env(CACHE, "").args(line.split(' ')).current_dir(&self.work).stdin(Stdio::null());
        command
    }

    /// The specs of both images, and what the others read: a docker archive, tars of the layers.
    fn prepare(&self) -> Result<()> {
        let more = Map::from_iter([("config".to_owned(), json!({"Cmd": ["/bin/sh"]}))]);
        self.change.write_specs(&self.closure, &self.work, &more)?;
        eprintln!("preparing");
        process::run(&mut self.layerstone("build before.json -q -o before.tar"))?;
        process::run(&mut self.layerstone("build after.json -q -o after.tar"))?;
        process::run(self.layerstone("closure --spec before.json -q -o before.closure.json").stdout(Stdio::null()))?;
        process::run(&mut self.layerstone("layers before.closure.json -q --max-layers 99 -o before.layers.json"))?;
        process::run(&mut self.layerstone("layer before.layers.json -q --all --blobs -o tars"))?;
        Ok(())
    }

    fn measure(&self, rounds: usize) -> Result<()> {
        let mut found: Vec<Times> = Vec::new();
        for round in 0..=rounds {
            eprintln!("round {round}");
            let mut times = self.push()?;
            times.append(&mut self.pull()?);
            times.append(&mut self.compress()?);
            // The first one fills caches, ours too.
            if round > 0 {
                found.push(times);
            }
        }
        self.print(&found)
    }

    /// First and second pushes, ours and skopeo's, each into a registry of its own.
    fn push(&self) -> Result<Times> {
        let mut times = Times::new();
        let registry = Keeper::start(&self.file("registry-fast"))?;
        let line =
            format!("push before.json {}/bench -q --compression gzip --level {LEVEL_OF_SKOPEO}", registry.host());
        times.insert("first push, skopeo's size", timed(&mut self.layerstone(&line))?);
        times.insert("(bytes) skopeo's size", registry.bytes()?);
        drop(registry);
        let registry = Keeper::start(&self.file("registry-ours"))?;
        let _ = fs::remove_dir_all(self.file("state"));
        let push = |spec: &str| {
            let line = format!("push {spec}.json {}/bench -q --state state", registry.host());
            timed(&mut self.layerstone(&line))
        };
        times.insert("first push", push("before")?);
        times.insert("(bytes) first push", registry.bytes()?);
        times.insert("same push again", push("before")?);
        times.insert("push after a change", push("after")?);
        drop(registry);
        let registry = Keeper::start(&self.file("registry-theirs"))?;
        let copy = |archive: &str| {
            let mut skopeo = Command::new("skopeo");
            skopeo.args(["copy", "-q", "--dest-tls-verify=false"]).current_dir(&self.work);
            timed(
                skopeo
                    .arg(format!("docker-archive:{archive}.tar"))
                    .arg(format!("docker://{}/bench:{archive}", registry.host())),
            )
        };
        times.insert("skopeo: first push", copy("before")?);
        times.insert("(bytes) skopeo", registry.bytes()?);
        times.insert("skopeo: push after a change", copy("after")?);
        Ok(times)
    }

    /// The image after the change into docker, which has the one before: from our server, and loaded.
    fn pull(&self) -> Result<Times> {
        let mut times = Times::new();
        let docker = |words: &str| {
            let mut command = Command::new("docker");
            command.args(words.split(' ')).stdin(Stdio::null()).stdout(Stdio::null()).current_dir(&self.work);
            command
        };
        let _ = fs::remove_dir_all(self.file("served"));
        let served = serve(&mut self.layerstone("serve before.json -q --listen 127.0.0.1:0 --state served"))?;
        let before = served.name.clone();
        process::run(&mut docker(&format!("pull -q {before}")))?;
        drop(served);
        let begin = Instant::now();
        let served = serve(&mut self.layerstone("serve after.json -q --listen 127.0.0.1:0 --state served"))?;
        process::run(&mut docker(&format!("pull -q {}", served.name)))?;
        times.insert("serve and pull after a change", begin.elapsed().as_secs_f64());
        process::run(&mut docker(&format!("rmi {}", served.name)))?;
        drop(served);
        times.insert("docker load after a change", timed(&mut docker("load -q -i after.tar"))?);
        process::run(&mut docker(&format!("rmi bench:after {before}")))?;
        times.insert("docker load, nothing there", timed(&mut docker("load -q -i after.tar"))?);
        process::run(&mut docker("rmi bench:after"))?;
        Ok(times)
    }

    /// All layers as gzip: ours from the store, pigz from tars that are there.
    fn compress(&self) -> Result<Times> {
        let mut times = Times::new();
        let mut ours = self.layerstone("layer before.layers.json -q --all --blobs -o ours --compression gzip");
        times.insert("gzip blobs", timed(&mut ours)?);
        let theirs = "mkdir -p theirs; for tar in tars/*.tar; do pigz -nc $tar > theirs/${tar#tars/}.gz; done";
        let pigz = Pipeline {
            programs: vec![program(["sh", "-c", &format!("cd {}; {theirs}", self.work.display())])],
            output: Output::Null,
        };
        times.insert("pigz", pigz.run()?.wall.as_secs_f64());
        Ok(times)
    }

    fn print(&self, found: &[Times]) -> Result<()> {
        println!("### Registries: {}, changed in {} and the root\n", self.closure.display(), self.change.what);
        println!("| what | seconds |\n|---|---:|");
        let of = |name: &str| median(found.iter().map(|times| times[name]).collect());
        for name in found[0].keys().filter(|name| !name.starts_with('(')) {
            println!("| {name} | {:.2} |", of(name));
        }
        let ratio = |ours: &str, theirs: &str| median(found.iter().map(|it| it[ours] / it[theirs]).collect());
        println!("\n| figure | found | target |\n|---|---:|---:|");
        let row = |figure: &str, found: f64, target: &str| println!("| {figure} | {found:.3} | {target} |");
        row(
            "first push at the compression of skopeo: times its time",
            ratio("first push, skopeo's size", "skopeo: first push"),
            "0.6",
        );
        row("the same: times its bytes", ratio("(bytes) skopeo's size", "(bytes) skopeo"), "1");
        row("first push, default: times skopeo's time", ratio("first push", "skopeo: first push"), "0.6");
        row("the same: times its bytes", ratio("(bytes) first push", "(bytes) skopeo"), "1");
        row("push after a change: times skopeo's first", ratio("push after a change", "skopeo: first push"), "0.05");
        row(
            "push after a change: times skopeo's after it",
            ratio("push after a change", "skopeo: push after a change"),
            "",
        );
        row(
            "serve and pull after a change: times `docker load` with nothing there",
            ratio("serve and pull after a change", "docker load, nothing there"),
            "0.1",
        );
        row(
            "the same: times `docker load` with the image before there",
            ratio("serve and pull after a change", "docker load after a change"),
            "0.1",
        );
        row("gzip blobs: times pigz's time", ratio("gzip blobs", "pigz"), "0.333");
        row(
            "gzip blobs: times pigz's size",
            size(&self.file("ours"), ".gz")? / size(&self.file("theirs"), ".gz")?,
            "1.03",
        );
        Ok(())
    }
}

/// Bytes of the files of a directory whose names end so.
fn size(folder: &Path, ending: &str) -> Result<f64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read: {}", folder.display()))? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().ends_with(ending) {
            bytes += entry.metadata()?.len();
        }
    }
    Ok(bytes as f64)
}
