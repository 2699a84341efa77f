//! `cargo xtask bench big`: images and stores as large as any, each in two sizes, so that the table shows how time, memory,
//! descriptors and threads grow.

mod shape;

use crate::bench::{CACHE, Place};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// Where.
#[derive(clap::Args)]
pub struct Options {
    /// Only shapes whose name begins so
    #[arg(long, value_name = "NAME", default_value = "")]
    only: String,
    #[command(flatten)]
    place: Place,
}

/// How often a running command is looked at.
const LOOK: Duration = Duration::from_millis(5);

/// Something large, and the command that reads it.
struct Row {
    name: &'static str,
    sizes: [u64; 2],
    /// Makes it of this size in a directory.
    make: fn(u64, &Path) -> Result<()>,
    /// The command, run there.
    line: &'static str,
}

const ROWS: [Row; 5] = [
    Row {
        name: "files in a layer of a base, exported",
        sizes: [100_000, 1_000_000],
        make: shape::files,
        line: "overlay export image.tar -o out.tar",
    },
    Row {
        name: "layers of a base, exported",
        sizes: [12, 127],
        make: shape::layers,
        line: "overlay export image.tar -o out.tar",
    },
    Row {
        name: "files in a store path, hashed",
        sizes: [100_000, 1_000_000],
        make: shape::store_files,
        line: "layer plan.layers.json --all --root root -o out",
    },
    Row {
        name: "GB of a sparse file in a store path, hashed",
        sizes: [5, 50],
        make: shape::store_bytes,
        line: "layer plan.layers.json --all --root root -o out",
    },
    Row {
        name: "store paths in 99 layers, built",
        sizes: [1_000, 10_000],
        make: shape::store_paths,
        line: "build image.json --root root -o out.tar",
    },
];

/// What a run took at most.
#[derive(Default)]
struct Peak {
    wall: Duration,
    /// Resident memory in KiB.
    memory: u64,
    descriptors: u64,
    threads: u64,
}

/// Makes every shape, runs its command once, and prints the table.
pub fn run(options: &Options) -> Result<()> {
    options.place.run(|binary, work| {
        println!("| what | how many | seconds | memory, MiB | descriptors | threads |\n|---|---:|---:|---:|---:|---:|");
        for row in ROWS.iter().filter(|row| row.name.starts_with(&options.only)) {
            for size in row.sizes {
                let directory = work.join("big");
                fs::create_dir_all(&directory)?;
                eprintln!("{size} {}", row.name);
                (row.make)(size, &directory)?;
                let peak = measure(binary, row.line, &directory)?;
                let (seconds, memory) = (peak.wall.as_secs_f64(), peak.memory / 1024);
                println!(
                    "| {} | {size} | {seconds:.2} | {memory} | {} | {} |",
                    row.name, peak.descriptors, peak.threads
                );
                fs::remove_dir_all(&directory)?;
            }
        }
        Ok(())
    })
}

fn measure(binary: &Path, line: &str, directory: &Path) -> Result<Peak> {
    let mut command = Command::new(binary);
    command.args(line.split(' ')).arg("-q").current_dir(directory).env(CACHE, "");
    let begin = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().context("cannot run: layerstone")?;
    let mut peak = Peak::default();
    let status = loop {
        look(&child, &mut peak);
        match child.try_wait()? {
            Some(status) => break status,
            None => thread::sleep(LOOK),
        }
    };
    peak.wall = begin.elapsed();
    ensure!(status.success(), "{line}: {status}");
    Ok(peak)
}

/// Notes what the process has now (proc_pid_status(5), proc_pid_fd(5)); one that has ended has nothing.
fn look(child: &Child, peak: &mut Peak) {
    let process = PathBuf::from(format!("/proc/{}", child.id()));
    let status = fs::read_to_string(process.join("status")).unwrap_or_default();
    let field = |name: &str| {
        let value = status.lines().find_map(|line| line.strip_prefix(name))?;
        value.split_whitespace().next()?.parse::<u64>().ok()
    };
    let descriptors = fs::read_dir(process.join("fd")).map_or(0, |entries| entries.count() as u64);
    peak.memory = peak.memory.max(field("VmHWM:").unwrap_or(0));
    peak.threads = peak.threads.max(field("Threads:").unwrap_or(0));
    peak.descriptors = peak.descriptors.max(descriptors);
}
