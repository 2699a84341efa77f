//! Developer tasks of layerstone: `cargo xtask help`.

use anyhow::Result;
use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Developer tasks of layerstone
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Write the synthetic store: 13 paths with every corner that a tar writer meets
    Synth {
        /// Folder that receives the store paths, such as ROOT/nix/store
        store_dir: PathBuf,
        /// Folder that receives graph.json and registration
        out_dir: PathBuf,
    },
}

fn main() -> ExitCode {
    match run(Cli::parse().task) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> Result<()> {
    match task {
        Task::Synth { store_dir, out_dir } => synth(&store_dir, &out_dir),
    }
}

fn synth(store_dir: &std::path::Path, out_dir: &std::path::Path) -> Result<()> {
    let synth = xtask::synth::make(store_dir, out_dir)?;
    let bytes: u64 = synth.graph.iter().map(|info| info.nar_size).sum();
    println!("{} paths, {bytes} bytes of NARs", synth.graph.len());
    Ok(())
}
