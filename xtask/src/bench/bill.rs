//! `cargo xtask bench bill`: what a bill of materials, a provenance and a signature cost, in seconds and bytes: made from a
//! closure that is known, and attached to an image in a layout and in docker-registry.
//!
//! docker-registry lists no referrers, so that its lists under tags are what is measured there, once nearby and once at the end
//! of a long line.

use crate::bench::measure::{is_installed, timed};
use crate::bench::registry::keeper::Keeper;
use crate::bench::registry::relay;
use crate::bench::table::{self, median};
use crate::bench::{CACHE, Place};
use crate::process;
use anyhow::{Context, Error, Result, ensure};
use serde_json::json;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
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
    /// Milliseconds that the long line takes, each way
    #[arg(long, value_name = "MS", default_value_t = 20)]
    delay: u64,
    #[command(flatten)]
    place: Place,
}

const FORMATS: [&str; 3] = ["cyclonedx", "spdx", "spdx3"];

/// Seconds of a round by what took them.
type Times = BTreeMap<String, f64>;

/// Runs the bench, and prints the table.
pub fn run(options: &Options) -> Result<()> {
    ensure!(options.rounds > 0, "--rounds: found 0, expected 1 or more");
    for tool in ["docker-registry", "openssl"] {
        ensure!(is_installed(tool), "no {tool} in PATH");
    }
    options.place.run(|binary, work| {
        let closure = stamp::closure(&options.place.lab, &options.closure).map_err(Error::msg)?;
        println!("{}", table::machine(options.rounds)?);
        let delay = Duration::from_millis(options.delay);
        let bench = Bench { binary: binary.to_owned(), work: work.to_owned(), delay };
        bench.prepare(&closure)?;
        bench.measure(options.rounds)
    })
}

struct Bench {
    binary: PathBuf,
    work: PathBuf,
    delay: Duration,
}

impl Bench {
    fn layerstone(&self, line: &str) -> Command {
        let mut command = Command::new(&self.binary);
        command.env(CACHE, "").args(line.split(' ')).current_dir(&self.work).stdin(Stdio::null());
        command
    }

    /// A closure with sizes, an image of it in a layout, what is attached to it, and a key.
    fn prepare(&self, closure: &Path) -> Result<()> {
        eprintln!("preparing");
        let env = fs::read_link(closure.join("result")).context("the lab's closure has no root")?;
        let spec = json!({"name": "bill", "tag": "1", "contents": [env], "graph": closure.join("graph.json")});
        fs::write(self.work.join("image.json"), spec.to_string())?;
        let openssl = "genpkey -algorithm ed25519 -out key.pem";
        process::run(Command::new("openssl").args(openssl.split(' ')).current_dir(&self.work))?;
        process::run(&mut self.layerstone("closure --spec image.json --sizes -q -o closure.json"))?;
        let build = "build image.json -q -o oci:image --compression zstd --level 1 --provenance-file provenance.json";
        process::run(self.layerstone(build).stdout(Stdio::null()))
    }

    fn measure(&self, rounds: usize) -> Result<()> {
        let mut found: Vec<Times> = Vec::new();
        for round in 0..=rounds {
            eprintln!("round {round}");
            let times = self.round(round)?;
            // The first one fills caches.
            if round > 0 {
                found.push(times);
            }
        }
        println!("| | seconds | bytes |\n|---|---:|---:|");
        for what in found[0].keys() {
            let seconds = median(found.iter().map(|times| times[what]).collect());
            let made = FORMATS.iter().find(|format| what.ends_with(&format!("--format {format}`")));
            let file = made.or_else(|| what.contains("provenance").then_some(&"provenance"));
            let bytes = match file {
                Some(file) => fs::metadata(self.work.join(format!("{file}.json")))?.len().to_string(),
                None => String::new(),
            };
            println!("| {what} | {seconds:.3} | {bytes} |");
        }
        Ok(())
    }

    fn round(&self, round: usize) -> Result<Times> {
        let mut times = Times::new();
        for format in FORMATS {
            let line = format!("sbom closure.json --format {format} -q -o {format}.json");
            times.insert(format!("`sbom --format {format}`"), timed(&mut self.layerstone(&line))?);
        }
        // An image that nothing is attached to.
        let layout = format!("layout-{round}");
        process::run(self.layerstone(&format!("copy oci:image oci:{layout} -q")).stdout(Stdio::null()))?;
        self.attach("a layout", &format!("oci:{layout}"), &mut times)?;
        for is_far in [false, true] {
            let registry = Keeper::start(&self.work.join("registry"))?;
            let push = format!("push oci:image {}/bill:1 -q", registry.host());
            process::run(self.layerstone(&push).stdout(Stdio::null()))?;
            let (place, host) = match is_far {
                false => ("docker-registry".to_owned(), registry.host().to_owned()),
                true => {
                    let place = format!("docker-registry, {} ms away", self.delay.as_millis());
                    (place, relay::start(registry.host(), self.delay)?)
                }
            };
            self.attach(&place, &format!("{host}/bill:1"), &mut times)?;
        }
        fs::remove_dir_all(self.work.join(layout))?;
        Ok(times)
    }

    fn attach(&self, place: &str, image: &str, times: &mut Times) -> Result<()> {
        for (what, line) in [
            ("attach` of a bill", format!("attach {image} cyclonedx.json --type cyclonedx -q")),
            ("attach` of a provenance", format!("attach {image} provenance.json --type provenance -q")),
            ("sign`", format!("sign {image} --key key.pem -q")),
        ] {
            times.insert(format!("`{what}, {place}"), timed(&mut self.layerstone(&line))?);
        }
        Ok(())
    }
}
